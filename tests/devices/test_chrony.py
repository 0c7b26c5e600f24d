import pytest

from appliance.devices.chrony import parse_tracking, read_tracking
from appliance.timing.discipline import Tracking, Unknown

LINE = (
    "50505300,PPS,1,1790000000.123456789,0.000255200,0.000001000,0.000002000,-1.234,0.001,0.020,"
    "0.000001000,0.000014000,4.0,Normal\n"
)


def test_the_bound_is_dispersion_and_half_the_delay():
    tracking = parse_tracking(LINE)
    assert tracking == Tracking(255.2e-6, pytest.approx(14.5e-6), "PPS", 1790000000.123456789, 4.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINE.replace("Normal", "Not synchronised"), "follows no source"),
        ("", "strange"),
        ("506 Cannot talk to daemon\n", "strange"),
        (LINE.replace("0.000014000", "nan"), "strange"),
        (LINE.replace("0.000014000", "0x4"), "strange"),
    ],
)
def test_an_answer_of_no_use_is_a_reason(line, reason):
    answer = parse_tracking(line)
    assert isinstance(answer, Unknown)
    assert reason in answer.reason


def test_a_source_with_a_strange_name_is_shown_plainly():
    assert parse_tracking(LINE.replace(",PPS,", ",\x1b[31m<b>fe80::1,")).reference == "31mbfe80::1"


def test_no_chrony_is_a_reason():
    assert read_tracking(["chronyc-that-is-not-there"]) == Unknown("chrony is not installed")
    assert read_tracking(["false"]) == Unknown("chrony does not answer")
