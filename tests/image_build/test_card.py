"""earshot.toml on the card: what a person writes, and what the node makes of it at each start."""

import json
from pathlib import Path

import pytest
from earshot_card.__main__ import Places, psk_of, take_over
from earshot_card.card import Card, Wifi, read_card, without_secrets

EDITED = b"""name = "Front-Gate"
site = "harbour"
setup_code = "river-stone-42"
[wifi]
country = "de"
ssid = "Wache 7"
password = 'long "secret"'
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.firmware.mkdir(parents=True)
    return places


def start(places: Places, text: bytes | None = None) -> tuple[str, ...]:
    if text is not None:
        (places.firmware / "earshot.toml").write_bytes(text)
    return take_over(places)


def on_card(places: Places, name: str) -> str | None:
    file = places.firmware / name
    return file.read_text("utf-8") if file.exists() else None


def hostname(places: Places) -> str:
    return (places.root / "etc/hostname").read_text("ascii").strip()


def wifi_file(places: Places) -> Path:
    return places.root / "etc/wpa_supplicant/wpa_supplicant-wlan0.conf"


@pytest.mark.parametrize("text", [EDITED, EDITED.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + EDITED])
def test_the_file_is_read_whatever_editor_wrote_it(text: bytes) -> None:
    reading = read_card(text)
    assert reading.card == Card("front-gate", "harbour", "river-stone-42", Wifi("DE", "Wache 7", 'long "secret"'))
    assert reading.problems == ()


def test_the_file_as_it_is_shipped_says_nothing_and_has_no_problem(image_build: Path) -> None:
    reading = read_card((image_build / "boot/earshot.toml").read_bytes())
    assert reading.card == Card()
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'nam = "x"', "did you mean name?"),
        (b'name = "-gate"', "no hyphen at an end"),
        (b'name = "Br\xc3\xbccke"', "letters, digits and hyphens"),
        (b"name = 7", "between quotation marks"),
        (b"name = gate", "values stand between quotation marks"),
        (b'setup_code = "short"', "setup_code = (5 characters)"),
        (b'[wifi]\nssid = "x"\npassword = "long enough"', "wifi.country"),
        (b'[wifi]\ncountry = "Germany"\nssid = "x"\npassword = "long enough"', "two letters"),
        (b'[wifi]\ncountry = "DE"\nssid = "x"\npassword = "short"', "8 to 63"),
        (b'wifi = "x"', "must be a section"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * 70_000, "larger than"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(text: bytes, told: str) -> None:
    assert told in " ".join(read_card(text).problems)


def test_a_mistake_costs_only_its_own_value() -> None:
    reading = read_card(EDITED.replace(b"Front-Gate", b"no good!"))
    assert len(reading.problems) == 1
    assert reading.card.name == ""
    assert reading.card.wifi is not None


def test_no_problem_tells_a_secret() -> None:
    text = b'setup_code = "secret secret!"\n[wifi]\ncountry = "DE"\nssid = "x"\npassword = "\xc3\xa4 secret word"\n'
    problems = " ".join(read_card(text).problems)
    assert problems
    assert "secret" not in problems


def test_secrets_leave_the_file_and_nothing_else_changes() -> None:
    text = EDITED.replace(b"\n", b"\r\n").replace(b"[wifi]", b"# password = none\r\n[wifi]")
    left = without_secrets(text)
    assert b"river" not in left
    assert b"secret" not in left
    expected = text.replace(b'"river-stone-42"', b'""').replace(b"'long \"secret\"'", b'""')
    assert left == expected


def test_the_network_key_is_the_one_of_the_standard() -> None:
    # IEEE 802.11-2020, table J-1.
    psk = psk_of(Wifi("US", "IEEE", "password"))
    assert psk == "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"


def test_the_first_start_takes_everything_over(places: Places) -> None:
    assert start(places, EDITED) == ()
    assert hostname(places) == "front-gate"
    settings = places.settings.read_text("utf-8")
    assert 'id = "front-gate"' in settings
    assert 'site = "harbour"' in settings
    assert "ssid=" + b"Wache 7".hex() in wifi_file(places).read_text("ascii")
    assert wifi_file(places).stat().st_mode & 0o777 == 0o600
    assert places.setup_code.read_text("ascii") == "river-stone-42\n"
    assert "secret" not in (on_card(places, "earshot.toml") or "")
    assert on_card(places, "earshot-problems.txt") is None


def test_nothing_but_the_networks_key_is_kept_of_its_password(places: Places) -> None:
    start(places, EDITED)
    everything = [file.read_bytes() for file in places.root.rglob("*") if file.is_file()]
    assert not any(b"long" in data for data in everything)


def test_a_later_start_keeps_the_network_although_its_password_left_the_card(places: Places) -> None:
    start(places, EDITED)
    first = wifi_file(places).read_bytes()
    wifi_file(places).unlink()
    assert start(places) == ()
    assert wifi_file(places).read_bytes() == first


def test_a_broken_or_missing_file_changes_nothing(places: Places) -> None:
    start(places, EDITED)
    assert start(places, b'name = "oops') != ()
    assert wifi_file(places).exists()
    assert hostname(places) == "front-gate"
    (places.firmware / "earshot.toml").unlink()
    assert start(places) != ()
    assert wifi_file(places).exists()


def test_emptied_wifi_is_forgotten(places: Places) -> None:
    start(places, EDITED)
    assert start(places, b'name = "front-gate"\n[wifi]\ncountry = ""\nssid = ""\n') == ()
    assert not wifi_file(places).exists()


def test_another_site_comes_too_late_and_another_name_is_the_hosts_alone(places: Places) -> None:
    start(places, EDITED)
    before = places.settings.read_bytes()
    problems = start(places, b'name = "back-gate"\nsite = "elsewhere"\n')
    assert "too late" in problems[0]
    assert hostname(places) == "back-gate"
    assert places.settings.read_bytes() == before


def test_problems_stand_beside_the_file_and_where_the_page_finds_them(places: Places) -> None:
    start(places, b'sight = "x"\r\n')
    assert "did you mean site?" in (on_card(places, "earshot-problems.txt") or "")
    assert "sight" in json.loads(places.problems.read_text("utf-8"))["earshot.toml"][0]
    start(places, b'name = "x"\r\n')
    assert on_card(places, "earshot-problems.txt") is None
    assert json.loads(places.problems.read_text("utf-8")) == {"earshot.toml": []}


def test_without_a_name_the_boards_serial_number_gives_one(places: Places) -> None:
    serial = places.root / "proc/device-tree/serial-number"
    serial.parent.mkdir(parents=True)
    serial.write_bytes(b"10000000a1b2c3d4\0")
    start(places, b"")
    assert hostname(places) == "earshot-c3d4"


def test_a_random_name_stays(places: Places) -> None:
    start(places, b"")
    name = hostname(places)
    assert name.startswith("earshot-")
    start(places)
    assert hostname(places) == name


def test_without_a_code_one_is_made_up_and_told_on_the_card_until_there_is_an_owner(places: Places) -> None:
    start(places, b"")
    code = places.setup_code.read_text("ascii")
    assert on_card(places, "earshot-setup-code.txt") == code
    assert len(code.strip()) == 19
    start(places)
    assert places.setup_code.read_text("ascii") == code
    # The pages remove the code once somebody is the owner.
    places.setup_code.unlink()
    places.people.touch()
    start(places, b'setup_code = "let-me-in-too"\n')
    assert on_card(places, "earshot-setup-code.txt") is None
    assert not places.setup_code.exists()


def test_a_start_without_news_does_not_write_to_the_card(places: Places) -> None:
    start(places, EDITED)
    before = {file: file.stat().st_mtime_ns for file in places.firmware.iterdir()}
    start(places)
    assert {file: file.stat().st_mtime_ns for file in places.firmware.iterdir()} == before


def test_a_damaged_memory_counts_as_a_first_start(places: Places) -> None:
    start(places, EDITED)
    places.kept.write_bytes(b"{")
    assert start(places) == ("wifi.password is missing; networks without a password are not joined",)
    assert hostname(places) == "front-gate"
