"""Levels in third octaves, for the technician who looks for hum, wind and rattling without hearing a sound."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FIRST_BAND: Final = 14
"""Number of the lowest band, 25 Hz: band n has its middle at 10 ** (n / 10) Hz (IEC 61260-1)."""
LAST_BAND: Final = 43
"""20 kHz."""
SILENCE_DBFS: Final = -150.0


def band_middles_hz(sample_rate_hz: float) -> list[float]:
    """Middles of the bands that lie whole below half the sample rate."""
    middles_hz = [10.0 ** (n / 10.0) for n in range(FIRST_BAND, LAST_BAND + 1)]
    return [middle for middle in middles_hz if middle * 10.0**0.05 <= sample_rate_hz / 2.0]


def third_octaves_dbfs(samples: NDArray[np.floating[Any]], sample_rate_hz: float) -> list[list[float]]:
    """Root mean square of each channel in each band of `band_middles_hz`, relative to full scale.

    samples: shape (channels, n), full scale +-1; the bands of one channel sum to its mean square, less what lies
    outside them. Bands narrower than the resolution of n samples share what falls between them.
    """
    n = samples.shape[1]
    middles_hz = np.array(band_middles_hz(sample_rate_hz))
    if n == 0:
        return [[SILENCE_DBFS] * len(middles_hz) for _ in range(samples.shape[0])]
    window = np.hanning(n)
    spectrum = np.abs(np.fft.rfft(samples * window)) ** 2 * 2.0 / (n * float(np.sum(window**2)) or 1.0)
    edges_hz = np.append(middles_hz * 10.0**-0.05, middles_hz[-1] * 10.0**0.05)
    # Power up to a frequency, which can then be asked for between the bins.
    frequency_hz = (np.arange(spectrum.shape[1]) + 0.5) * sample_rate_hz / n
    below = np.cumsum(spectrum, axis=1)
    power = np.array([np.diff(np.interp(edges_hz, frequency_hz, channel)) for channel in below])
    floor = 10.0 ** (SILENCE_DBFS / 10.0)
    levels: list[list[float]] = (10.0 * np.log10(np.maximum(power, floor))).round(1).tolist()
    return levels
