import pytest

from appliance.daemon.board_keeper import BoardKeeper

SECOND_NS = 1_000_000_000


@pytest.fixture
def alarm(tmp_path):
    folder = tmp_path / "sys/class/hwmon/hwmon0"
    folder.mkdir(parents=True)
    (folder / "name").write_text("rpi_volt\n")
    file = folder / "in0_lcrit_alarm"
    file.write_text("0\n")
    return file


def states(keeper, at_s):
    return {check.name: check.state.value for check in keeper.checks(1, at_s * SECOND_NS)}


def test_a_dip_of_the_supply_is_remembered_for_a_day(tmp_path, alarm):
    keeper = BoardKeeper(tmp_path, tmp_path)
    assert states(keeper, 0)["power"] == "ok"
    alarm.write_text("1\n")
    assert states(keeper, 10)["power"] == "failed"
    alarm.write_text("0\n")
    assert states(keeper, 20)["power"] == "degraded"
    assert states(keeper, 23 * 3_600)["power"] == "degraded"
    assert states(keeper, 25 * 3_600)["power"] == "ok"


def test_disk_and_what_the_board_does_not_tell(tmp_path):
    found = states(BoardKeeper(tmp_path, tmp_path), 0)
    assert found["disk"] in ("ok", "degraded")
    assert (found["power"], found["temperature"]) == ("unknown", "unknown")
    assert states(BoardKeeper(tmp_path / "gone", tmp_path), 0)["disk"] == "failed"
