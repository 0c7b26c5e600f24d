"""The always-on part of hearing: a stream of samples becomes one energy per channel and millisecond."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from appliance.dsp.filters import high_pass_response, low_pass_response

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
RESPONSE_S = 0.03
"""Length of the filter's impulse response; what is cut off lies 90 dB and more below the rest."""
SEGMENT_CELLS = 48
"""Sound is filtered in segments of so many cells, counted from the start of the stream."""
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
    """Band-pass energies of a stream, cell by cell; the same whatever pieces the stream comes in.

    The filter is that of the causal Butterworth band-pass, applied by overlap-save.
    """

    def __init__(self, n_channels: int, sample_rate_hz: float) -> None:
        """Start with nothing heard; cells count from the first sample that is fed."""
        self.grid = cell_grid(sample_rate_hz)
        rate_hz = sample_rate_hz / self.grid.decimation
        taps = self._impulse_response(rate_hz)
        self._n_before = taps.size - 1
        self._segment = SEGMENT_CELLS * self.grid.cell_samples
        self._n_fft: int = next_fast_len(self._n_before + self._segment, real=True)
        self._response = np.fft.rfft(taps, self._n_fft).astype(np.complex64)
        self._samples = np.empty((n_channels, 0), np.float32)
        self._decimated = np.zeros((n_channels, self._n_before), np.float32)
        self._is_new = np.ones(n_channels, np.bool_)

    def forget(self, channel: int) -> None:
        """Begin anew with one channel, because it now carries another microphone's sound."""
        self._is_new[channel] = True

    def feed(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean square in the band of each cell of the segments that are now complete: float64, (channels, cells)."""
        decimated = self._decimate(samples)
        if decimated.shape[1] == 0:
            return np.empty((samples.shape[0], 0))
        if self._is_new.any():
            # As if the first value had always been there: an offset is no blast at the start of the stream.
            self._decimated[self._is_new] = decimated[self._is_new, :1]
            self._is_new[:] = False
        self._decimated = np.concatenate([self._decimated, decimated], axis=1)
        n_segments = (self._decimated.shape[1] - self._n_before) // self._segment
        n_done = n_segments * self._segment
        now, self._decimated = self._decimated[:, : n_done + self._n_before], self._decimated[:, n_done:]
        return self._energies(now, n_segments)

    def finish(self) -> NDArray[np.float64]:
        """The last, incomplete segment, with no energy in the cells that are missing."""
        if self._is_new.any():
            return np.empty((self._decimated.shape[0], 0))
        n_heard = self._decimated.shape[1] - self._n_before
        energies = self._energies(np.pad(self._decimated, ((0, 0), (0, self._segment - n_heard))), 1)
        energies[:, n_heard // self.grid.cell_samples :] = 0.0
        return energies

    def _energies(self, decimated: NDArray[np.float32], n_segments: int) -> NDArray[np.float64]:
        """Energies of whole segments, (channels, cells), from their samples and those before them."""
        if n_segments == 0:
            return np.empty((decimated.shape[0], 0))
        length = self._n_before + self._segment
        windows = np.zeros((decimated.shape[0], n_segments, self._n_fft), np.float32)
        for k in range(n_segments):
            windows[:, k, :length] = decimated[:, k * self._segment : k * self._segment + length]
        # In single precision: rounding lies 140 dB below the loudest sound of the window, hum and wind included.
        spectra = rfft(windows, overwrite_x=True)
        spectra *= self._response
        filtered = irfft(spectra, self._n_fft, overwrite_x=True)
        cells = filtered[:, :, self._n_before : length].reshape(-1, self.grid.cell_samples)
        energies = np.einsum("ns,ns->n", cells, cells) / self.grid.cell_samples
        rows: NDArray[np.float64] = energies.reshape(decimated.shape[0], -1).astype(np.float64)
        return rows

    def _impulse_response(self, rate_hz: float) -> NDArray[np.float64]:
        """The band-pass at the decimated rate."""
        n = round(RESPONSE_S * rate_hz)
        frequencies_hz = np.fft.rfftfreq(8 * n, 1.0 / rate_hz)
        response = high_pass_response(frequencies_hz, LOW_HZ, HIGH_PASS_ORDER, rate_hz)
        if rate_hz >= LOW_PASS_FROM_HZ or self.grid.decimation == 1:
            response *= low_pass_response(frequencies_hz, HIGH_HZ, LOW_PASS_ORDER, rate_hz)
        return np.fft.irfft(response)[:n]

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
