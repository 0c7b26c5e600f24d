"""The always-on part of hearing: a stream of samples becomes one energy per channel and millisecond."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

LOW_HZ = 200.0
"""Lower edge of the band: below lie wind, hum and engines, above it the best part of a distant blast."""
HIGH_HZ = 3_000.0
"""Upper edge: air takes what lies above from a blast that has come some hundred metres."""
HIGH_PASS_ORDER = 4
"""24 dB an octave: hum at 60 Hz and gusts at 20 Hz end 42 dB and more below what they were."""
LOW_PASS_ORDER = 2
DECIMATED_RATE_HZ = 8_000.0
"""The band is worked on at this rate or somewhat more."""
LOW_PASS_FROM_HZ = 10_000.0
"""Where neighbours are averaged down to less than this, the average is itself the low-pass, 2 to 4 dB down at 3 kHz."""
CELL_S = 0.001
"""Nominal length of a cell; the true one is a whole number of decimated samples."""


@dataclass(frozen=True, slots=True)
class CellGrid:
    """How samples fall into cells: `decimation` samples make one, `cell_samples` of those a cell."""

    decimation: int
    cell_samples: int
    sample_rate_hz: float

    @property
    def samples_per_cell(self) -> int:
        """Samples at the full rate per cell."""
        return self.decimation * self.cell_samples

    @property
    def cell_s(self) -> float:
        """Length of a cell, seconds."""
        return self.samples_per_cell / self.sample_rate_hz

    def cells(self, duration_s: float) -> int:
        """The number of cells nearest to `duration_s`, at least one."""
        return max(1, round(duration_s / self.cell_s))


def cell_grid(sample_rate_hz: float) -> CellGrid:
    """The grid for a sample rate of 8 to 96 kHz, which may be a correction away from its nominal value."""
    decimation = max(1, int(1.001 * sample_rate_hz / DECIMATED_RATE_HZ))
    return CellGrid(decimation, max(1, round(CELL_S * sample_rate_hz / decimation)), sample_rate_hz)


class BandEnergyMeter:
    """Band-pass energies of a stream, cell by cell; the same whatever pieces the stream comes in."""

    def __init__(self, n_channels: int, sample_rate_hz: float) -> None:
        """Start at silence; cells count from the first sample that is fed."""
        self.grid = cell_grid(sample_rate_hz)
        rate_hz = sample_rate_hz / self.grid.decimation
        sections = [butter(HIGH_PASS_ORDER, LOW_HZ, "highpass", fs=rate_hz, output="sos")]
        if rate_hz >= LOW_PASS_FROM_HZ or self.grid.decimation == 1:
            sections.append(butter(LOW_PASS_ORDER, HIGH_HZ, "lowpass", fs=rate_hz, output="sos"))
        self._sos = np.vstack(sections)
        self._state = np.zeros((self._sos.shape[0], n_channels, 2))
        self._samples = np.empty((n_channels, 0), np.float32)
        self._filtered = np.empty((n_channels, 0))
        # A constant offset would otherwise ring through the high-pass as a blast at the start of the stream.
        self._offset = np.full((n_channels, 1), np.nan)

    def forget(self, channel: int) -> None:
        """Begin anew with one channel, because it now carries another microphone's sound."""
        self._state[:, channel] = 0.0
        self._filtered[channel] = 0.0
        self._offset[channel] = np.nan

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean square in the band of each cell that is now complete: float64, shape (channels, cells)."""
        decimated = self._decimate(samples)
        if decimated.shape[1] == 0:
            return np.empty((samples.shape[0], 0))
        if np.isnan(self._offset).any():
            self._offset = np.where(np.isnan(self._offset), decimated[:, :1], self._offset)
        filtered, self._state = sosfilt(self._sos, decimated - self._offset, axis=1, zi=self._state)
        filtered = np.concatenate([self._filtered, filtered], axis=1)
        size = self.grid.cell_samples
        n_cells = filtered.shape[1] // size
        self._filtered = filtered[:, n_cells * size :]
        cells = filtered[:, : n_cells * size].reshape(filtered.shape[0], n_cells, size)
        energies: NDArray[np.float64] = np.einsum("cns,cns->cn", cells, cells) / size
        return energies

    def _decimate(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means of `decimation` neighbours; what does not fill one waits for the next call."""
        factor = self.grid.decimation
        if factor == 1:
            return samples
        if self._samples.shape[1]:
            samples = np.concatenate([self._samples, samples], axis=1)
        n = samples.shape[1] // factor * factor
        self._samples = samples[:, n:]
        total = samples[:, 0:n:factor] + samples[:, 1:n:factor]
        for k in range(2, factor):
            total += samples[:, k:n:factor]
        total *= 1.0 / factor
        return total
