import pytest

from appliance.config.settings import EarsSettings
from appliance.daemon.ears import choose_ears
from appliance.devices.profiles import RESPEAKER
from appliance.errors import DeviceError, InputError


@pytest.fixture
def node(tmp_path):
    """A machine with a ReSpeaker as its card 1."""
    folder = tmp_path / "proc/asound/ArrayUAC10"
    folder.mkdir(parents=True)
    (tmp_path / "proc/asound/cards").write_text(" 1 [ArrayUAC10     ]: USB-Audio - ReSpeaker 4 Mic Array\n")
    (folder / "usbid").write_text("2886:0018\n")
    return tmp_path


def test_a_known_array_is_taken_with_all_that_is_known_of_it(node):
    ears = choose_ears(EarsSettings(), node)
    assert ears.name == "ReSpeaker USB 4 Mic Array"
    assert ears.array.device == "hw:CARD=ArrayUAC10"
    assert (ears.array.n_opened, ears.array.opened_channels) == (6, (1, 2, 3, 4))
    assert ears.sensitivity_dbspl == RESPEAKER.sensitivity_dbspl


def test_what_was_measured_counts_more_than_the_data_sheet(node):
    ears = choose_ears(EarsSettings(sensitivity_dbspl=119.5, latency_us=812.0), node)
    assert ears.sensitivity_dbspl == 119.5
    assert ears.array.latency_ns == 812_000


def test_without_a_known_array_the_settings_describe_a_generic_one(tmp_path):
    positions = ((0.0, 0.0, 0.0), (0.1, 0.0, 0.0))
    settings = EarsSettings(device="hw:2", microphones_m=positions, channels=(3, 2), n_device_channels=4)
    ears = choose_ears(settings, tmp_path)
    assert (ears.array.device, ears.array.opened_channels, ears.array.n_opened) == ("hw:2", (3, 2), 4)
    assert not ears.is_found


def test_an_array_that_was_named_and_is_not_there_is_missed_and_not_replaced(node):
    with pytest.raises(DeviceError, match="UMA-16: is not plugged in"):
        choose_ears(EarsSettings(array="uma-16"), node)


def test_generic_means_generic_even_where_a_known_array_is_plugged_in(node):
    assert choose_ears(EarsSettings(array="generic", device="hw:7"), node).array.device == "hw:7"


def test_a_description_that_can_not_be_is_refused_with_its_remedy(tmp_path):
    with pytest.raises(InputError, match=r"\[ears\].*2 channels for 1 microphones"):
        choose_ears(EarsSettings(channels=(0, 1)), tmp_path)
