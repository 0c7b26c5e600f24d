"""Onsets from cell energies: where the sound rises, and by how much it stands out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.noise_floor import QUANTISATION_FLOOR

PROMINENCE_QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class OnsetRules:
    """What makes a cell an onset; lengths in cells of about a millisecond.

    history:           cells before the onset that its prominence is measured against
    min_history:       fewer cells than this say nothing about what was there before
    peak:              cells from the onset in which its energy may still grow
    before, guard:     the rise is measured over the loudest of `before` cells that end `guard` cells earlier
    min_rise_db:       least rise over that
    min_prominence_db: least prominence
    """

    history: int
    min_history: int
    peak: int
    before: int
    guard: int
    min_rise_db: float
    min_prominence_db: float


@dataclass(frozen=True, slots=True)
class Onset:
    """A rise of energy at `cell`: by `rise_db` over the last milliseconds, `prominence_db` over the last 300 ms."""

    cell: int
    rise_db: float
    prominence_db: float
    is_accepted: bool


def decibel(ratio: float) -> float:
    """A ratio of energies in dB."""
    return 10.0 * math.log10(max(ratio, 1e-15))


def find_onsets(
    energies: NDArray[np.float64], first: int, last: int, threshold: float, rules: OnsetRules
) -> list[Onset]:
    """Onsets in cells first..last-1 of two-cell energies (shape (n,)) that pass `threshold`.

    Cells before `first` and `rules.peak` cells from `last` on are looked at as context. Onsets that fail the
    prominence are returned too, not accepted.
    """
    onsets: list[Onset] = []
    for cell in (np.flatnonzero(energies[first:last] > threshold) + first).tolist():
        before = energies[max(0, cell - rules.guard - rules.before) : max(0, cell - rules.guard)]
        history = energies[max(0, cell - rules.guard - rules.history) : max(0, cell - rules.guard)]
        if history.size < rules.min_history:
            continue
        peak = float(np.max(energies[cell : cell + rules.peak]))
        rise_db = decibel(float(energies[cell]) / max(float(before.max()), QUANTISATION_FLOOR))
        if rise_db < rules.min_rise_db:
            continue
        level = float(
            np.partition(history, int(PROMINENCE_QUANTILE * history.size))[int(PROMINENCE_QUANTILE * history.size)]
        )
        prominence_db = decibel(peak / max(level, QUANTISATION_FLOOR))
        onsets.append(Onset(cell, rise_db, prominence_db, prominence_db >= rules.min_prominence_db))
    return onsets
