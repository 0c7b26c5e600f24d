"""The classifier's front end: what must change a patch, and what must not."""

import numpy as np
import pytest

from appliance.dsp import features

ONSET_S = 0.48  # a whole number of samples at each nominal rate
RATES_HZ = (7_999.2, 8_000.0, 11_025.0, 12_000.0, 16_000.0, 22_050.0, 44_100.0, 47_998.3, 48_000.0, 96_000.0, 96_009.6)


def event(rate_hz: float, duration_s: float = 1.3) -> np.ndarray:
    """A decaying chord of 40 tones within the band, each from its own moment on; the same sound at any rate."""
    rng = np.random.default_rng(5)
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    sound = np.zeros(len(times_s))
    for _ in range(40):
        frequency_hz, start_s, level = rng.uniform(150.0, 3_000.0), ONSET_S + rng.exponential(0.1), rng.normal()
        after_s = np.maximum(times_s - start_s, 0.0)
        rise = 1.0 - np.exp(-after_s / 0.002)
        sound += level * rise**4 * np.exp(-after_s / 0.08) * np.sin(2.0 * np.pi * frequency_hz * after_s)
    return (0.1 * sound).astype(np.float32)


def patch(sound: np.ndarray, rate_hz: float) -> np.ndarray:
    return features.log_mel_patch(sound, rate_hz, round(ONSET_S * rate_hz))


def levels_db(a: np.ndarray) -> np.ndarray:
    """A patch's cells in decibels, those of the lowest 15 dB (where leakage of the chord's edges lies) as one."""
    return np.maximum(a * features.RANGE_DB, 15.0)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_patch_is_the_same_at_any_sample_rate(rate_hz):
    difference_db = levels_db(patch(event(rate_hz), rate_hz)) - levels_db(patch(event(32_000.0), 32_000.0))
    assert np.abs(difference_db).max() < 1.5
    assert np.abs(difference_db).mean() < 0.1


@pytest.mark.parametrize("tone_hz", [4_700.0, 8_000.0, 15_000.0])
def test_sound_above_the_band_does_not_change_a_patch(tone_hz):
    rate_hz = 48_000.0
    sound = event(rate_hz)
    tone = np.sin(2.0 * np.pi * tone_hz * np.arange(len(sound)) / rate_hz) * np.abs(sound).max()
    with_tone = patch((sound + tone).astype(np.float32), rate_hz)
    assert np.abs(levels_db(with_tone) - levels_db(patch(sound, rate_hz))).max() < 1.5


@pytest.mark.parametrize("gain", [1e-3, 0.1, 9.0])
def test_gain_does_not_change_a_patch(gain):
    rate_hz = 16_000.0
    quieter = patch((event(rate_hz) * gain).astype(np.float32), rate_hz)
    assert np.abs(quieter - patch(event(rate_hz), rate_hz)).max() < 1e-3


def test_a_later_onset_moves_the_sound_forward_in_the_patch():
    rate_hz = 16_000.0
    hops = 6
    moved = round(hops * features.HOP_SAMPLES * rate_hz / features.COMMON_RATE_HZ)
    here = patch(event(rate_hz), rate_hz)
    later = features.log_mel_patch(event(rate_hz), rate_hz, round(ONSET_S * rate_hz) + moved)
    assert np.abs(later[:-hops] - here[hops:]).max() < 0.02


@pytest.mark.parametrize("rate_hz", [8_000.0, 12_000.0, 44_100.0, 96_000.0])
def test_nothing_outside_the_stated_window_is_needed(rate_hz):
    sound = event(rate_hz) + np.random.default_rng(1).normal(0.0, 0.01, round(1.3 * rate_hz)).astype(np.float32)
    onset = round(ONSET_S * rate_hz)
    low = onset - int(np.ceil(features.WINDOW_BEFORE_S * rate_hz))
    high = onset + int(np.ceil(features.WINDOW_AFTER_S * rate_hz))
    cut = features.log_mel_patch(sound[low:high], rate_hz, onset - low)
    assert np.array_equal(cut, patch(sound, rate_hz))


def test_silence_is_assumed_where_the_sound_ends():
    rate_hz = 12_000.0
    onset = round(ONSET_S * rate_hz)
    short = event(rate_hz)[onset : onset + 2_400]
    padded = np.concatenate([np.zeros(6_000), short, np.zeros(12_000)]).astype(np.float32)
    assert np.array_equal(features.log_mel_patch(short, rate_hz, 0), features.log_mel_patch(padded, rate_hz, 6_000))


def test_the_range_is_zero_to_one_and_silence_is_all_zeros():
    heard = patch(event(16_000.0), 16_000.0)
    assert heard.shape == features.PATCH_SHAPE
    assert heard.dtype == np.float32
    assert heard.max() == 1.0
    assert heard.min() == 0.0
    assert not patch(np.zeros(16_000, dtype=np.float32), 16_000.0).any()


@pytest.mark.parametrize("rate_hz", [0.0, 7_900.0, 97_000.0, float("nan")])
def test_a_rate_out_of_bounds_is_refused(rate_hz):
    with pytest.raises(ValueError, match="sample rate"):
        features.log_mel_patch(np.zeros(1_000, dtype=np.float32), rate_hz, 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_sound_that_is_no_number_is_refused(value):
    sound = event(16_000.0)
    sound[8_000] = value
    with pytest.raises(ValueError, match="finite"):
        patch(sound, 16_000.0)
