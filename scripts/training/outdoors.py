"""What the outdoors and a microphone do to a sound before a node hears it, drawn at random."""

from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from appliance.model.air import Air
from appliance.physics.attenuation import absorption_db_per_m, minimum_phase
from appliance.physics.outdoors import apply_distance
from training.corpus import WORK_RATE_HZ
from training.onsets import find_onsets, refine_onset

BEFORE = round(0.6 * WORK_RATE_HZ)
AFTER = round(1.25 * WORK_RATE_HZ)
EXCERPT_SAMPLES = BEFORE + AFTER

_ECHO_SHARE = 0.15
_ROOM_S = 0.9
_RAIL = 0.98
_MODELLED_SHARE = 0.12
"""How often a street with echoes is the one that scenes are simulated with, instead of the rougher one here."""


@dataclass(frozen=True, slots=True)
class Way:
    """How far a sound comes and through what.

    distance_m: range of distances beyond that of the recording, drawn evenly in the logarithm
    echo_share: how often there is a street around with echoes, not open ground
    snr_db:     range of the event's first 20 ms over the noise mixed in
    """

    distance_m: tuple[float, float]
    echo_share: float
    snr_db: tuple[float, float]


def excerpt(samples: NDArray[np.float32], onset: int) -> NDArray[np.float64]:
    """The sound around an onset, zero outside the recording, shape (`EXCERPT_SAMPLES`,), onset at `BEFORE`."""
    low, high = onset - BEFORE, onset + AFTER
    inside = samples[max(low, 0) : max(high, 0)].astype(np.float64)
    n_before = max(-low, 0)
    return np.pad(inside, (n_before, EXCERPT_SAMPLES - n_before - len(inside)))


def through_outdoors(
    rng: np.random.Generator, sound: NDArray[np.float64], background: NDArray[np.float64], way: Way | None
) -> tuple[NDArray[np.float32], int]:
    """The sound as a microphone there hears it, and its onset. `way` None: it has come its way, only noise is added."""
    heard = sound / (np.abs(sound).max() + 1e-12)
    if way is not None:
        distance_m = float(np.exp(rng.uniform(*np.log(way.distance_m))))
        heard = propagate(rng, heard, distance_m, echoes=rng.random() < way.echo_share)
    onset = refine_onset(heard.astype(np.float32), WORK_RATE_HZ, BEFORE)
    if way is not None and rng.random() < _ECHO_SHARE:
        onset = _late_onset(rng, heard, onset)
    snr_db = rng.uniform(*(way.snr_db if way is not None else (5.0, 45.0)))
    heard = heard + background * (_emphasised_rms(heard[onset : onset + 240]) / 10.0 ** (snr_db / 20.0))
    heard = microphone(rng, heard)
    return heard.astype(np.float32), onset


def propagate(
    rng: np.random.Generator, sound: NDArray[np.float64], distance_m: float, *, echoes: bool
) -> NDArray[np.float64]:
    """Air absorption, ground, and the street's echoes; the direct sound keeps its place in time."""
    if echoes and rng.random() < _MODELLED_SHARE:
        heard = apply_distance(sound, WORK_RATE_HZ, distance_m, Air(rng.uniform(-5.0, 35.0)), rng)[: len(sound)]
        return heard / (np.abs(heard).max() + 1e-12)
    n = scipy.fft.next_fast_len(len(sound) + round(_ROOM_S * WORK_RATE_HZ), real=True)
    n += n % 2
    frequencies_hz = np.fft.rfftfreq(n, 1.0 / WORK_RATE_HZ)
    transfer = _absorption(rng, frequencies_hz, distance_m) * _ground(rng, frequencies_hz, distance_m)
    if echoes:
        transfer = transfer * scipy.fft.rfft(_street(rng, distance_m), n)
    heard = scipy.fft.irfft(scipy.fft.rfft(sound, n) * transfer, n)[: len(sound)]
    return heard / (np.abs(heard).max() + 1e-12)


def _absorption(
    rng: np.random.Generator, frequencies_hz: NDArray[np.float64], distance_m: float
) -> NDArray[np.complex128]:
    """Air and, on part of the ways, bending over roofs (3 dB less for every doubling of frequency)."""
    air = Air(temperature_c=rng.uniform(-5.0, 35.0))
    loss_db = distance_m * absorption_db_per_m(frequencies_hz, air, rng.uniform(20.0, 95.0))
    if rng.random() < 0.4:
        loss_db = loss_db + rng.uniform(0.0, 4.0) * np.log2(1.0 + frequencies_hz / 200.0)
    return minimum_phase(loss_db)


def _ground(rng: np.random.Generator, frequencies_hz: NDArray[np.float64], distance_m: float) -> NDArray[np.complex128]:
    """Image source in the ground: source 0.5 to 2 m, microphone 2 to 12 m up; hard to soft, low-passed."""
    source_m, node_m = rng.uniform(0.5, 2.0), rng.uniform(2.0, 12.0)
    lateral_m = max(distance_m, 3.0)
    extra_m = np.hypot(lateral_m, source_m + node_m) - np.hypot(lateral_m, node_m - source_m)
    strength = rng.uniform(0.2, 0.95) / (1.0 + 1j * frequencies_hz / rng.uniform(1_000.0, 6_000.0))
    return 1.0 + strength * np.exp(-2j * np.pi * frequencies_hz * extra_m / 340.0)


def _street(rng: np.random.Generator, distance_m: float) -> NDArray[np.float64]:
    """Impulse response of a street: direct sound, single echoes, and a diffuse tail."""
    n = round(_ROOM_S * WORK_RATE_HZ)
    times_s = np.arange(n) / WORK_RATE_HZ
    response = np.zeros(n)
    response[0] = 10.0 ** (-rng.uniform(0.0, 6.0 if rng.random() < 0.7 else 14.0) / 20.0)
    decay_s = rng.uniform(0.05, 0.4)
    for delay_s in rng.exponential(rng.uniform(0.03, 0.2), rng.poisson(8)) + 0.002:
        if delay_s < _ROOM_S - 0.01:
            width = rng.integers(1, 8)
            bump = rng.normal(size=width) * 0.6 * np.exp(-delay_s / decay_s) / np.sqrt(width)
            response[round(delay_s * WORK_RATE_HZ) :][:width] += bump
    build_up = 1.0 - np.exp(-times_s / rng.uniform(0.003, 0.03))
    tail = rng.normal(size=n) * build_up * np.exp(-6.9 * times_s / rng.uniform(0.3, 1.8))
    tail = scipy.signal.lfilter([0.5], [1.0, -rng.uniform(0.3, 0.8)], tail)
    level_db = rng.uniform(-48.0, -26.0) + 6.0 * np.log10(max(distance_m, 10.0) / 10.0)
    return response + tail * 10.0 ** (level_db / 20.0)


def _late_onset(rng: np.random.Generator, heard: NDArray[np.float64], onset: int) -> int:
    """One of the rises in the second half second after the onset: an echo that a detector takes for an onset."""
    segment = heard[onset - 3_600 : onset + 6_600].astype(np.float32)
    late = [s for s in find_onsets(segment, WORK_RATE_HZ) if s > 3_600 + 480]
    return onset - 3_600 + late[rng.integers(len(late))] if late else onset


def microphone(rng: np.random.Generator, heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """Band from 4 kHz up, low cut, tilt, gain up to 20 dB into the rail, and 12 to 16 bits."""
    low_hz = np.exp(rng.uniform(np.log(15.0), np.log(180.0)))
    sections = scipy.signal.butter(rng.integers(1, 3), low_hz, "highpass", fs=WORK_RATE_HZ, output="sos")
    heard = scipy.signal.sosfilt(sections, heard)
    if rng.random() < 0.5:
        high_hz = rng.uniform(3_300.0, 5_600.0)
        sections = scipy.signal.butter(rng.integers(1, 5), high_hz, fs=WORK_RATE_HZ, output="sos")
        heard = scipy.signal.sosfilt(sections, heard)
    tilt = rng.uniform(-0.35, 0.35)
    heard = heard + tilt * np.concatenate([[0.0], heard[:-1]])
    over_db = rng.uniform(0.0, 20.0) if rng.random() < 0.5 else rng.uniform(-45.0, 0.0)
    heard = np.clip(heard / (np.abs(heard).max() + 1e-12) * _RAIL * 10.0 ** (over_db / 20.0), -_RAIL, _RAIL)
    step = 2.0 ** -rng.integers(11, 16)
    return np.round(heard / step) * step


def _emphasised_rms(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(np.diff(samples))) + 1e-16))


class Backgrounds:
    """Noise to mix in: rms of its first difference 1."""

    def __init__(self, recordings: list[NDArray[np.float32]]) -> None:
        """Take recordings of at least a few tenths of a second; short ones repeat, mirrored."""
        self._recordings = [r for r in recordings if len(r) > WORK_RATE_HZ // 4]

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """One stretch of `EXCERPT_SAMPLES`: recorded, made (pink to brown, with gusts of wind), or both."""
        noise = self._recorded(rng) if rng.random() < 0.75 else _made(rng)
        if rng.random() < 0.3:
            noise = noise + 10.0 ** rng.uniform(-1.0, 1.0) * _made(rng)
        return noise / _emphasised_rms(noise)

    def _recorded(self, rng: np.random.Generator) -> NDArray[np.float64]:
        recording = self._recordings[rng.integers(len(self._recordings))]
        if len(recording) < EXCERPT_SAMPLES:
            mirrored = np.concatenate([recording, recording[::-1]])
            recording = np.tile(mirrored, EXCERPT_SAMPLES // len(mirrored) + 1)
        start = rng.integers(len(recording) - EXCERPT_SAMPLES + 1)
        noise = recording[start : start + EXCERPT_SAMPLES].astype(np.float64)
        return noise / _emphasised_rms(noise)


def _made(rng: np.random.Generator) -> NDArray[np.float64]:
    frequencies_hz = np.fft.rfftfreq(EXCERPT_SAMPLES, 1.0 / WORK_RATE_HZ)
    spectrum = rng.normal(size=len(frequencies_hz)) + 1j * rng.normal(size=len(frequencies_hz))
    spectrum *= np.maximum(frequencies_hz, 20.0) ** -rng.uniform(0.0, 1.6)
    noise = scipy.fft.irfft(spectrum, EXCERPT_SAMPLES)
    gusts = np.interp(np.arange(EXCERPT_SAMPLES), np.linspace(0, EXCERPT_SAMPLES, 12), rng.normal(size=12))
    noise = noise * np.exp(rng.uniform(0.0, 0.8) * gusts)
    return noise / _emphasised_rms(noise)
