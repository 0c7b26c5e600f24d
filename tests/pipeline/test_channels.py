"""Broken channels are named from ordinary sound, and sound ones are not."""

import numpy as np
import pytest

from appliance.model.audio import ArrayGeometry, AudioBlock
from appliance.model.instants import UtcNs
from appliance.physics.ambience import background
from appliance.pipeline.channels import ChannelFault, ChannelFaultKind, ChannelWatch

RATE_HZ = 16_000


def ring(n: int, radius_m: float) -> ArrayGeometry:
    angles = 2.0 * np.pi * np.arange(n) / n
    return ArrayGeometry(tuple((radius_m * float(np.cos(a)), radius_m * float(np.sin(a)), 0.0) for a in angles))


ARRAYS = {"4 of r 32 mm": ring(4, 0.032), "8 of r 150 mm": ring(8, 0.15)}


def street(geometry: ArrayGeometry, *, seed: int = 1, moments: int = 9) -> np.ndarray:
    """The background of a street, in which a car, a voice or a bird comes from another direction in each moment."""
    rng = np.random.default_rng(seed)
    places_m = np.array(geometry.microphones_m)
    n = 2 * (round(0.2 * RATE_HZ) // 2)
    parts = []
    for _ in range(moments):
        sound = background(n, places_m, RATE_HZ, rng, level_dba=48.0, wind_mps=1.0)
        frequencies_hz = np.fft.rfftfreq(n, 1.0 / RATE_HZ)
        source = np.fft.rfft(rng.standard_normal(n)) / (1.0 + frequencies_hz / 500.0)
        azimuth = rng.uniform(0.0, 2.0 * np.pi)
        ahead_s = places_m @ np.array([np.sin(azimuth), np.cos(azimuth), 0.0]) / 343.0
        heard = np.fft.irfft(source * np.exp(2j * np.pi * np.outer(ahead_s, frequencies_hz)), n)
        parts.append(1e-3 * (sound / sound.std() + 3.0 * heard / heard.std()))
    return np.concatenate(parts, axis=1).astype(np.float32)


def watch(geometry: ArrayGeometry, sound: np.ndarray) -> ChannelWatch:
    """The moments, ten seconds and more apart."""
    watch = ChannelWatch(geometry)
    n = 2 * (round(0.2 * RATE_HZ) // 2)
    for k in range(sound.shape[1] // n):
        first = k * 11 * RATE_HZ
        watch.feed(AudioBlock(sound[:, k * n : (k + 1) * n], first, float(RATE_HZ), UtcNs(0), 0))
    return watch


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("seed", range(5))
def test_sound_channels_are_not_accused(name, seed):
    found = watch(ARRAYS[name], street(ARRAYS[name], seed=seed))

    assert found.has_opinion
    assert found.faults == ()


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("channel", [0, 2])
def test_a_dead_channel_is_named(name, channel):
    sound = street(ARRAYS[name])
    sound[channel] = 0.0

    assert watch(ARRAYS[name], sound).faults == (ChannelFault(ChannelFaultKind.DEAD, (channel,)),)


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("channel", [0, 3])
def test_an_inverted_channel_is_named(name, channel):
    sound = street(ARRAYS[name])
    sound[channel] *= -1.0

    assert watch(ARRAYS[name], sound).faults == (ChannelFault(ChannelFaultKind.INVERTED, (channel,)),)


@pytest.mark.parametrize(("name", "pair"), [("4 of r 32 mm", (0, 1)), ("8 of r 150 mm", (2, 5))])
def test_swapped_channels_are_named(name, pair):
    geometry = ARRAYS[name]
    sound = street(geometry)
    sound[list(pair)] = sound[list(pair[::-1])]

    (fault,) = watch(geometry, sound).faults

    assert fault.kind is ChannelFaultKind.SWAPPED
    # Exchanging the other two of a square mirrors what exchanging these does.
    assert fault.channels == pair or name.startswith("4")


def test_an_only_microphone_that_stands_still_is_dead():
    mono = ArrayGeometry(((0.0, 0.0, 0.0),))

    assert watch(mono, np.full((1, 9 * 3_200), 0.2, np.float32)).faults == (ChannelFault(ChannelFaultKind.DEAD, (0,)),)
    assert watch(mono, street(ARRAYS["4 of r 32 mm"])[:1]).faults == ()


def test_wind_at_each_microphone_for_itself_accuses_nobody():
    geometry = ARRAYS["8 of r 150 mm"]
    wind = 1e-3 * np.random.default_rng(1).standard_normal((8, 9 * 3_200))

    assert watch(geometry, wind.astype(np.float32)).faults == ()


def test_a_fault_that_is_mended_is_forgotten():
    geometry = ARRAYS["4 of r 32 mm"]
    broken = street(geometry)
    broken[1] *= -1.0
    sound = np.concatenate([broken, street(geometry, seed=2)], axis=1)

    assert watch(geometry, sound).faults == ()


def test_nothing_is_said_of_near_silence_or_before_enough_was_heard():
    geometry = ARRAYS["4 of r 32 mm"]
    quiet = 1e-6 * np.random.default_rng(1).standard_normal((4, 9 * 3_200))

    assert watch(geometry, quiet.astype(np.float32)).faults == ()
    assert not watch(geometry, street(geometry, moments=2)).has_opinion


def test_most_blocks_are_only_looked_at_for_their_time():
    geometry = ARRAYS["4 of r 32 mm"]
    sound = street(geometry)
    sound[1] *= -1.0
    watching = ChannelWatch(geometry)
    for k in range(9):  # a second and a half in all: one moment
        first = k * 3_200
        watching.feed(AudioBlock(sound[:, first : first + 3_200], first, float(RATE_HZ), UtcNs(0), 0))

    assert not watching.has_opinion
