"""Where sounds begin in a recording: rises of 2 ms energies over what went before, as the node's detector sees them."""

import numpy as np
import scipy.signal
from numpy.typing import NDArray

_BAND_HZ = (200.0, 3_000.0)
_CELL_S = 0.002
_BEFORE_S = 0.3
_RISE_DB = 6.0
_DEAD_S = 0.04
_PEAK_SHARE = 0.3
_EVENT_S = 0.01
_REFERENCE_S = 0.1


def find_onsets(samples: NDArray[np.float32], rate_hz: int) -> list[int]:
    """Samples at which the band's 2 ms energy rises `_RISE_DB` over the 95 % quantile of the 300 ms before it."""
    levels_db = _cell_levels_db(samples, rate_hz)
    n_before = round(_BEFORE_S / _CELL_S)
    floor_db = np.concatenate([np.full(n_before, levels_db.min()), levels_db])
    history = np.lib.stride_tricks.sliding_window_view(floor_db, n_before)[: len(levels_db)]
    rises = levels_db - np.quantile(history, 0.95, axis=1) >= _RISE_DB
    onsets: list[int] = []
    for cell in np.flatnonzero(rises):
        near = round(cell * _CELL_S * rate_hz)
        if not onsets or near - onsets[-1] > _DEAD_S * rate_hz:
            onsets.append(refine_onset(samples, rate_hz, near))
    return onsets


def nearest_onset(samples: NDArray[np.float32], rate_hz: int, near: int, tolerance: int) -> int:
    """The steepest rise within `tolerance` of `near`, refined."""
    low, high = max(0, near - tolerance), min(len(samples), near + tolerance)
    levels_db = _cell_levels_db(samples[low:high], rate_hz)
    if len(levels_db) < 2:
        return near
    steepest = int(np.argmax(np.diff(levels_db))) + 1
    return refine_onset(samples, rate_hz, low + round(steepest * _CELL_S * rate_hz))


def rise_db(samples: NDArray[np.float32], rate_hz: int, onset: int) -> float:
    """How far the 10 ms from an onset lie above the 100 ms before it, in the detector's band, in dB."""
    low = max(0, onset - round(_REFERENCE_S * rate_hz))
    levels = np.square(_in_band(samples[low : onset + round(_EVENT_S * rate_hz)], rate_hz))
    before, after = levels[: onset - low], levels[onset - low :]
    if len(before) == 0 or len(after) == 0:
        return float("inf")
    return float(10.0 * np.log10((after.mean() + 1e-16) / (before.mean() + 1e-16)))


def refine_onset(samples: NDArray[np.float32], rate_hz: int, near: int) -> int:
    """The first sample from just before `near` that reaches 30 % of the peak of the following 10 ms."""
    low = max(0, near - round(_CELL_S * rate_hz))
    following = np.abs(samples[low : near + round(0.01 * rate_hz)])
    if len(following) == 0 or following.max() == 0.0:
        return near
    return low + int(np.argmax(following >= _PEAK_SHARE * following.max()))


def _cell_levels_db(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    n_cell = round(_CELL_S * rate_hz)
    heard = _in_band(samples, rate_hz)
    n_cells = len(heard) // n_cell
    energies = np.square(heard[: n_cells * n_cell]).reshape(n_cells, n_cell).mean(axis=1)
    smallest = 1e-8 * float(energies.max(initial=0.0)) + 1e-16
    return 10.0 * np.log10(energies + smallest)


def _in_band(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    sections = scipy.signal.butter(2, _BAND_HZ, "bandpass", fs=rate_hz, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, samples), dtype=np.float64)
