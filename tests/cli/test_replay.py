"""`earshot simulate`, `replay` and `locate`: files in, files out, and what is said of broken ones."""

import json
import math
import shutil

import pymap3d
import pytest

from appliance.cli import main

NODES = {"a": (0.0, 0.0), "b": (300.0, 20.0), "c": (-40.0, 280.0), "d": (310.0, 330.0), "e": (140.0, -200.0)}
SOURCE_M = (120.0, 140.0)
ORIGIN = (35.0844, -106.6504, 1510.0)
SHOT_NS = 1_783_134_723_000_000_000
SOUND_MPS = 331.3 * math.sqrt(1.0 + 15.0 / 273.15)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A short simulated scene of four nodes and two rounds."""
    folder = tmp_path_factory.mktemp("scenes") / "two-rounds"
    options = ["--nodes", "4", "--single", "--rate", "12000", "--duration", "9", "--rounds", "2", "--seed", "4"]
    assert main(["simulate", str(folder), *options]) == 0
    return folder


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def offset_m(a, b) -> float:
    east, north, _ = pymap3d.geodetic2enu(a["lat"], a["lon"], 0.0, b["lat"], b["lon"], 0.0)
    return math.hypot(east, north)


def arrival(node: str, place_m: tuple[float, float], late_s: float = 0.0) -> dict:
    lat, lon, alt = pymap3d.enu2geodetic(place_m[0], place_m[1], 0.0, *ORIGIN)
    travel_s = math.dist(place_m, SOURCE_M) / SOUND_MPS + late_s
    return {
        "node": node,
        "time_ns": SHOT_NS + round(travel_s * 1e9),
        "sigma_ns": 300_000,
        "position": {"lat": float(lat), "lon": float(lon), "alt_m": float(alt), "sigma_m": 0.5},
        "level_db_spl": 120.0 - 20.0 * math.log10(math.dist(place_m, SOURCE_M)),
        "snr_db": 22.0,
        "gunshot_probability": 0.95,
    }


def picks_document() -> dict:
    air = {"temperature_c": 15.0, "wind_mps": [0.0, 0.0]}
    return {"version": 1, "air": air, "arrivals": [arrival(node, place) for node, place in NODES.items()]}


def test_a_simulated_scene_is_replayed_to_the_place_and_rounds_of_its_truth(scene, tmp_path):
    assert main(["replay", str(scene), "--out", str(tmp_path)]) == 0
    incidents = read_lines(tmp_path / "two-rounds.jsonl")
    truth = json.loads((scene / "truth.json").read_text())["shots"]
    located = [i for i in incidents if i["lat"] is not None]
    assert len(located) == 1
    assert offset_m(truth[0], located[0]) < 30.0
    assert located[0]["rounds"] == len(truth)
    assert abs(located[0]["time_ns"] - truth[0]["time_ns"]) < 100e6


def test_one_broken_scene_fails_the_call_but_not_the_others(scene, tmp_path, capsys):
    broken = tmp_path / "broken"
    shutil.copytree(scene, broken)
    document = json.loads((broken / "scene.json").read_text())
    del document["nodes"][1]["position"]["lat"]
    (broken / "scene.json").write_text(json.dumps(document))
    assert main(["replay", str(broken), str(scene), "--out", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert "scene.json" in errors[0]
    assert document["nodes"][1]["id"] in errors[0]
    assert "lat" in errors[0]
    assert (tmp_path / "out" / "two-rounds.jsonl").exists()
    assert not (tmp_path / "out" / "broken.jsonl").exists()


def test_a_sound_file_that_was_cut_off_is_named(scene, tmp_path, capsys):
    cut = tmp_path / "cut"
    shutil.copytree(scene, cut)
    whole = (cut / "n2.flac").read_bytes()
    (cut / "n2.flac").write_bytes(whole[: len(whole) // 2])
    assert main(["replay", str(cut), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "n2.flac" in error
    assert "Traceback" not in error


def test_the_same_scene_gives_the_same_bytes(scene, tmp_path):
    for run in ("one", "two"):
        assert main(["replay", str(scene), "--out", str(tmp_path / run)]) == 0
    one, two = ((tmp_path / run / "two-rounds.jsonl").read_bytes() for run in ("one", "two"))
    assert one == two


def test_picks_are_located_and_named_like_their_folder(tmp_path):
    folder = tmp_path / "corner"
    folder.mkdir()
    (folder / "picks.json").write_text(json.dumps(picks_document()))
    assert main(["locate", str(folder / "picks.json"), "--out", str(tmp_path / "out")]) == 0
    (incident,) = read_lines(tmp_path / "out" / "corner.jsonl")
    lat, lon, _ = pymap3d.enu2geodetic(*SOURCE_M, 0.0, *ORIGIN)
    assert offset_m({"lat": float(lat), "lon": float(lon)}, incident) < 5.0
    assert incident["category"] == "gunfire"
    assert incident["heard_by"] == sorted(NODES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("arrivals"), ["arrivals"]),
        (lambda d: d.update(version=2), ["version", "2"]),
        (lambda d: d["arrivals"][2].pop("time_ns"), ["time_ns"]),
        (lambda d: d["arrivals"][0]["position"].update(lat=91.0), ["lat", "91"]),
        (lambda d: d["arrivals"][0].update(sigma_ns="soon"), ["sigma_ns"]),
    ],
)
def test_a_picks_file_of_the_wrong_shape_is_one_line_that_names_it(tmp_path, capsys, change, words):
    document = picks_document()
    change(document)
    path = tmp_path / "picks.json"
    path.write_text(json.dumps(document))
    assert main(["locate", str(path), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(path) in line
    for word in words:
        assert word in line


def test_two_inputs_that_would_write_one_result_are_refused(scene, tmp_path, capsys):
    twin = tmp_path / "two-rounds"
    shutil.copytree(scene, twin)
    assert main(["replay", str(scene), str(twin), "--out", str(tmp_path / "out")]) == 2
    assert "two-rounds.jsonl" in capsys.readouterr().err


def test_a_simulation_that_cannot_be_is_refused(tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "s"), "--nodes", "0"]) == 2
    assert main(["simulate", str(tmp_path / "s"), "--weapon", "trebuchet"]) == 2
    assert "trebuchet" in capsys.readouterr().err
