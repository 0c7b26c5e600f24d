"""A recorded scene as if it happened now."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from appliance.model.audio import ArrayGeometry
from appliance.model.space import Geodetic, NodePose
from appliance.scene.reader import read_scene
from appliance.scene.replaying import QuietWorld, ReplayWorld
from appliance.scene.world import WorldNode

T0_NS = 1_500_000_000_000_000_000
NOW_NS = 1_800_000_000_123_456_789


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    """Two nodes of 1 s: one begins 0.25 s after the other, at another rate."""
    rng = np.random.default_rng(1)
    nodes = []
    for name, rate_hz, late_ns in (("late", 16_000, 250_000_000), ("early", 8_000, 0)):
        sound = rng.integers(-9_000, 9_000, (rate_hz, 2)).astype(np.int16)
        soundfile.write(tmp_path / f"{name}.flac", sound, rate_hz)
        nodes.append(
            {
                "id": name,
                "audio": f"{name}.flac",
                "start_ns": T0_NS + late_ns,
                "clock_sigma_ns": 500,
                "position": {"lat": 1.0, "lon": 2.0, "alt_m": 3.0, "sigma_m": 1.0},
                "microphones_m": [[0, 0, 0], [0.1, 0, 0]],
                "heading_deg": 0.0,
            }
        )
    (tmp_path / "scene.json").write_text(json.dumps({"version": 1, "nodes": nodes}))
    return ReplayWorld(read_scene(tmp_path), start_ns=NOW_NS)


def test_all_times_move_by_one_common_offset(world: ReplayWorld) -> None:
    assert world.shift_ns == NOW_NS - T0_NS
    steps = [world.advance() for _ in range(6)]
    first = {name: next(step[name] for step in steps if name in step) for name in ("early", "late")}
    assert first["early"].start_ns == NOW_NS
    assert first["late"].start_ns == NOW_NS + 250_000_000
    assert first["late"].first_sample == 0
    assert first["late"].sigma_ns == 500
    world.close()


def test_a_block_comes_when_its_last_sample_has_been_heard(world: ReplayWorld) -> None:
    for number in range(1, 9):
        for block in world.advance().values():
            end_ns = block.start_ns + round(block.n_samples / block.sample_rate_hz * 1e9)
            assert end_ns <= NOW_NS + number * 100_000_000 + 1_000_000
            assert end_ns > NOW_NS + (number - 1) * 100_000_000
    world.close()


def test_after_the_end_there_is_quiet_without_a_gap(world: ReplayWorld) -> None:
    blocks = []
    for _ in range(20):
        blocks.append(world.advance()["early"])
        if len(blocks) == 9:
            assert not world.finished
    assert world.finished
    heard = np.concatenate([b.samples for b in blocks], axis=1)
    assert [b.first_sample for b in blocks] == [800 * i for i in range(20)]
    assert np.abs(heard[:, :8_000]).max() > 0.2
    assert 0.0 < np.abs(heard[:, 8_000:]).max() < 1e-3
    assert blocks[-1].start_ns == NOW_NS + 1_900_000_000


def test_the_nodes_are_those_of_the_scene(world: ReplayWorld) -> None:
    assert [(node.id, node.sample_rate_hz) for node in world.nodes] == [("late", 16_000.0), ("early", 8_000.0)]
    assert world.nodes[1].pose.position.lat_deg == 1.0
    assert world.air is None
    world.close()


def test_quiet_is_nearly_nothing_in_step_and_in_time():
    geometry = ArrayGeometry(((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)))
    pose = NodePose("n1", Geodetic(35.0, -106.0, 0.0), 1.0)
    world = QuietWorld([WorldNode("n1", pose, geometry, 16_000.0)], start_ns=NOW_NS, block_s=0.1)
    first, second = world.advance()["n1"], world.advance()["n1"]
    assert first.samples.shape == (2, 1_600)
    assert 0.0 < float(np.abs(first.samples).max()) < 1e-3
    assert (second.first_sample, second.start_ns) == (1_600, NOW_NS + 100_000_000)
