"""Shock waves and muzzle blasts."""

import numpy as np
import pytest

from appliance.dsp.arrival import blast_pulse
from appliance.dsp.phase import PhaseTest, n_wave

FRONT_S = 0.06


def probability(pulse: np.ndarray, rate_hz: float, noise: float) -> float | None:
    sound = pulse + noise * np.random.default_rng(7).standard_normal(pulse.size)
    return PhaseTest(rate_hz).shock_probability(sound, FRONT_S * rate_hz + 0.4)


def times_s(rate_hz: float) -> np.ndarray:
    return np.arange(round(0.1 * rate_hz)) / rate_hz - FRONT_S


@pytest.mark.parametrize("rate_hz", [44_100.0, 48_000.0, 96_000.0])
@pytest.mark.parametrize("duration_s", [0.0002, 0.0003, 0.0004])
def test_an_n_wave_is_a_shock_wave(rate_hz, duration_s):
    assert probability(n_wave(times_s(rate_hz), duration_s, 2e-5), rate_hz, 0.05) > 0.9


@pytest.mark.parametrize("rate_hz", [44_100.0, 48_000.0, 96_000.0])
@pytest.mark.parametrize("duration_s", [0.0005, 0.001, 0.003])
def test_a_friedlander_pulse_is_a_blast(rate_hz, duration_s):
    assert probability(blast_pulse(times_s(rate_hz), duration_s, 5e-5), rate_hz, 0.05) < 0.01


def test_a_ringing_knock_is_neither():
    ringing = np.exp(-np.maximum(times_s(48_000.0), 0) / 0.003) * np.sin(2 * np.pi * 4_000 * times_s(48_000.0))

    assert probability(np.where(times_s(48_000.0) >= 0, ringing, 0.0), 48_000.0, 0.02) is None


def test_a_low_sample_rate_can_not_tell():
    assert probability(n_wave(times_s(12_000.0), 0.0003, 5e-5), 12_000.0, 0.01) is None


def test_the_n_falls_evenly_from_one_to_minus_one():
    pulse = n_wave(np.array([-0.0001, 0.00002, 0.00015, 0.00028, 0.0004]), 0.0003, 1e-6)

    np.testing.assert_allclose(pulse, [0.0, 1 - 2 * 0.02 / 0.3, 0.0, 1 - 2 * 0.28 / 0.3, 0.0], atol=1e-3)
