"""Quiet, and what a converter makes of noise."""

import numpy as np
import pytest

from appliance.physics.ambience import a_weighting_db, background, digitise

RATE_HZ = 16_000.0
ARRAY = np.array([[0.032, 0.0, 0.0], [-0.032, 0.0, 0.0]])


def test_the_a_curve_is_that_of_the_standard() -> None:
    # IEC 61672-1, table 3.
    hz = np.array([31.62, 100.0, 1_000.0, 3_981.0, 7_943.0])
    np.testing.assert_allclose(a_weighting_db(hz), [-39.4, -19.1, 0.0, 1.0, -1.1], atol=0.06)


def test_a_street_is_as_loud_as_asked() -> None:
    noise = background(2**16, ARRAY, RATE_HZ, np.random.default_rng(2), level_dba=52.0, wind_mps=0.0)
    power = np.abs(np.fft.rfft(noise[0])) ** 2
    weighted = power * 10.0 ** (a_weighting_db(np.fft.rfftfreq(2**16, 1.0 / RATE_HZ)) / 10.0)
    assert 10.0 * np.log10(2.0 * weighted.sum() / 2**32 / 4e-10) == pytest.approx(52.0, abs=0.5)


def test_near_microphones_hear_the_same_low_street_but_each_its_own_wind() -> None:
    def coherence(wind_mps: float) -> float:
        noise = background(2**16, ARRAY, RATE_HZ, np.random.default_rng(3), level_dba=50.0, wind_mps=wind_mps)
        spectra = np.fft.rfft(noise)[:, 100:1_600]  # 24 to 390 Hz
        return float(np.abs(np.vdot(spectra[0], spectra[1])) / np.prod(np.linalg.norm(spectra, axis=1)))

    assert coherence(0.0) > 0.98
    assert coherence(12.0) < 0.5


def test_a_noise_loop_has_no_seam() -> None:
    noise = background(2**14, ARRAY, RATE_HZ, np.random.default_rng(4), level_dba=50.0, wind_mps=3.0)[0]
    steps = np.abs(np.diff(np.concatenate([noise, noise[:1]])))
    assert steps[-1] < 5.0 * np.std(steps)


def test_what_is_too_loud_stops_at_the_rail() -> None:
    pressure_pa = np.array([0.0, 10.0, 40.0, -40.0])
    samples = digitise(pressure_pa, 120.0, np.random.default_rng(5), rail=0.98)
    assert abs(int(samples[0])) <= 1
    assert int(samples[1]) == pytest.approx(16_384, abs=2)  # 10 Pa is half of the 20 Pa of 120 dB
    assert (samples[2], samples[3]) == (32_111, -32_111)
