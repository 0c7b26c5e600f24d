import numpy as np
import pytest

from appliance.dsp.spectrum import SILENCE_DBFS, band_middles_hz, third_octaves_dbfs

RATE_HZ = 16_000.0
N = 8_192


def test_a_tone_is_in_its_band_with_its_level():
    time_s = np.arange(N) / RATE_HZ
    tones = np.stack([0.5 * np.sin(2 * np.pi * 1_000.0 * time_s), 0.05 * np.sin(2 * np.pi * 3_162.0 * time_s)])
    levels = third_octaves_dbfs(tones, RATE_HZ)
    middles_hz = band_middles_hz(RATE_HZ)
    for channel, (middle_hz, amplitude) in enumerate([(1_000.0, 0.5), (3_162.0, 0.05)]):
        band = int(np.argmin(np.abs(np.array(middles_hz) - middle_hz)))
        assert levels[channel][band] == pytest.approx(20 * np.log10(amplitude) - 3.01, abs=0.2)
        assert all(level < levels[channel][band] - 30 for i, level in enumerate(levels[channel]) if abs(i - band) > 1)


def test_the_bands_of_noise_sum_to_what_lies_in_them():
    noise = np.random.default_rng(1).normal(0.0, 0.1, (1, N))
    (levels,) = third_octaves_dbfs(noise, RATE_HZ)
    middles_hz = band_middles_hz(RATE_HZ)
    share = (middles_hz[-1] * 10**0.05 - middles_hz[0] * 10**-0.05) / (RATE_HZ / 2)
    total = sum(10 ** (level / 10) for level in levels)
    assert total == pytest.approx(0.01 * share, rel=0.1)


def test_bands_are_the_standard_ones_and_end_below_half_the_rate():
    middles_hz = band_middles_hz(RATE_HZ)
    assert [round(middle) for middle in middles_hz[:4]] == [25, 32, 40, 50]
    assert middles_hz[-1] * 10**0.05 <= RATE_HZ / 2 < middles_hz[-1] * 10**0.15
    assert len(band_middles_hz(48_000.0)) == 30


def test_silence_has_a_level_that_can_be_sent():
    assert set(third_octaves_dbfs(np.zeros((1, N)), RATE_HZ)[0]) == {SILENCE_DBFS}
    assert set(third_octaves_dbfs(np.zeros((2, 0)), RATE_HZ)[1]) == {SILENCE_DBFS}
