"""Dead, inverted and swapped channels, from a moment of ordinary sound.

Microphones of one array stand close together, so what they hear is alike but for delays that fit one plane wave. A
channel whose correlation with the others peaks below zero is inverted; delays that fit a plane wave only after two
channels have changed places name the two. Where swapping two microphones mirrors the array (opposite ones of a square),
sound can't show it.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SOUND_SPEED_MPS = 340.0
SNAPSHOT_S = 0.17
"""Long enough for some hundred bins, short enough that a passing sound has one direction."""
LOW_HZ = 150.0
HIGH_HZ = 4_000.0
DEAD_DB = 40.0
"""A channel this far below the middle one carries nothing but its own noise."""
SILENT_RMS = 1e-5
"""Below the rounding of 16 bits; where all are as quiet, nothing can be said."""
MIN_PEAK = 0.2
"""Share of the bins' power in step at the best lag: noise of the microphones' own (wind) has less, and says nothing."""
LAGS_PER_SAMPLE = 4
MIN_SLOWNESS = 0.3
"""Sound with less than this share of its slowness along the array (from above, from all around) hardly shows who stands
where."""
MAX_MISFIT = 0.15
"""Root mean square misfit of delays to a plane wave, over the delays themselves, of an array that is as it is said."""
CLEARLY = 3.0
"""The misfit must shrink by this factor for two channels to be called swapped."""


SAME = 1.2
"""Misfits that differ by less than this factor are equal."""


@dataclass(frozen=True, slots=True)
class ChannelReading:
    """What one moment shows. Channels count from 0.

    dead:     channels that carry nothing
    inverted: channels of the opposite sign; None where the sound says nothing of signs
    swapped:  two channels in each other's place, or an empty tuple; None where the sound says nothing of places
    """

    dead: tuple[int, ...]
    inverted: tuple[int, ...] | None
    swapped: tuple[int, ...] | None


class ChannelTest:
    """Reads moments of sound of one array at one sample rate."""

    def __init__(self, microphones_m: NDArray[np.float64], sample_rate_hz: float) -> None:
        """Prepare for microphones of shape (channels, 3)."""
        self._positions_m = microphones_m
        self._rate_hz = sample_rate_hz
        self.n_samples = round(SNAPSHOT_S * sample_rate_hz)
        frequencies_hz = np.fft.rfftfreq(self.n_samples, 1.0 / sample_rate_hz)
        self._bins = np.flatnonzero((frequencies_hz >= LOW_HZ) & (frequencies_hz <= min(HIGH_HZ, 0.4 * sample_rate_hz)))
        offsets_m = microphones_m[:, np.newaxis] - microphones_m
        reach_s = float(np.max(np.linalg.norm(offsets_m, axis=2), initial=0.0)) / SOUND_SPEED_MPS
        n_lags = math.ceil(reach_s * sample_rate_hz * LAGS_PER_SAMPLE) + 1
        self._lags_s = np.arange(-n_lags, n_lags + 1) / (LAGS_PER_SAMPLE * sample_rate_hz)
        turns = np.outer(frequencies_hz[self._bins], self._lags_s)
        self._steering = np.exp(2j * np.pi * turns).astype(np.complex64)

    def read(self, samples: NDArray[np.float32]) -> ChannelReading:
        """What `n_samples` of all channels show, (channels, n)."""
        sound = samples - samples.mean(axis=1, keepdims=True)
        rms = np.sqrt(np.mean(np.square(sound, dtype=np.float64), axis=1))
        middle = float(np.median(rms[rms >= SILENT_RMS])) if (rms >= SILENT_RMS).any() else 0.0
        # The own noise of a microphone that works moves the last bits of its converter at least.
        stands_still = np.all(samples == samples[:, :1], axis=1)
        if middle <= SILENT_RMS:
            return ChannelReading(tuple(np.flatnonzero(stands_still).tolist()), None, None)
        is_dead = stands_still | (rms < max(SILENT_RMS, middle * 10.0 ** (-DEAD_DB / 20.0)))
        dead = tuple(np.flatnonzero(is_dead).tolist())
        alive = np.flatnonzero(~is_dead)
        if alive.size < 3:
            return ChannelReading(dead, None, None)
        delays_s, signs = self._against_first(sound[alive])
        if delays_s is None:
            return ChannelReading(dead, None, None)
        minority = np.flatnonzero(signs != (1.0 if signs.sum() > 0.0 else -1.0))
        inverted = tuple(alive[minority].tolist()) if 2 * minority.size < alive.size else None
        return ChannelReading(dead, inverted, self._swapped(alive, delays_s))

    def _against_first(self, sound: NDArray[np.float32]) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
        """How much later each channel hears what the first hears, and with which sign; None where it is not alike."""
        spectra = np.fft.rfft(sound * np.hanning(sound.shape[1]), axis=1)[:, self._bins]
        cross = spectra[1:] * spectra[0].conj()
        # Half way to the phase transform: sharp peaks, without giving silent bins a say.
        cross = cross / np.sqrt(np.maximum(np.abs(cross), 1e-30))
        correlation = (cross.astype(np.complex64) @ self._steering).real
        best = np.argmax(np.abs(correlation), axis=1)
        peaks = np.take_along_axis(correlation, best[:, np.newaxis], axis=1)[:, 0]
        signs = np.concatenate([[1.0], np.sign(peaks)])
        if float(np.median(np.abs(peaks) / np.abs(cross).sum(axis=1))) < MIN_PEAK:
            return None, signs
        between = np.array([_top(row, k) for row, k in zip(correlation * signs[1:, np.newaxis], best, strict=True)])
        step_s = self._lags_s[1] - self._lags_s[0]
        return np.concatenate([[0.0], self._lags_s[best] + between * step_s]), signs

    def _swapped(self, alive: NDArray[np.intp], delays_s: NDArray[np.float64]) -> tuple[int, ...] | None:
        """The two channels whose exchange makes the delays a plane wave's; () where they are so as they stand.

        Of two pairs that explain the same (the two sides of a square) the first is named.
        """
        positions_m = self._positions_m[alive]
        extent_m = float(np.linalg.norm(positions_m - positions_m.mean(axis=0), axis=1).max())
        spread_s = float(np.std(delays_s))
        if alive.size < 4 or spread_s < MIN_SLOWNESS * 0.5 * extent_m / SOUND_SPEED_MPS:
            return None
        misfit = _misfit(positions_m, delays_s) / spread_s
        if misfit <= MAX_MISFIT:
            return ()
        best_misfit, best_pair = misfit, ()
        for pair in itertools.combinations(range(alive.size), 2):
            order = np.arange(alive.size)
            order[list(pair)] = pair[::-1]
            other = _misfit(positions_m[order], delays_s) / spread_s
            if other < best_misfit / SAME:
                best_misfit, best_pair = other, tuple(alive[list(pair)].tolist())
        return best_pair if best_misfit <= min(MAX_MISFIT, misfit / CLEARLY) else None


def _misfit(positions_m: NDArray[np.float64], delays_s: NDArray[np.float64]) -> float:
    """Root mean square of what is left of delays after the best plane wave, seconds."""
    centred = positions_m - positions_m.mean(axis=0)
    delays_s = delays_s - delays_s.mean()
    slowness = np.linalg.lstsq(centred, delays_s, rcond=1e-3)[0]
    return float(np.sqrt(np.mean(np.square(delays_s - centred @ slowness))))


def _top(values: NDArray[np.float32], k: int) -> float:
    """Where the parabola through a peak and its neighbours has its top, counted from the peak."""
    if not 0 < k < values.size - 1:
        return 0.0
    before, peak, after = (float(value) for value in values[k - 1 : k + 2])
    bow = before - 2.0 * peak + after
    return 0.5 * (before - after) / bow if bow < 0.0 else 0.0
