"""Emissions as arrays hear them: on time, from the right side, the same whatever was rendered before."""

import numpy as np
import pytest

from appliance.model.air import Air
from appliance.model.audio import ArrayGeometry
from appliance.scene.emissions import Emission
from appliance.scene.rendering import ArraySite, Rendered, Renderer
from appliance.scene.town import Town

RATE_HZ = 16_000.0
AIR = Air(15.0, 0.0, 0.0)  # 340.3 m/s
EMPTY = Town((), (), np.zeros((0, 5)), np.zeros((1, 3)))
CROSS = ArrayGeometry(((0.0, 0.5, 0.0), (0.5, 0.0, 0.0), (0.0, -0.5, 0.0), (-0.5, 0.0, 0.0)))


def site(*place: float, heading_deg: float = 0.0, node: str = "n1") -> ArraySite:
    return ArraySite(node, (place[0], place[1], place[2]), heading_deg, CROSS)


def shot(*place: float, weapon: str = "9mm pistol", aim: tuple[float, float, float] = (0.0, 1.0, 0.0)) -> Emission:
    return Emission("shot", "muzzle blast", 2.0, (place[0], place[1], place[2]), aim, "a", weapon)


def renderer(air: Air = AIR, seed: int = 3) -> Renderer:
    return Renderer(EMPTY, air, RATE_HZ, seed)


def onset_s(heard: Rendered, channel: int = 0) -> float:
    """When the sound first reaches a third of the peak of its first 10 ms."""
    wave = np.abs(heard.pressure_pa[channel])
    start = int(np.argmax(wave > 0.02 * wave.max()))
    peak = wave[start : start + 160].max()
    return float(heard.first_sample + np.argmax(wave > 0.33 * peak)) / RATE_HZ


def test_a_shot_is_heard_when_sound_has_come_its_way() -> None:
    heard = renderer().render(shot(0.0, 200.0, 2.0), 0, site(0.0, 0.0, 6.0))[0]
    # 200.04 m at 340.27 m/s, half a metre less to the first microphone; turbulence moves it by 0.16 ms.
    assert onset_s(heard) == pytest.approx(2.0 + 0.58788 - 0.00147, abs=5e-4)


def test_wind_towards_the_node_hurries_the_sound() -> None:
    still, windy = (
        onset_s(renderer(Air(15.0, 0.0, wind)).render(shot(0.0, 300.0, 2.0), 0, site(0.0, 0.0, 2.0))[0])
        for wind in (0.0, -10.0)
    )
    # 300 / 340.27 - 300 / 350.27 s, blowing south, towards the node.
    assert still - windy == pytest.approx(0.02517, abs=5e-4)


@pytest.mark.parametrize(("heading_deg", "first"), [(0.0, 0), (90.0, 3), (180.0, 2), (-90.0, 1)])
def test_the_microphone_that_faces_the_source_hears_it_first(heading_deg: float, first: int) -> None:
    heard = renderer().render(shot(0.0, 150.0, 2.0), 0, site(0.0, 0.0, 2.0, heading_deg=heading_deg))[0]
    arrivals_s = [onset_s(heard, channel) for channel in range(4)]
    assert int(np.argmin(arrivals_s)) == first
    # One metre between opposite microphones is 2.9 ms.
    assert max(arrivals_s) - min(arrivals_s) == pytest.approx(1.0 / 340.27, abs=3e-4)


def test_level_falls_with_distance() -> None:
    near, far = (renderer().render(shot(0.0, d, 2.0), 0, site(0.0, 0.0, 6.0))[0] for d in (50.0, 400.0))
    near_dbspl, far_dbspl = (20.0 * np.log10(np.abs(h.pressure_pa).max() / 20e-6) for h in (near, far))
    assert 18.0 < near_dbspl - far_dbspl < 35.0
    assert 110.0 < near_dbspl < 135.0


def test_results_do_not_depend_on_what_was_rendered_before() -> None:
    one, other = renderer(), renderer()
    other.render(shot(0.5, 180.0, 2.0), 7, site(0.0, 0.0, 6.0))
    other.render(shot(0.0, 200.0, 2.0), 1, site(40.0, 0.0, 6.0, node="n2"))
    a, b = (r.render(shot(0.0, 180.3, 2.0), 1, site(0.0, 0.0, 6.0))[0] for r in (one, other))
    assert a.first_sample == b.first_sample
    np.testing.assert_array_equal(a.pressure_pa, b.pressure_pa)


def test_rounds_differ_and_seeds_differ() -> None:
    base = renderer().render(shot(0.0, 180.0, 2.0), 1, site(0.0, 0.0, 6.0))[0].pressure_pa
    for other in (
        renderer().render(shot(0.0, 180.0, 2.0), 2, site(0.0, 0.0, 6.0))[0].pressure_pa,
        renderer(seed=4).render(shot(0.0, 180.0, 2.0), 1, site(0.0, 0.0, 6.0))[0].pressure_pa,
    ):
        n = min(base.shape[1], other.shape[1])
        assert not np.allclose(base[:, :n], other[:, :n])


def test_turbulence_moves_each_round_by_itself() -> None:
    sound = renderer()
    times_s = [onset_s(sound.render(shot(0.0, 400.0, 2.0), k, site(0.0, 0.0, 6.0))[0]) for k in range(24)]
    # 11.6 us times the root of 400 m, and what sampling at 16 kHz adds.
    assert 0.15e-3 < np.std(times_s) < 0.35e-3


def test_a_rifle_bullet_that_passes_is_heard_before_the_blast() -> None:
    past = shot(0.0, 0.0, 1.5, weapon="5.56 mm rifle")
    heard = renderer().render(past, 0, site(20.0, 250.0, 6.0))
    blast, shock = heard
    # x = 250, b = 20.5: 250/930 + 20.5 * 2.543 / (2.733 * 340.3) = 0.3249 s; the blast takes 0.7372 s.
    assert onset_s(shock) == pytest.approx(2.3249, abs=2e-3)
    assert onset_s(blast) == pytest.approx(2.7372, abs=2e-3)


@pytest.mark.parametrize(
    "emission",
    [
        shot(0.0, 0.0, 1.5, weapon="5.56 mm rifle", aim=(0.0, -1.0, 0.0)),  # fired the other way
        shot(0.0, 0.0, 1.5, weapon="45 pistol"),  # slower than sound
        shot(0.0, 0.0, 1.5, weapon="12 gauge shotgun"),  # many pellets, no one bullet
    ],
)
def test_where_no_bullet_passes_there_is_no_shock_wave(emission: Emission) -> None:
    assert len(renderer().render(emission, 0, site(20.0, 250.0, 6.0))) == 1


@pytest.mark.parametrize("sound", ["burst", "crackers", "impact", "bark", "voice", "whistle", "lift", "crackle"])
def test_sounds_from_a_point_come_after_their_time(sound: str) -> None:
    heard = renderer().render(Emission(sound, sound, 1.0, (100.0, 0.0, 2.0)), 0, site(0.0, 0.0, 6.0))[0]
    assert np.abs(heard.pressure_pa).max() > 0.0
    begin = int((1.0 + 100.0 / 340.27) * RATE_HZ) - heard.first_sample
    before = np.abs(heard.pressure_pa[:, : begin - 30]).max()
    assert before < 0.02 * np.abs(heard.pressure_pa).max()


def test_thunder_and_cars_are_heard_where_they_are() -> None:
    bolt = Emission("thunder", "thunder", 1.0, (2_000.0, 0.0, 5.0))
    thunder = renderer().render(bolt, 0, site(0.0, 0.0, 6.0))[0]
    assert thunder.first_sample / RATE_HZ > 1.0 + 1_000.0 / 340.0
    car = renderer().render(Emission("vehicle", "vehicle", 20.0, (15.0, 0.0, 0.5)), 0, site(0.0, 0.0, 2.0))[0]
    power = np.convolve(np.mean(car.pressure_pa.astype(float) ** 2, axis=0), np.ones(4_000), mode="valid")
    loudest_s = (car.first_sample + np.argmax(power) + 2_000) / RATE_HZ
    assert loudest_s == pytest.approx(20.0, abs=1.0)


def test_nothing_is_heard_before_the_time_that_is_promised_for_planning() -> None:
    for sound, kind in (("muzzle blast", "shot"), ("thunder", "thunder"), ("vehicle", "vehicle"), ("impact", "impact")):
        emission = Emission(kind, sound, 30.0, (300.0, 40.0, 2.0), (0.0, 1.0, 0.0), "a", "9mm pistol")
        array = site(0.0, 0.0, 6.0)
        for heard in renderer().render(emission, 0, array):
            assert heard.first_sample / RATE_HZ >= renderer().arrival_s(emission, array) - 0.01
