import pytest

from appliance.devices.cards import find_array, list_cards
from appliance.devices.profiles import PROFILES, RESPEAKER, UMA_8, UMA_16

CARDS = """ 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones
                      bcm2835 Headphones
 1 [{id:15}]: USB-Audio - {name}
                      {name} at usb-0000:01:00.0-1.2, high speed
"""


@pytest.fixture
def plug(tmp_path):
    def plug(card_id, name, usb_id):
        folder = tmp_path / "proc/asound"
        (folder / card_id).mkdir(parents=True, exist_ok=True)
        (folder / "Headphones").mkdir(exist_ok=True)
        (folder / "cards").write_text(CARDS.format(id=card_id, name=name))
        (folder / card_id / "usbid").write_text(usb_id + "\n")
        return tmp_path

    return plug


@pytest.mark.parametrize(
    ("card_id", "name", "usb_id", "profile"),
    [
        ("ArrayUAC10", "ReSpeaker 4 Mic Array (UAC1.0)", "2886:0018", RESPEAKER),
        ("ReSpeaker", "renamed by a rule", "2886:0018", RESPEAKER),
        ("UMA8", "micArray RAW SPK", "2752:001c", UMA_8),
        ("UMA16v2", "UMA16v2", "2752:ffff", UMA_16),
    ],
)
def test_an_array_is_found_by_what_it_is(plug, card_id, name, usb_id, profile):
    card, found = find_array(root=plug(card_id, name, usb_id))
    assert found is profile
    assert card.device == f"hw:CARD={card_id}"


def test_cards_that_are_no_known_arrays_are_listed_but_not_taken(plug):
    root = plug("Webcam", "Dynex Webcam", "19ff:0102")
    assert [card.id for card in list_cards(root)] == ["Headphones", "Webcam"]
    assert find_array(root=root) is None


def test_a_machine_without_sound_has_no_cards(tmp_path):
    assert list_cards(tmp_path) == []
    (tmp_path / "proc/asound").mkdir(parents=True)
    (tmp_path / "proc/asound/cards").write_text("--- no soundcards ---\n")
    assert list_cards(tmp_path) == []


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_each_profile_has_a_microphone_for_each_channel_and_none_twice(profile):
    positions = profile.geometry.microphones_m
    assert len(positions) == len(profile.channels) == len(set(profile.channels)) == len(set(positions))
    assert max(profile.channels) < profile.n_device_channels


def test_dimensions_are_those_of_the_makers():
    def distance_m(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5

    square = RESPEAKER.geometry.microphones_m
    assert distance_m(square[0], square[2]) == pytest.approx(0.064)
    assert RESPEAKER.channels == (1, 2, 3, 4), "0 is processed, 5 is what is played"
    ring = UMA_8.geometry.microphones_m
    assert all(distance_m(ring[0], m) == pytest.approx(0.043) for m in ring[1:])
    assert distance_m(ring[1], ring[2]) == pytest.approx(0.043)
    grid = UMA_16.geometry.microphones_m
    assert sorted({x for x, _, _ in grid}) == sorted({y for _, y, _ in grid}) == [-0.063, -0.021, 0.021, 0.063]
    assert RESPEAKER.sensitivity_dbspl == pytest.approx(123.0, abs=0.02)
    assert UMA_16.sensitivity_dbspl == pytest.approx(126.0, abs=0.02)
