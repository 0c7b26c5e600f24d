"""One wavefront as an array hears it."""

import numpy as np
import pytest

from appliance.dsp.arrival import blast_pulse
from appliance.dsp.bearing import Bearing, BearingScan, NoBearing
from appliance.dsp.wavefront import measure_wavefront

RATE_HZ = 48_000.0
FRONT_S = 0.085
SQUARE_M = 0.2 * np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def wave(positions_m: np.ndarray, azimuth_rad: float, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    times_s = np.arange(round(0.11 * RATE_HZ)) / RATE_HZ
    delays_s = -(positions_m @ np.array([np.sin(azimuth_rad), np.cos(azimuth_rad), 0.0])) / 343.0
    pulses = np.stack([blast_pulse(times_s - FRONT_S - delay_s, 0.001, 6e-5) for delay_s in delays_s])
    return pulses + noise * np.random.default_rng(seed).standard_normal(pulses.shape)


def measure(positions_m: np.ndarray, sound: np.ndarray):
    return measure_wavefront(sound, RATE_HZ, round(FRONT_S * RATE_HZ), BearingScan(positions_m, RATE_HZ))


@pytest.mark.parametrize("offset_m", [(0.0, 0.0, 0.0), (0.6, -0.3, 0.0)])
@pytest.mark.parametrize("azimuth_rad", [0.3, 2.0, 4.5])
def test_the_time_is_that_at_the_origin_of_the_array(offset_m, azimuth_rad):
    positions_m = SQUARE_M + np.array(offset_m)

    front = measure(positions_m, wave(positions_m, azimuth_rad))

    assert isinstance(front.bearing, Bearing)
    assert front.sample / RATE_HZ == pytest.approx(FRONT_S, abs=4 * front.sigma_samples / RATE_HZ + 3e-6)
    assert front.sigma_samples / RATE_HZ < 2e-5


def test_the_way_from_the_microphones_to_the_origin_widens_sigma():
    near, far = (
        measure(SQUARE_M + np.array(offset_m), wave(SQUARE_M + np.array(offset_m), 1.0, noise=0.03))
        for offset_m in ((0.0, 0.0, 0.0), (-1.0, 0.8, 0.0))
    )

    assert far.sigma_samples > 2.0 * near.sigma_samples


def test_several_microphones_time_better_than_one():
    alone, together = [], []
    for seed in range(20):
        sound = wave(SQUARE_M, 1.0, noise=0.1, seed=seed)
        together.append(measure(SQUARE_M, sound).sample / RATE_HZ - FRONT_S)
        single = measure(np.zeros((1, 3)), wave(np.zeros((1, 3)), 1.0, noise=0.1, seed=seed))
        alone.append(single.sample / RATE_HZ - FRONT_S)

    assert np.std(together) < 0.75 * np.std(alone)


def test_without_a_bearing_the_place_of_the_microphone_widens_sigma():
    positions_m = np.array([[0.5, 0.0, 0.0]])

    front = measure(positions_m, wave(positions_m, 1.0))

    assert isinstance(front.bearing, NoBearing)
    assert front.sigma_samples / RATE_HZ > 0.5 / 343.0 / 2.0


def test_a_microphone_that_stands_still_is_left_out():
    sound = wave(SQUARE_M, 1.0)
    sound[2] = 0.7

    front = measure(SQUARE_M, sound)

    assert isinstance(front.bearing, Bearing)
    assert front.bearing.azimuth_rad == pytest.approx(1.0, abs=0.02)
    assert front.channel != 2


def test_a_microphone_that_buzzes_is_left_out():
    sound = wave(SQUARE_M, 1.0)
    sound[1] += 0.8 * np.sign(np.sin(2 * np.pi * 100 * np.arange(sound.shape[1]) / RATE_HZ))

    front = measure(SQUARE_M, sound)

    assert front.bearing.azimuth_rad == pytest.approx(1.0, abs=0.02)
    assert front.sample / RATE_HZ == pytest.approx(FRONT_S, abs=2e-5)
