"""How loud: levels relative to full scale, and whether the converter was at its rail."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLIPPED_FROM = 0.98
"""Samples from here up count as clipped on the meters; converters with head-room left in their scale stop at 0.9803."""
RAIL_FROM = 0.9
"""A run of equal samples at the extreme is a rail only this close to full scale; below, it is a coincidence."""
RAIL_SPREAD = 1.5 / 32_768
"""Two samples are the same rail when they differ by no more than the rounding of 16 bits."""
FULL_SCALE = 0.999
"""A single sample this close to full scale is clipped, rail or not."""
DROPOUT_S = 0.003
DROPOUT_MARGIN_S = 0.002
"""A click at the edge of a dropout and the ringing of the filters are over after this time."""
SILENCE_DBFS = -150.0
"""What is reported for digital silence."""
SMALLEST = 10.0 ** (SILENCE_DBFS / 20.0)
CLIPPED_FROM_DBFS = 20.0 * math.log10(CLIPPED_FROM) - 1e-6


@dataclass(frozen=True, slots=True)
class ChannelLevels:
    """One channel over one block: root mean square and peak, and how many samples were at the rail."""

    rms_dbfs: float
    peak_dbfs: float
    n_clipped_samples: int


def dbfs(amplitude: float) -> float:
    """An amplitude relative to full scale in dB, bounded below at `SILENCE_DBFS`."""
    return 20.0 * math.log10(max(amplitude, SMALLEST))


def channel_levels(samples: NDArray[np.float32]) -> tuple[ChannelLevels, ...]:
    """Levels of each channel; samples of shape (channels, n). Silence where n is 0."""
    if samples.shape[1] == 0:
        return tuple(ChannelLevels(SILENCE_DBFS, SILENCE_DBFS, 0) for _ in range(samples.shape[0]))
    peaks = np.maximum(samples.max(axis=1), -samples.min(axis=1))
    mean_squares = np.einsum("cn,cn->c", samples, samples) / samples.shape[1]
    amplitudes = np.maximum(np.stack([np.sqrt(mean_squares), peaks]).astype(np.float64), SMALLEST)
    rms_dbfs, peak_dbfs = (20.0 * np.log10(amplitudes)).tolist()
    return tuple(
        ChannelLevels(rms, peak, int(np.count_nonzero(np.abs(row) >= CLIPPED_FROM)) if peak >= CLIPPED_FROM_DBFS else 0)
        for row, rms, peak in zip(samples, rms_dbfs, peak_dbfs, strict=True)
    )


def is_dropout(samples: NDArray[np.float64], sample_rate_hz: float, front: int) -> bool:
    """Whether the sound of all channels, (channels, n), stands still right before or after `front`.

    Real sound never does; a driver that lost samples fills in zeros or the last value. A rail is not a dropout.
    """
    n = max(2, round(DROPOUT_S * sample_rate_hz))
    margin = round(DROPOUT_MARGIN_S * sample_rate_hz)
    for start in (max(0, front - margin - n), front + margin):
        stretch = samples[:, start : start + n]
        if (
            stretch.shape[1] == n
            and np.all(np.ptp(stretch, axis=1) == 0.0)
            and np.all(np.abs(stretch[:, 0]) < RAIL_FROM)
        ):
            return True
    return False


def rail_of(samples: NDArray[np.floating[Any]]) -> float:
    """The magnitude from which on samples of a short stretch of one channel, shape (n,), are clipped; else infinity."""
    peak = float(np.max(np.abs(samples), initial=0.0))
    if peak < RAIL_FROM:
        return math.inf
    rail = peak - RAIL_SPREAD
    at_rail = np.abs(samples) >= rail
    return rail if peak >= FULL_SCALE or bool(np.any(at_rail[1:] & at_rail[:-1])) else math.inf


def is_clipped(samples: NDArray[np.floating[Any]]) -> bool:
    """Whether a short stretch of one channel, shape (n,), touched the rail: its peak is then a lower bound."""
    return math.isfinite(rail_of(samples))
