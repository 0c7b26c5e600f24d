"""Sounds made by physics for the training: each begins where it says and repeats with its seed."""

import numpy as np
import pytest
from training import simulated
from training.outdoors import BEFORE, EXCERPT_SAMPLES

MAKERS = (simulated.gunshot, simulated.firework, simulated.thunder, simulated.impact, simulated.vehicle)


@pytest.mark.parametrize("make", MAKERS)
def test_a_sound_fills_its_excerpt_is_heard_at_its_onset_and_repeats_with_its_seed(make):
    for seed in range(12):
        sound = make(np.random.default_rng(seed))
        assert sound.shape == (EXCERPT_SAMPLES,)
        assert np.isfinite(sound).all()
        at_onset = np.abs(sound[BEFORE - 24 : BEFORE + 360]).max()
        assert at_onset > 0.02 * np.abs(sound).max()
        np.testing.assert_array_equal(sound, make(np.random.default_rng(seed)))
