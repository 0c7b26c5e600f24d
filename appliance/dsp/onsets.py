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
    min_prominence_db: least prominence where the history is whole
    short_history_db:  that much more at no history at all, in proportion between
    blast:             cells of an earlier onset that are left out of the history ...
    blast_age:         ... once it is that old, so that a burst does not hide its own later rounds
    """

    history: int
    min_history: int
    peak: int
    before: int
    guard: int
    min_rise_db: float
    min_prominence_db: float
    short_history_db: float
    blast: int
    blast_age: int


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


def test_cell(energies: NDArray[np.float64], cell: int, blasts: list[int], rules: OnsetRules) -> Onset | None:
    """The onset at `cell` of two-cell energies, shape (n,), or None where nothing rises there.

    `blasts` are the cells of earlier onsets, all counted as indices of `energies`. An onset that does not stand out is
    returned as not accepted.
    """
    end = cell - rules.guard
    if end < rules.min_history:
        return None
    rise_db = decibel(float(energies[cell] / max(float(energies[max(0, end - rules.before) : end].max()), 1e-18)))
    if rise_db < rules.min_rise_db:
        return None
    start = max(0, end - rules.history)
    counts = np.ones(end - start, np.bool_)
    for blast in blasts:
        if blast + rules.blast_age <= cell:
            counts[max(0, blast - start) : max(0, blast - start + rules.blast)] = False
    history = energies[start:end][counts]
    rank = min(history.size - 1, int(PROMINENCE_QUANTILE * history.size))
    level = max(float(np.partition(history, rank)[rank]), QUANTISATION_FLOOR)
    prominence_db = decibel(float(energies[cell : cell + rules.peak].max()) / level)
    missing = 1.0 - history.size / rules.history if end < rules.history else 0.0
    needed_db = rules.min_prominence_db + rules.short_history_db * missing
    return Onset(cell, rise_db, prominence_db, prominence_db >= needed_db)
