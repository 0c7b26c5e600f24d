"""Sounds that are not gunfire: what sets each apart from a blast."""

from collections.abc import Callable

import numpy as np
import pytest

from appliance.physics import confusers
from appliance.physics.blasts import ONSET_SAMPLES, Sound

RATE_HZ = 16_000.0
SOUNDS: dict[str, tuple[Callable[[np.random.Generator], Sound], float, float]] = {
    "burst": (lambda r: confusers.firework_burst(RATE_HZ, r, distance_m=200.0), 155.0, 170.0),
    "lift": (lambda r: confusers.firework_lift(RATE_HZ, r, distance_m=200.0), 138.0, 148.0),
    "crackle": (lambda r: confusers.firework_crackle(RATE_HZ, r), 120.0, 142.0),
    "crackers": (lambda r: confusers.cracker_string(RATE_HZ, r), 135.0, 150.0),
    "whistle": (lambda r: confusers.firework_whistle(RATE_HZ, r), 112.0, 122.0),
    "impact": (lambda r: confusers.impact(RATE_HZ, r), 108.0, 122.0),
    "bark": (lambda r: confusers.bark(RATE_HZ, r), 104.0, 112.0),
    "voice": (lambda r: confusers.voice(RATE_HZ, r), 92.0, 102.0),
    "vehicle": (lambda r: confusers.vehicle(RATE_HZ, 3.0, r), 90.0, 104.0),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_every_sound_is_as_loud_as_it_says_repeats_with_its_seed_and_begins_at_its_onset(name: str) -> None:
    make, low_dbspl, high_dbspl = SOUNDS[name]
    for seed in range(5):
        wave = make(np.random.default_rng(seed)).pressure_pa
        level_dbspl = 20.0 * np.log10(np.abs(wave).max() / 20e-6)
        assert low_dbspl <= level_dbspl <= high_dbspl + 0.1
        assert np.abs(wave[: ONSET_SAMPLES - 8]).max() < 0.03 * np.abs(wave).max()
        np.testing.assert_array_equal(wave, make(np.random.default_rng(seed)).pressure_pa)


def rise_s(wave: np.ndarray) -> float:
    """From the onset to half of the peak."""
    return float(np.argmax(np.abs(wave) > 0.5 * np.abs(wave).max()) - ONSET_SAMPLES) / RATE_HZ


def test_a_door_begins_more_slowly_than_a_burst() -> None:
    doors = [rise_s(confusers.impact(RATE_HZ, np.random.default_rng(s)).pressure_pa) for s in range(10)]
    bursts = [
        rise_s(confusers.firework_burst(RATE_HZ, np.random.default_rng(s), distance_m=1.0).pressure_pa)
        for s in range(10)
    ]
    assert max(bursts) <= 1.0 / RATE_HZ
    assert min(doors) > max(bursts)


def test_thunder_begins_with_the_nearest_point_of_its_channel_and_rolls_for_seconds() -> None:
    channel = confusers.lightning((2_000.0, 0.0), np.random.default_rng(7))
    first_s, heard = confusers.thunder_at(channel, np.zeros(3), RATE_HZ, 340.0)
    nearest_m = np.linalg.norm(channel.points_m, axis=1).min()
    assert first_s == pytest.approx(nearest_m / 340.0)
    assert 3.0 < len(heard) / RATE_HZ < 40.0
    power = np.abs(np.fft.rfft(heard)) ** 2
    frequency_hz = np.fft.rfftfreq(len(heard), 1.0 / RATE_HZ)
    assert power[frequency_hz < 500.0].sum() > 0.8 * power.sum()


def test_thunder_far_away_is_fainter_and_later_at_the_farther_of_two_nodes() -> None:
    channel = confusers.lightning((3_000.0, 0.0), np.random.default_rng(8))
    near_s, near = confusers.thunder_at(channel, np.array([1_500.0, 0.0, 0.0]), RATE_HZ, 340.0)
    far_s, far = confusers.thunder_at(channel, np.array([-3_000.0, 0.0, 0.0]), RATE_HZ, 340.0)
    assert far_s > near_s
    assert np.sqrt(np.mean(far**2)) < np.sqrt(np.mean(near**2))
