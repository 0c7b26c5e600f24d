"""Simulated scenes on disk: readable, true to their truth, the same from the same seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.errors import InputError
from appliance.model.space import Geodetic
from appliance.physics.air import sound_speed_mps
from appliance.physics.geodesy import LocalFrame
from appliance.physics.propagation import travel_time_s
from appliance.scene.reader import RecordedScene, read_scene, read_truth
from appliance.scene.synthesise import SceneSpec, simulate_scene
from appliance.wire.truth import Truth

SPEC = SceneSpec(seed=3, n_nodes=3, duration_s=8.0, shooters=1, rounds=2, cadence_s=1.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "park"
    simulate_scene(SPEC, folder)
    return folder


def samples(scene: RecordedScene, node: str) -> np.ndarray:
    source = scene.source(node, block_s=1.0)
    blocks = []
    try:
        while True:
            block = source.read(0.0)
            assert block is not None
            blocks.append(block.samples)
    except EOFError:
        source.close()
    return np.concatenate(blocks, axis=1)


def truth_of(folder: Path) -> Truth:
    truth = read_truth(folder)
    assert truth is not None
    return truth


def test_a_simulated_scene_is_a_scene_with_what_was_asked_for(folder: Path) -> None:
    scene, truth = read_scene(folder), truth_of(folder)
    assert scene.scene.name == "park"
    assert [node.id for node in scene.scene.nodes] == ["n1", "n2", "n3"]
    assert all(node.geometry.n_channels == 4 for node in scene.scene.nodes)
    assert scene.duration_s == pytest.approx(8.0)
    assert scene.scene.air is not None
    assert scene.scene.air.temperature_c == 18.0
    assert [(s.shooter, s.weapon) for s in truth.shots] == [("a", "9mm pistol")] * 2
    assert truth.other == ()


def test_every_round_arrives_at_every_node_when_the_truth_says(folder: Path) -> None:
    scene, truth = read_scene(folder), truth_of(folder)
    for node in scene.scene.nodes:
        wave = np.abs(samples(scene, node.id)[0])
        frame = LocalFrame(node.pose.position)
        for shot in truth.shots:
            source_m = frame.to_enu(Geodetic(shot.lat, shot.lon, shot.alt_m))
            travel_s = travel_time_s(source_m, np.zeros(3), sound_speed_mps(18.0), (1.0, -0.5))
            at = int(((shot.time_ns - node.start_ns) / 1e9 + float(travel_s)) * 16_000)
            # The node's own place is known to 0.7 m (2 ms); an edge in the way makes it later by some milliseconds.
            before, after = wave[at - 1_600 : at - 80].max(), wave[at - 80 : at + 320].max()
            assert after > 5.0 * before


def test_the_same_specification_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "park"
    simulate_scene(SPEC, again)
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["n1.flac", "n2.flac", "n3.flac", "scene.json", "truth.json"]
    for name in names:
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_another_seed_is_another_scene(folder: Path, tmp_path: Path) -> None:
    simulate_scene(replace(SPEC, seed=4), tmp_path / "park")
    assert truth_of(tmp_path / "park").shots[0].lat != truth_of(folder).shots[0].lat


def test_shooters_disturbances_rate_and_microphones_are_as_asked(tmp_path: Path) -> None:
    spec = replace(
        SPEC, shooters=2, rounds=1, disturbances=("door", "dog"), array=False, sample_rate_hz=12_000, n_nodes=2
    )
    shares: list[float] = []
    simulate_scene(spec, tmp_path / "s", shares.append)
    scene, truth = read_scene(tmp_path / "s"), truth_of(tmp_path / "s")
    assert {s.shooter for s in truth.shots} == {"a", "b"}
    assert {o.kind for o in truth.other} == {"impact", "dog"}
    assert scene.scene.nodes[0].geometry.n_channels == 1
    assert scene.sounds["n1"].sample_rate_hz == 12_000
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("n_nodes", 0, "number of nodes: is 0"),
        ("duration_s", 1.0, "duration in seconds: is 1.0"),
        ("duration_s", float("nan"), "duration in seconds: is nan"),
        ("duration_s", 1e9, "duration in seconds: is 1000000000.0"),
        ("shooters", 9, "number of shooters: is 9"),
        ("rounds", 0, "number of rounds: is 0"),
        ("rounds", 50, "duration in seconds: is 8.0; choose"),
        ("cadence_s", 0.0, "cadence in seconds: is 0.0"),
        ("weapon", "catapult", "weapon: is 'catapult'; choose one of 9mm pistol"),
        ("disturbances", ("party",), "disturbance: is 'party'"),
        ("sample_rate_hz", 4_000, "sample rate in Hz: is 4000"),
        ("temperature_c", 200.0, "temperature in degrees Celsius: is 200.0"),
        ("wind_mps", (30.0, 30.0), "wind in metres per second: is 42.4"),
        ("spacing_m", 0.0, "spacing in metres: is 0.0"),
        ("seed", -1, "seed: is -1"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path: Path, field: str, value: object, words: str) -> None:
    with pytest.raises(InputError) as error:
        simulate_scene(replace(SPEC, **{field: value}), tmp_path / "s")
    assert words in str(error.value)
    assert not (tmp_path / "s").exists()


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.*can't be written"):
        simulate_scene(SPEC, tmp_path / "file" / "s")
