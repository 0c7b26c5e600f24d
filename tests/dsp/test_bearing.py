"""Bearings of simulated plane waves."""

import math

import numpy as np
import pytest

from appliance.dsp.arrival import blast_pulse
from appliance.dsp.bearing import Bearing, BearingScan, NoBearing

RATE_HZ = 48_000.0
FRONT_S = 0.06


def ring(n: int, radius_m: float) -> np.ndarray:
    angles = 2 * np.pi * np.arange(n) / n
    return np.stack([radius_m * np.cos(angles), radius_m * np.sin(angles), np.zeros(n)], axis=1)


TETRAHEDRON = 0.05 * np.array([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])


def wave(positions_m, azimuth_deg, *, elevation_deg=0.0, snr_db=30.0, speed_mps=343.0, seed=0, rate_hz=RATE_HZ):
    """A blast from a direction as each microphone hears it, (channels, n); it passes the origin at `FRONT_S`."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    towards = np.array(
        [math.cos(elevation) * math.sin(azimuth), math.cos(elevation) * math.cos(azimuth), math.sin(elevation)]
    )
    times_s = np.arange(round(0.09 * rate_hz)) / rate_hz
    delays_s = -(positions_m @ towards) / speed_mps
    pulses = np.stack([blast_pulse(times_s - FRONT_S - delay_s, 0.0008, 5e-5) for delay_s in delays_s])
    noise = np.random.default_rng(seed).standard_normal(pulses.shape)
    return pulses / pulses.max() + 10 ** (-snr_db / 20) * noise


def find(positions_m, sound, rate_hz=RATE_HZ, channels=None):
    channels = np.arange(len(positions_m)) if channels is None else channels
    heard_by = int(channels[0])
    front = int(np.argmax(np.abs(sound[heard_by]) > 0.5))
    return BearingScan(positions_m, rate_hz).find(sound, front, heard_by, channels)


@pytest.mark.parametrize("heard_by", range(4))
def test_the_front_may_be_that_of_any_channel(heard_by):
    positions_m = ring(4, 0.5)
    sound = wave(positions_m, 37.0)
    front = int(np.argmax(np.abs(sound[heard_by]) > 0.5))

    bearing = BearingScan(positions_m, RATE_HZ).find(sound, front, heard_by, np.arange(4))

    assert isinstance(bearing, Bearing)
    assert abs(error_deg(bearing, 37.0)) < 0.3
    assert bearing.coherence > 0.95


def error_deg(bearing: Bearing, azimuth_deg: float) -> float:
    return (math.degrees(bearing.azimuth_rad) - azimuth_deg + 180.0) % 360.0 - 180.0


@pytest.mark.parametrize(
    ("positions_m", "rate_hz", "limit_deg"),
    [
        (ring(4, 0.032), 16_000.0, 5.0),
        (ring(4, 0.032), 48_000.0, 3.0),
        (np.vstack([ring(6, 0.043), np.zeros(3)]), 48_000.0, 2.0),
        (ring(8, 0.15), 48_000.0, 0.5),
        (ring(4, 0.5), 48_000.0, 0.3),
        (ring(3, 0.1), 8_000.0, 4.0),
        (TETRAHEDRON, 44_100.0, 2.0),
    ],
)
@pytest.mark.parametrize("azimuth_deg", [0.0, 37.0, 90.0, 200.0, 359.0])
def test_the_bearing_is_clockwise_from_forward_for_any_array(positions_m, rate_hz, limit_deg, azimuth_deg):
    bearing = find(positions_m, wave(positions_m, azimuth_deg, rate_hz=rate_hz), rate_hz)

    assert isinstance(bearing, Bearing)
    assert abs(error_deg(bearing, azimuth_deg)) < limit_deg


def test_the_error_is_as_large_as_sigma_says():
    positions_m = ring(4, 0.1)
    rng = np.random.default_rng(4)
    scores = []
    for seed in range(60):
        azimuth_deg = rng.uniform(0, 360)
        bearing = find(positions_m, wave(positions_m, azimuth_deg, snr_db=20.0, seed=seed))
        scores.append(error_deg(bearing, azimuth_deg) / math.degrees(bearing.sigma_rad))

    assert 0.75 < np.sqrt(np.mean(np.square(scores))) < 1.3


def test_an_array_with_height_tells_the_elevation():
    bearing = find(TETRAHEDRON, wave(TETRAHEDRON, 120.0, elevation_deg=40.0))

    assert math.degrees(bearing.elevation_rad) == pytest.approx(40.0, abs=2.0)
    assert abs(error_deg(bearing, 120.0)) < 2.0


def test_a_flat_array_hears_a_source_overhead_from_the_right_side():
    positions_m = ring(8, 0.15)

    bearing = find(positions_m, wave(positions_m, 250.0, elevation_deg=60.0))

    assert math.degrees(bearing.elevation_rad) == pytest.approx(
        60.0, abs=3.0 * math.degrees(bearing.elevation_sigma_rad)
    )
    assert math.degrees(bearing.elevation_sigma_rad) < 3.0
    assert abs(error_deg(bearing, 250.0)) < 1.5


@pytest.mark.parametrize("elevation_deg", [0.0, 10.0, 30.0, 75.0])
def test_the_elevation_by_a_flat_array_is_within_its_error(elevation_deg):
    positions_m, errors = ring(4, 0.032), []
    for seed in range(40):
        heard = wave(positions_m, 30.0, elevation_deg=elevation_deg, snr_db=25.0, seed=seed)
        bearing = find(positions_m, heard)
        errors.append((math.degrees(bearing.elevation_rad) - elevation_deg) / math.degrees(bearing.elevation_sigma_rad))

    assert np.sqrt(np.mean(np.square(errors))) < 1.4


@pytest.mark.parametrize("positions_m", [np.zeros((1, 3)), ring(2, 0.1), np.array([[0.1 * k, 0, 0] for k in range(4)])])
def test_too_few_microphones_or_a_line_give_none(positions_m):
    assert isinstance(find(positions_m, wave(positions_m, 30.0)), NoBearing)


def test_what_crosses_the_array_slower_than_sound_is_refused():
    positions_m = ring(8, 0.15)

    refused = find(positions_m, wave(positions_m, 30.0, speed_mps=220.0))

    assert isinstance(refused, NoBearing)
    assert "slower" in refused.reason


def test_two_waves_at_once_are_refused():
    positions_m = ring(8, 0.15)

    refused = find(positions_m, wave(positions_m, 30.0) + wave(positions_m, 160.0, seed=1))

    assert isinstance(refused, NoBearing)
    assert "plane wave" in refused.reason


def test_channels_that_do_not_work_are_left_out():
    positions_m = ring(8, 0.15)
    sound = wave(positions_m, 75.0)
    sound[3] = 0.0

    bearing = find(positions_m, sound, channels=np.array([0, 1, 2, 4, 5, 6, 7]))

    assert abs(error_deg(bearing, 75.0)) < 0.7


def test_too_little_sound_before_the_front_gives_none():
    positions_m = ring(4, 0.1)
    sound = wave(positions_m, 75.0)[:, round((FRONT_S - 0.004) * RATE_HZ) :]

    assert isinstance(find(positions_m, sound), NoBearing)
