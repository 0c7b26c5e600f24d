"""First arrivals of simulated blasts."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from appliance.dsp.arrival import align, blast_pulse, change_point, first_arrival
from appliance.dsp.levels import rail_of

FRONT_S = 0.06


def blast(rate_hz: float, front_s: float, *, duration_s=0.001, smoothing_s=8e-5, noise=0.0, seed=0) -> np.ndarray:
    times_s = np.arange(round(0.1 * rate_hz)) / rate_hz
    pulse = blast_pulse(times_s - front_s, duration_s, smoothing_s)
    return 0.3 * (pulse / pulse.max() + noise * np.random.default_rng(seed).standard_normal(times_s.size))


def error_us(sound: np.ndarray, rate_hz: float, front_s: float) -> float:
    arrival = first_arrival(sound, rate_hz, round((front_s + 0.0008) * rate_hz))
    return (arrival.sample / rate_hz - front_s) * 1e6


def test_the_pulse_is_a_friedlander_blast_behind_a_gaussian_low_pass():
    step_s = 1e-6
    times_s = np.arange(-2_000, 8_000) * step_s
    sharp = np.where(times_s >= 0, (1 - times_s / 0.001) * np.exp(-times_s / 0.001), 0.0)
    sharp[2_000] = 0.5

    expected = gaussian_filter1d(sharp, 5e-5 / step_s)

    np.testing.assert_allclose(blast_pulse(times_s, 0.001, 5e-5), expected, atol=2e-3)


@pytest.mark.parametrize("rate_hz", [8_000.0, 12_000.0, 16_000.0, 44_100.0, 48_000.0, 96_000.0])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.7])
def test_the_front_is_found_within_a_fraction_of_a_sample(rate_hz, fraction):
    front_s = FRONT_S + fraction / rate_hz

    assert abs(error_us(blast(rate_hz, front_s, smoothing_s=1e-4), rate_hz, front_s)) < 0.2e6 / rate_hz + 2


@pytest.mark.parametrize("smoothing_s", [2e-5, 5e-5, 1e-4, 2e-4])
def test_the_front_does_not_move_with_the_distance_that_softens_it(smoothing_s):
    sound = blast(48_000.0, FRONT_S, smoothing_s=smoothing_s, duration_s=0.002)

    assert abs(error_us(sound, 48_000.0, FRONT_S)) < 15


@pytest.mark.parametrize("delay_s", [0.0007, 0.0015, 0.003])
@pytest.mark.parametrize("gain", [0.8, -0.9, 2.0])
def test_a_reflection_that_follows_does_not_move_it(delay_s, gain):
    sound = blast(48_000.0, FRONT_S, noise=0.01)
    sound += gain * blast(48_000.0, FRONT_S + delay_s)

    assert abs(error_us(sound, 48_000.0, FRONT_S)) < 25


def test_an_inverted_microphone_hears_the_same_front():
    sound = blast(48_000.0, FRONT_S, noise=0.03)

    assert error_us(-sound, 48_000.0, FRONT_S) == pytest.approx(error_us(sound, 48_000.0, FRONT_S), abs=0.1)


@pytest.mark.parametrize("rate_hz", [12_000.0, 48_000.0])
@pytest.mark.parametrize("gain", [1.2, 2.0, 3.0])
def test_clipping_leaves_the_front_where_it_is(rate_hz, gain):
    whole = gain * blast(rate_hz, FRONT_S, noise=0.003, smoothing_s=1e-4) / 0.3
    clipped = np.clip(whole, -0.9803, 0.9803)

    arrival = first_arrival(clipped, rate_hz, round(FRONT_S * rate_hz), rail=rail_of(clipped))

    assert abs(arrival.sample / rate_hz - FRONT_S) < 40e-6


@pytest.mark.parametrize("noise", [0.03, 0.1, 0.18])
def test_the_error_is_as_large_as_sigma_says(noise):
    rng = np.random.default_rng(8)
    scores = []
    for seed in range(60):
        front_s = FRONT_S + rng.uniform(0, 1e-3)
        sound = blast(48_000.0, front_s, noise=noise, duration_s=rng.uniform(5e-4, 2e-3), seed=seed)
        arrival = first_arrival(sound, 48_000.0, round(front_s * 48_000.0))
        scores.append((arrival.sample - front_s * 48_000.0) / arrival.sigma_samples)

    assert 0.6 < np.sqrt(np.mean(np.square(scores))) < 1.4


def test_a_front_that_no_blast_explains_has_a_wide_sigma():
    rate_hz = 48_000.0
    times_s = np.arange(round(0.1 * rate_hz)) / rate_hz
    rng = np.random.default_rng(2)
    swell = 0.3 * np.clip((times_s - FRONT_S) / 0.004, 0, 1) * rng.standard_normal(times_s.size)
    sound = 0.001 * rng.standard_normal(times_s.size) + swell

    arrival = first_arrival(sound, rate_hz, round(FRONT_S * rate_hz) + 40)

    assert not arrival.is_fitted
    assert arrival.sigma_samples > 3.0


def test_the_change_point_is_where_the_variance_changes():
    rng = np.random.default_rng(6)
    sound = np.concatenate([0.1 * rng.standard_normal(300), rng.standard_normal(100)])

    assert change_point(sound) == pytest.approx(300, abs=4)


def test_alignment_brings_delayed_channels_together():
    delays_s = np.array([0.0, 0.41e-3, -0.273e-3])
    channels = np.stack([blast(48_000.0, FRONT_S + delay_s) for delay_s in delays_s])

    beam = align(channels, 48_000.0, delays_s)

    alone = channels[0] - channels[0].mean()
    np.testing.assert_allclose(beam[200:-200], alone[200:-200], atol=2e-3)
