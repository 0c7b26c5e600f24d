import pytest

from appliance.devices.board import BoardReader
from appliance.timing.discipline import Unknown


@pytest.fixture
def write(tmp_path):
    def write(path, text):
        file = tmp_path / "sys" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    return write


@pytest.fixture
def pi(tmp_path, write):
    """What a Raspberry Pi's kernel shows."""
    write("class/hwmon/hwmon0/name", "cpu_thermal")
    write("class/hwmon/hwmon1/name", "rpi_volt")
    write("class/hwmon/hwmon1/in0_lcrit_alarm", "0")
    write("class/thermal/thermal_zone0/temp", "51121")
    write("devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1800000")
    write("devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1800000")
    write("block/mmcblk0/device/life_time", "0x01 0x03")
    return BoardReader(tmp_path)


def test_a_board_in_order(pi):
    board = pi.read()
    assert board.is_undervolted is False
    assert board.temperature_c == pytest.approx(51.121)
    assert board.throttled_to == 1.0
    assert board.card_used == pytest.approx(0.3), "the worse of its two kinds of memory"


def test_each_trouble_shows(pi, write):
    write("class/hwmon/hwmon1/in0_lcrit_alarm", "1")
    write("class/thermal/thermal_zone0/temp", "84000")
    write("devices/system/cpu/cpufreq/policy0/scaling_max_freq", "600000")
    write("block/mmcblk0/device/life_time", "0x0b 0x01")
    board = pi.read()
    assert board.is_undervolted is True
    assert board.temperature_c == 84.0
    assert board.throttled_to == pytest.approx(1 / 3)
    assert board.card_used == pytest.approx(1.1)


def test_a_machine_that_tells_nothing_is_unknown_in_everything(tmp_path):
    board = BoardReader(tmp_path).read()
    for value in (board.is_undervolted, board.temperature_c, board.throttled_to, board.card_used):
        assert isinstance(value, Unknown)


@pytest.mark.parametrize("text", ["", "hot", "9" * 40, "0x00 0x00"])
def test_files_that_make_no_sense_are_unknown(pi, write, text):
    for path in ("class/hwmon/hwmon1/in0_lcrit_alarm", "class/thermal/thermal_zone0/temp"):
        write(path, text)
    write("devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", text)
    write("block/mmcblk0/device/life_time", text)
    board = pi.read()
    for value in (board.is_undervolted, board.temperature_c, board.throttled_to, board.card_used):
        assert isinstance(value, Unknown)
