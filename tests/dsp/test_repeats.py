"""Rounds that repeat, and echoes that don't."""

import numpy as np
import pytest

from appliance.dsp.repeats import RepeatTest


def sound_of(pattern: np.ndarray, at: int, n: int, *, noise: float = 0.0, seed: int = 5) -> np.ndarray:
    sound = noise * np.random.default_rng(seed).standard_normal(n)
    sound[at : at + pattern.size] += pattern
    return sound.astype(np.float32)


def pattern(seed: int, rate_hz: float) -> np.ndarray:
    """A front and the echoes of one place."""
    n = round(0.04 * rate_hz)
    # The same echoes at every rate: made at 4 kHz, with lines between.
    coarse = np.random.default_rng(seed).standard_normal(160) * np.exp(-np.arange(160) / 40.0)
    return np.interp(np.arange(n) / rate_hz, np.arange(160) / 4_000.0, coarse)


def passage(test: RepeatTest, sound: np.ndarray, trigger: int) -> np.ndarray:
    found = test.passage(sound[trigger - test.samples_before : trigger + test.samples_after])
    assert found is not None
    return found


@pytest.mark.parametrize("rate_hz", [8_000.0, 12_000.0, 16_000.0, 44_100.0, 48_000.0, 96_000.0])
def test_the_same_pattern_is_alike_and_its_front_is_timed(rate_hz):
    test = RepeatTest(rate_hz)
    n, at, late = round(0.3 * rate_hz), round(0.15 * rate_hz), round(0.0037 * rate_hz)
    first = passage(test, sound_of(pattern(1, rate_hz), at, n), at)
    again = passage(test, sound_of(pattern(1, rate_hz), at + late, n, noise=0.02), at)

    found = test.compare(again, [first])

    assert found.likeness > 0.9
    assert found.late_samples == pytest.approx(late, abs=max(0.2, 4.0 * found.sigma_samples))
    assert found.sigma_samples < 1e-4 * rate_hz


def test_the_error_of_the_lag_is_what_it_is_said_to_be():
    test, rate_hz = RepeatTest(16_000.0), 16_000.0
    first = passage(test, sound_of(pattern(1, rate_hz), 2_400, 4_800), 2_400)
    scores = []
    for seed in range(200):
        again = passage(test, sound_of(pattern(1, rate_hz), 2_400, 4_800, noise=0.2, seed=seed), 2_400)
        found = test.compare(again, [first])
        scores.append(found.late_samples / found.sigma_samples)

    assert 0.7 < float(np.sqrt(np.mean(np.square(scores)))) < 1.4


def test_another_pattern_is_not_alike():
    test = RepeatTest(16_000.0)
    sounds = [sound_of(pattern(seed, 16_000.0), 2_400, 4_800) for seed in range(12)]
    passages = [passage(test, sound, 2_400) for sound in sounds]

    assert test.compare(passages[0], passages[1:]).likeness < 0.5


def test_the_most_alike_of_several_is_named():
    test = RepeatTest(16_000.0)
    passages = [passage(test, sound_of(pattern(seed, 16_000.0), 2_400, 4_800), 2_400) for seed in range(4)]
    again = passage(test, sound_of(pattern(2, 16_000.0), 2_400, 4_800, noise=0.1), 2_400)

    assert test.compare(again, passages).which == 2


def test_a_flipped_wave_is_not_alike():
    test = RepeatTest(16_000.0)
    sound = sound_of(pattern(1, 16_000.0), 2_400, 4_800)

    assert test.compare(passage(test, -sound, 2_400), [passage(test, sound, 2_400)]).likeness < 0.6


def test_too_little_sound_and_silence_are_no_passage():
    test = RepeatTest(16_000.0)

    assert test.passage(np.ones(100, np.float32)) is None
    assert test.passage(np.zeros(4_800, np.float32)) is None


def test_a_voice_is_like_itself_and_a_round_is_not():
    test, times_s = RepeatTest(16_000.0), np.arange(4_800) / 16_000.0
    voice = sum(np.sin(2 * np.pi * 150.0 * k * times_s + k) / k for k in range(2, 12))

    assert test.self_likeness(passage(test, np.asarray(voice, np.float32), 2_400)) > 0.9
    assert test.self_likeness(passage(test, sound_of(pattern(1, 16_000.0), 2_400, 4_800), 2_400)) < 0.5
