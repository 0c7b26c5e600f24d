"""The simulated world: unbroken blocks, events in them where they belong, the same from the same seed."""

import numpy as np
import pytest

from appliance.model.air import Air
from appliance.model.audio import ArrayGeometry
from appliance.model.space import Geodetic, NodePose
from appliance.scene.emissions import Emission
from appliance.scene.rendering import ArraySite, Renderer
from appliance.scene.simulation import SimulatedWorld, WorldSettings, truth_of
from appliance.scene.town import Town

START_NS = 1_783_134_720_000_000_000
EMPTY = Town((), (), np.zeros((0, 5)), np.zeros((1, 3)))
SETTINGS = WorldSettings(air=Air(15.0), block_s=0.1)
PAIR = ArrayGeometry(((0.0, 0.0, 0.0), (0.1, 0.0, 0.0)))
SHOT = Emission("shot", "muzzle blast", 1.0, (0.0, 170.0, 1.5), (0.0, -1.0, 0.0), "a", "9mm pistol")


def world(*emissions: Emission, seed: int = 1, settings: WorldSettings = SETTINGS) -> SimulatedWorld:
    sites = [
        (ArraySite(name, place, 0.0, PAIR), NodePose(name, Geodetic(23.9, 0.9, 300.0), 1.0))
        for name, place in (("n1", (0.0, 0.0, 6.0)), ("n2", (0.0, -170.0, 6.0)))
    ]
    renderer = Renderer(EMPTY, settings.air, float(settings.sample_rate_hz), seed)
    return SimulatedWorld(renderer, sites, iter(emissions), settings, start_ns=START_NS, seed=seed)


def listen(world: SimulatedWorld, seconds: float) -> dict[str, np.ndarray]:
    blocks = [world.advance() for _ in range(round(seconds / world.block_s))]
    return {node.id: np.concatenate([b[node.id].samples for b in blocks], axis=1) for node in world.nodes}


def test_blocks_follow_each_other_without_a_gap() -> None:
    sound = world()
    blocks = [sound.advance()["n2"] for _ in range(3)]
    assert [b.first_sample for b in blocks] == [0, 1_600, 3_200]
    assert [b.start_ns - START_NS for b in blocks] == [0, 100_000_000, 200_000_000]
    assert blocks[0].samples.shape == (2, 1_600)
    assert blocks[0].samples.dtype == np.float32
    # What a 16-bit converter gives: whole multiples of its step.
    steps = blocks[0].samples * 32_768.0
    np.testing.assert_array_equal(steps, np.rint(steps))


def test_a_shot_is_in_the_sound_of_each_node_at_its_time() -> None:
    heard = listen(world(SHOT), 3.0)
    for node, distance_m in (("n1", 170.0), ("n2", 340.0)):
        loud = np.abs(heard[node][0]) > 0.5 * np.abs(heard[node][0]).max()
        arrival_s = float(np.argmax(loud)) / 16_000.0
        # The height of the mast adds less than 0.1 m; the strongest ray may be one of the first few milliseconds.
        assert 1.0 + distance_m / 340.27 - 1e-3 < arrival_s < 1.0 + distance_m / 340.27 + 0.02
        quiet = heard[node][:, : int((1.0 + distance_m / 341.0) * 16_000) - 50]
        assert np.abs(quiet).max() < 0.2 * np.abs(heard[node]).max()


def test_an_event_across_blocks_is_whole() -> None:
    short = listen(world(SHOT), 3.0)
    long = listen(world(SHOT, settings=WorldSettings(air=Air(15.0), block_s=1.0)), 3.0)
    for node in ("n1", "n2"):
        # Fresh noise and dither differ with the blocks; the shot is 30 dB above them.
        difference = np.abs(short[node] - long[node]).max()
        assert difference < 0.1 * np.abs(short[node]).max()


def test_the_same_seed_sounds_the_same() -> None:
    one, same, other = (listen(world(SHOT, seed=seed), 2.0)["n1"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_near_shot_is_clipped_at_the_rail() -> None:
    near = Emission("shot", "muzzle blast", 0.5, (0.0, 8.0, 1.5), (0.0, -1.0, 0.0), "a", "9mm pistol")
    heard = listen(world(near, settings=WorldSettings(air=Air(15.0), rail=0.98)), 1.0)["n1"]
    assert np.abs(heard).max() == pytest.approx(0.98, abs=1e-3)
    assert np.count_nonzero(np.abs(heard) > 0.979) > 3


def test_noise_goes_on_longer_than_its_loop_without_repeating_exactly() -> None:
    sound = world(settings=WorldSettings(air=Air(15.0), block_s=1.0))
    blocks = [sound.advance()["n1"].samples for _ in range(18)]
    loop = 2**18 / 16_000.0
    late = np.concatenate(blocks, axis=1)
    first, again = late[:, :8_000], late[:, int(loop * 16_000) : int(loop * 16_000) + 8_000]
    # A tenth of it is new each time.
    assert np.std(first - again) == pytest.approx(np.sqrt(2.0) * 0.1 * np.std(first), rel=0.2)


def test_truth_tells_shots_from_the_rest() -> None:
    bang = Emission("firework", "burst", 2.5, (1.0, 2.0, 90.0))
    truth = truth_of([SHOT, bang], START_NS, lambda place: (place[0], place[1], place[2]))
    assert [(s.time_ns, s.lon, s.shooter, s.weapon) for s in truth.shots] == [
        (START_NS + 1_000_000_000, 170.0, "a", "9mm pistol")
    ]
    assert [(o.time_ns, o.kind, o.alt_m) for o in truth.other] == [(START_NS + 2_500_000_000, "firework", 90.0)]
