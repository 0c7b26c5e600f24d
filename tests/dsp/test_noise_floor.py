"""The noise floor and the threshold above it."""

import numpy as np
import pytest

from appliance.dsp.noise_floor import QUANTISATION_FLOOR, NoiseFloor


def exceeded(noise: np.ndarray, probability: float) -> float:
    """Share of cells beyond the threshold that the first half of them sets."""
    half = noise.size // 2
    floor = NoiseFloor(half, probability)
    floor.learn(noise[:half])
    return float(np.mean(noise[half:] > floor.threshold()))


@pytest.mark.parametrize("degrees_of_freedom", [4, 11, 40])
def test_steady_noise_passes_about_as_often_as_asked(degrees_of_freedom):
    noise = np.random.default_rng(3).chisquare(degrees_of_freedom, 400_000)

    assert exceeded(noise, 1e-3) == pytest.approx(1e-3, rel=0.5)


def test_noise_that_comes_in_bursts_passes_seldom_too():
    noise = np.random.default_rng(4).weibull(0.5, 400_000)

    assert exceeded(noise, 1e-4) < 2e-4


def test_pulses_among_the_noise_hardly_raise_the_threshold():
    noise = np.random.default_rng(5).chisquare(11, 4_000)
    quiet, loud = NoiseFloor(4_000, 1e-6), NoiseFloor(4_000, 1e-6)
    quiet.learn(noise)
    loud.learn(np.where(np.arange(noise.size) % 100 == 0, 1e6, noise))

    assert loud.threshold() < 2.0 * quiet.threshold()


def test_the_oldest_cells_are_forgotten():
    floor = NoiseFloor(100, 1e-3)
    floor.learn(np.full(100, 50.0))
    assert floor.median() == 50.0
    for _ in range(3):
        floor.learn(np.full(40, 2.0))

    assert floor.n_cells == 100
    assert floor.median() == 2.0


def test_a_floor_that_knows_nothing_is_that_of_the_converter():
    assert NoiseFloor(100, 1e-3).threshold() == QUANTISATION_FLOOR
    assert NoiseFloor(100, 1e-3).median() == QUANTISATION_FLOOR
