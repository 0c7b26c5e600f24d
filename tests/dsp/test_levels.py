"""Levels, clipping and dropouts."""

import numpy as np
import pytest

from appliance.dsp.levels import SILENCE_DBFS, channel_levels, is_clipped, is_dropout


def test_a_full_scale_sine_is_0_dbfs_peak_and_3_db_less_rms():
    sine = np.sin(2 * np.pi * 1_000 * np.arange(48_000) / 48_000).astype(np.float32)

    (level,) = channel_levels(sine[np.newaxis])

    assert level.peak_dbfs == pytest.approx(0.0, abs=0.01)
    assert level.rms_dbfs == pytest.approx(-3.01, abs=0.01)


def test_silence_and_an_empty_block_have_the_lowest_level():
    assert channel_levels(np.zeros((2, 10), np.float32))[1].peak_dbfs == SILENCE_DBFS
    assert channel_levels(np.zeros((2, 0), np.float32))[1].rms_dbfs == SILENCE_DBFS


def test_samples_at_a_rail_below_full_scale_are_counted_per_channel():
    samples = np.zeros((2, 100), np.float32)
    samples[1, 40:45] = -0.9803

    quiet, loud = channel_levels(samples)

    assert (quiet.n_clipped_samples, loud.n_clipped_samples) == (0, 5)


@pytest.mark.parametrize(
    ("peak_samples", "expected"),
    [
        ([0.9803, 0.9803], True),
        ([-0.9803, -0.98031], True),
        ([0.95, 0.95], True),
        ([1.0], True),
        ([0.9803], False),
        ([0.5, 0.5, 0.5], False),
        ([0.97, 0.90], False),
    ],
)
def test_a_rail_is_two_equal_samples_at_the_extreme(peak_samples, expected):
    sound = (0.01 * np.random.default_rng(1).standard_normal(200)).astype(np.float32)
    sound[50 : 50 + len(peak_samples)] = peak_samples

    assert is_clipped(sound) is expected


def test_sound_that_stands_still_beside_a_front_is_a_dropout():
    sound = np.random.default_rng(1).standard_normal((2, 4_800)) * 0.01
    assert not is_dropout(sound, 48_000.0, 2_400)

    before, after, one = sound.copy(), sound.copy(), sound.copy()
    before[:, 1_000:2_400] = 0.25
    after[:, 2_400:] = 0.0
    one[0, 2_400:] = 0.0

    assert is_dropout(before, 48_000.0, 2_400)
    assert is_dropout(after, 48_000.0, 2_400)
    assert not is_dropout(one, 48_000.0, 2_400)


def test_a_long_rail_is_no_dropout():
    sound = np.random.default_rng(1).standard_normal((1, 4_800)) * 0.01
    sound[:, 2_400:3_000] = 0.9803

    assert not is_dropout(sound, 48_000.0, 2_400)
