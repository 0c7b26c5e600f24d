import pytest

from appliance.ledger.health import (
    HealthBoard,
    alerts_check,
    clock_check,
    disk_check,
    ears_check,
    is_alive,
    peer_trouble,
    peers_check,
    place_check,
    power_check,
    storage_check,
    temperature_check,
)
from appliance.model.health import HealthState
from appliance.model.instants import NS_PER_MS
from appliance.timing.discipline import Unknown


def test_a_peer_is_dead_after_four_seconds_of_silence_and_unknown_ones_are_not_alive():
    assert is_alive(100.0, 103.9)
    assert not is_alive(100.0, 104.0)
    assert not is_alive(None, 100.0)


@pytest.mark.parametrize(
    ("check", "state"),
    [
        (ears_check(None, [], 1), HealthState.UNKNOWN),
        (ears_check(0.1, [-60.0, -61.0], 1), HealthState.OK),
        (ears_check(2.5, [-60.0], 1), HealthState.FAILED),
        (ears_check(0.1, [-60.0, -140.0], 1), HealthState.DEGRADED),
        (clock_check(None, 1), HealthState.UNKNOWN),
        (clock_check(1_000, 1), HealthState.OK),
        (clock_check(2_000_000, 1), HealthState.DEGRADED),
        (clock_check(5_000_001, 1), HealthState.FAILED),
        (place_check(None, 1), HealthState.UNKNOWN),
        (place_check(1.0, 1), HealthState.OK),
        (peers_check(4, [], {}, {}, 1), HealthState.OK),
        (peers_check(0, [], {}, {}, 1), HealthState.DEGRADED),
        (peers_check(3, ["n5"], {}, {}, 1), HealthState.DEGRADED),
        (peers_check(0, ["n5"], {}, {}, 1), HealthState.FAILED),
        (storage_check(None, "", 1), HealthState.OK),
        (storage_check("disk full", "make room", 1), HealthState.FAILED),
        (ears_check(0.1, [-60.0, -3.0], 1, [1]), HealthState.DEGRADED),
        (alerts_check(None, 1), HealthState.UNKNOWN),
        (alerts_check(0, 1), HealthState.FAILED),
        (alerts_check(1, 1), HealthState.OK),
        (disk_check(9e9, 32e9, Unknown("not told"), 1), HealthState.OK),
        (disk_check(400e6, 32e9, 0.3, 1), HealthState.DEGRADED),
        (disk_check(40e6, 32e9, 0.3, 1), HealthState.FAILED),
        (disk_check(9e9, 32e9, 0.9, 1), HealthState.DEGRADED),
        (disk_check(400e6, 32e9, 1.1, 1), HealthState.FAILED),
        (power_check(None, 1), HealthState.OK),
        (power_check(0.0, 1), HealthState.FAILED),
        (power_check(3.0, 1), HealthState.DEGRADED),
        (power_check(30.0, 1), HealthState.OK),
        (temperature_check(55.0, 1.0, 1), HealthState.OK),
        (temperature_check(76.0, 1.0, 1), HealthState.DEGRADED),
        (temperature_check(60.0, 0.6, 1), HealthState.DEGRADED),
        (temperature_check(85.0, 0.6, 1), HealthState.FAILED),
    ],
)
def test_each_rule_gives_its_state_and_a_remedy_unless_all_is_well(check, state):
    assert check.state is state
    assert check.words
    assert (check.remedy == "") == (state is HealthState.OK)


def test_what_a_board_does_not_tell_is_unknown_and_never_ok():
    unknown = Unknown("this board has no thermometer")
    assert power_check(unknown, 1).state is HealthState.UNKNOWN
    assert temperature_check(unknown, unknown, 1).state is HealthState.UNKNOWN
    assert temperature_check(unknown, unknown, 1).words == "this board has no thermometer"


def test_silent_channels_and_nodes_are_named():
    assert "2" in ears_check(0.1, [-60.0, -140.0], 1).words
    assert "n5" in peers_check(3, ["n5"], {}, {}, 1).words


def test_what_was_refused_is_shown_with_its_count():
    check = peers_check(3, [], {}, {"signature does not fit": 7}, 1)
    assert "7 refused: signature does not fit" in check.words
    assert check.state is HealthState.OK, "good peers are not affected"


def test_since_counts_from_the_change_of_state():
    board = HealthBoard()
    assert board.put([clock_check(1_000, 10)])
    assert not board.put([clock_check(2_000, 20)])
    assert board.checks()[0].since_ns == 10
    assert board.checks()[0].number == pytest.approx(0.002)
    assert board.put([clock_check(6_000_000, 30)])
    assert board.checks()[0].since_ns == 30


def test_a_check_that_is_made_no_longer_is_gone():
    board = HealthBoard()
    board.put([clock_check(1_000, 10), storage_check(None, "", 10)])
    assert board.put([clock_check(1_000, 20)])
    assert [check.name for check in board.checks()] == ["clock"]


def test_a_peer_that_is_alive_and_no_help_is_named_with_what_is_wrong():
    deaf = ears_check(9.0, [], 1)
    coasting = clock_check(4 * NS_PER_MS, 1)
    lost = clock_check(6 * NS_PER_MS, 1)
    assert peer_trouble([ears_check(0.1, [-60.0], 1), coasting], 10**9) == ""
    assert peer_trouble([deaf, lost], None) == "ears: no sound arrives, clock: too uncertain for fixes"
    assert peer_trouble([], -3 * 10**9) == "time differs by 3.0 s from this node's"
    check = peers_check(3, [], {"n4": "ears: no sound arrives"}, {}, 1)
    assert check.state is HealthState.DEGRADED
    assert "n4 hears with trouble (ears: no sound arrives)" in check.words
    assert check.remedy
