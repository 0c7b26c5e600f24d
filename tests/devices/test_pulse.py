import pytest

from appliance.devices.pulse import PulseReader
from appliance.timing.discipline import Pulse, Unknown

SECOND_NS = 1_000_000_000


@pytest.fixture
def pps(tmp_path):
    folder = tmp_path / "sys/class/pps/pps0"
    folder.mkdir(parents=True)
    return folder / "assert"


def test_the_age_of_a_pulse_counts_from_when_its_number_last_changed(pps, tmp_path):
    reader = PulseReader(tmp_path)
    pps.write_text("1790000000.000012345#41\n")
    assert reader.read(0) == Unknown("no pulse yet"), "one edge may be of yesterday"
    pps.write_text("1790000001.000012000#42\n")
    assert reader.read(SECOND_NS) == Pulse(0.0, pytest.approx(12e-6))
    assert reader.read(5 * SECOND_NS) == Pulse(4.0, pytest.approx(12e-6))
    pps.write_text("1790000005.999990000#43\n")
    assert reader.read(6 * SECOND_NS) == Pulse(0.0, pytest.approx(-10e-6))


def test_a_node_without_a_pps_device_says_so(tmp_path):
    answer = PulseReader(tmp_path).read(0)
    assert isinstance(answer, Unknown)
    assert "no PPS device" in answer.reason


def test_a_device_taken_away_and_put_back_has_to_show_two_edges(pps, tmp_path):
    reader = PulseReader(tmp_path)
    for number in (1, 2):
        pps.write_text(f"1.000000000#{number}\n")
        reader.read(number * SECOND_NS)
    pps.unlink()
    assert isinstance(reader.read(3 * SECOND_NS), Unknown)
    pps.write_text("9.000000000#2\n")
    assert isinstance(reader.read(4 * SECOND_NS), Unknown)
    pps.write_text("10.000000000#3\n")
    assert reader.read(5 * SECOND_NS) == Pulse(0.0, 0.0)


@pytest.mark.parametrize("text", ["", "x", "1.5#3", "-1.000000000#3"])
def test_what_the_kernel_never_writes_is_no_pulse(pps, tmp_path, text):
    pps.write_text(text)
    assert PulseReader(tmp_path).read(0) == Unknown("no pulse yet")
