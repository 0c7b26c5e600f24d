"""A settings file: what it may say, and what a person is told when it is wrong."""

import pytest

from appliance.config import Settings, describe, load_settings, parse_settings
from appliance.errors import InputError


def test_an_empty_file_gives_the_defaults():
    assert parse_settings(b"", "earshot.toml") == Settings()


def test_the_described_settings_read_back_as_themselves():
    settings = parse_settings(
        b'[node]\nid = "roof-3"\n[ears]\nsensitivity_dbspl = 121.5\n[air]\ntemperature_c = -3\n', "earshot.toml"
    )
    assert parse_settings(describe(settings).encode(), "again") == settings


def test_every_key_has_a_line_of_help():
    lines = describe(Settings()).splitlines()
    keys = [i for i, line in enumerate(lines) if " =" in line and not line.startswith(("[", "#"))]
    assert keys
    assert all(lines[i - 1].startswith("# ") and len(lines[i - 1]) > 10 for i in keys)


def test_a_file_from_windows_is_read():
    assert parse_settings(b'\xef\xbb\xbf[node]\r\nid = "n7"\r\n', "earshot.toml").node.id == "n7"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[node]\nid = 'a b'", ["node.id", "a b"]),
        ("[node]\nidd = 'a'", ["node.idd", "did you mean id?"]),
        ("[nodes]", ["[nodes]", "did you mean node?"]),
        ("node = 3", ["node = 3", "outside a section"]),
        ("[place]\nlat_deg = 95.0", ["place.lat_deg", "95.0", "90"]),
        ("[place]\nlat_deg = nan", ["place.lat_deg", "nan", "finite"]),
        ("[ears]\nmicrophones_m = [[0.0, inf, 0.0]]", ["ears.microphones_m", "inf"]),
        ("[ears]\nmicrophones_m = []", ["ears.microphones_m"]),
        ("[ears]\nsource = 'ear'", ["ears.source", "ear"]),
        ("[air]\ntemperature_c = 99.0", ["air.temperature_c", "99.0", "60"]),
        ("[web]\nport = 70000", ["web.port", "70000"]),
        ("[web", ["is not TOML"]),
        ("\xff", ["earshot.toml"]),
    ],
)
def test_a_wrong_setting_is_refused_with_file_key_and_value(text: str, words: list[str]):
    with pytest.raises(InputError) as caught:
        parse_settings(text.encode("latin-1"), "earshot.toml")
    message = str(caught.value)
    assert message.startswith("earshot.toml: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_all_errors_of_a_file_come_together():
    with pytest.raises(InputError) as caught:
        parse_settings(b"[place]\nlat_deg = 95\nlon_deg = 999\n[mesh]\nport = -1\n", "earshot.toml")
    assert all(key in str(caught.value) for key in ("place.lat_deg", "place.lon_deg", "mesh.port"))


def test_a_missing_or_huge_file_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_settings(tmp_path / "none.toml")
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * 100_000)
    with pytest.raises(InputError, match="larger than"):
        load_settings(huge)
