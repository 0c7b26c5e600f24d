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
MIN_DECIMATED_RATE_HZ = 8_000.0
"""The band is worked on at no less than this rate; sums of neighbours are low-pass enough above it."""
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
    """The grid for a sample rate of 8 to 96 kHz."""
    decimation = max(1, int(sample_rate_hz / MIN_DECIMATED_RATE_HZ / 1.25))
    return CellGrid(decimation, max(1, round(CELL_S * sample_rate_hz / decimation)), sample_rate_hz)


class BandEnergyMeter:
    """Band-pass energies of a stream, cell by cell; the same whatever pieces the stream comes in."""

    def __init__(self, n_channels: int, sample_rate_hz: float) -> None:
        """Start at silence; cells count from the first sample that is fed."""
        self.grid = cell_grid(sample_rate_hz)
        rate_hz = sample_rate_hz / self.grid.decimation
        high_pass = butter(HIGH_PASS_ORDER, LOW_HZ, "highpass", fs=rate_hz, output="sos")
        low_pass = butter(LOW_PASS_ORDER, HIGH_HZ, "lowpass", fs=rate_hz, output="sos")
        self._sos = np.vstack([high_pass, low_pass])
        self._state = np.zeros((self._sos.shape[0], n_channels, 2))
        self._samples = np.empty((n_channels, 0), np.float32)
        self._filtered = np.empty((n_channels, 0))
        self._offset: NDArray[np.float64] | None = None

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean square in the band of each cell that is now complete: float64, shape (channels, cells)."""
        decimated = self._decimate(samples)
        if self._offset is None and decimated.shape[1]:
            # A constant offset would otherwise ring through the high-pass as a blast at the start of the stream.
            self._offset = decimated[:, :1].astype(np.float64)
        if self._offset is None:
            return np.empty((samples.shape[0], 0))
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
        self._samples = samples[:, n:].copy()
        total = samples[:, 0:n:factor].copy()
        for k in range(1, factor):
            total += samples[:, k:n:factor]
        total *= 1.0 / factor
        return total
