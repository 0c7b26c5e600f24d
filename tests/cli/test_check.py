"""`earshot check`: what a person reads about a node."""

import re

from appliance.cli import main
from appliance.config.folder import NodeFolder
from appliance.config.settings import parse_settings
from appliance.daemon.mesh_setup import ensure_keys

FIXED = """
[node]
id = "roof-3"
site = "harbour"
[ears]
source = "disabled"
[place]
source = "fixed"
lat_deg = 35.1
lon_deg = -106.6
sigma_m = 1.0
[clock]
sigma_us = 10.0
"""


def lines_of(out: str) -> dict[str, str]:
    """Mark of each check by its name."""
    return {m[2]: m[1] for m in re.finditer(r"^(\S+)\s+(\w+): ", out, re.MULTILINE)}


def test_each_part_of_a_node_is_named_with_what_to_do(tmp_path, capsys):
    (tmp_path / "earshot.toml").write_text(FIXED)
    assert main(["check", "--state", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    marks = lines_of(out)
    assert marks["keys"] == "ok"
    assert "none yet; earshot mesh makes" in out
    assert err == ""
    assert marks["microphones"] == "FAILED"
    assert marks["place"] == "ok"
    assert marks["clock"] == "ok"
    assert marks["classifier"] == "ok"


def test_damaged_keys_are_named_with_what_to_do(tmp_path, capsys):
    (tmp_path / "earshot.toml").write_text(FIXED)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/node.key").write_text("x")
    main(["check", "--state", str(tmp_path)])
    out = capsys.readouterr().out
    assert lines_of(out)["keys"] == "FAILED"
    assert "enrol the node" in out


def test_a_node_whose_clock_nobody_keeps_is_told_all_that_is_missing(tmp_path, capsys):
    (tmp_path / "earshot.toml").write_text(FIXED.replace("[clock]\nsigma_us = 10.0", ""))
    main(["check", "--state", str(tmp_path)])
    out = capsys.readouterr().out
    assert lines_of(out)["clock"] == "FAILED"
    assert "NOT READY because" in out


def test_the_first_node_of_a_site_makes_its_keys_once(tmp_path, capsys):
    folder = NodeFolder(tmp_path)
    folder.make()
    settings = parse_settings(FIXED.encode(), "earshot.toml")
    ensure_keys(settings, folder)
    first = (folder.keys / "node.key").read_bytes()
    ensure_keys(settings, folder)
    assert (folder.keys / "node.key").read_bytes() == first
    folder.settings_file.write_text(FIXED)
    main(["check", "--state", str(tmp_path)])
    out = capsys.readouterr().out
    assert lines_of(out)["keys"] == "ok"
    assert "node roof-3 of site harbour" in out


def test_wrong_settings_are_one_line_and_status_2(tmp_path, capsys):
    (tmp_path / "earshot.toml").write_text("[node]\nidd = 3\n")
    assert main(["check", "--state", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "earshot.toml" in line
    assert "did you mean id?" in line


def test_the_settings_in_force_can_be_printed_and_used_again(tmp_path, capsys):
    (tmp_path / "earshot.toml").write_text(FIXED)
    main(["check", "--state", str(tmp_path), "--settings"])
    printed = capsys.readouterr().out.split("ok     settings")[0]
    assert parse_settings(printed.encode(), "printed") == parse_settings(FIXED.encode(), "earshot.toml")
