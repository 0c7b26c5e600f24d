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
    blast:             cells of an earlier onset that are left out of the history, so that a burst does not hide its
                       own later rounds ...
    blast_age:         ... once it is that old ...
    blast_margin_db:   ... and where the new one is no lower than this much below it, as an echo would be ...
    min_blasts:        ... and where there are that many of them: a burst, not one blast and its echoes
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
    blast_margin_db: float
    min_blasts: int


@dataclass(frozen=True, slots=True)
class Onset:
    """A rise of energy at `cell`: by `rise_db` over the last milliseconds, `prominence_db` over the last 300 ms.

    `refusal` says why it is not taken further; empty where it is.
    """

    cell: int
    rise_db: float
    prominence_db: float
    refusal: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether it is taken further."""
        return not self.refusal


def decibel(ratio: float) -> float:
    """A ratio of energies in dB."""
    return 10.0 * math.log10(max(ratio, 1e-15))


def onset_at(energies: NDArray[np.float64], cell: int, blasts: list[int], rules: OnsetRules) -> Onset | None:
    """The onset at `cell` of two-cell energies, shape (n,), or None where nothing rises there.

    `blasts` are the cells of earlier onsets, all counted as indices of `energies`. An onset that does not stand out is
    returned with its refusal.
    """
    end = cell - rules.guard
    if end < rules.min_history:
        return None
    rise_db = decibel(float(energies[cell] / max(float(energies[max(0, end - rules.before) : end].max()), 1e-18)))
    if rise_db < rules.min_rise_db:
        return None
    peak = float(energies[cell : cell + rules.peak].max())
    start = max(0, end - rules.history)
    history = energies[start:end][_counted(energies, cell, peak, blasts, rules)[start:end]]
    rank = min(history.size - 1, int(PROMINENCE_QUANTILE * history.size))
    level = max(float(np.partition(history, rank)[rank]), QUANTISATION_FLOOR)
    prominence_db = decibel(peak / level)
    missing = 1.0 - history.size / rules.history if end < rules.history else 0.0
    refusal = ""
    if prominence_db < rules.min_prominence_db:
        refusal = f"prominence below {rules.min_prominence_db:g} dB"
    elif prominence_db < rules.min_prominence_db + rules.short_history_db * missing:
        refusal = "prominence below what so short a history asks for"
    return Onset(cell, rise_db, prominence_db, refusal)


def _counted(
    energies: NDArray[np.float64], cell: int, peak: float, blasts: list[int], rules: OnsetRules
) -> NDArray[np.bool_]:
    """Which cells count as history of an onset: all but earlier blasts of about its size."""
    counted = np.ones(energies.size, np.bool_)
    highest = peak * 10.0 ** (rules.blast_margin_db / 10.0)
    latest = cell - rules.blast_age
    alike = [
        blast
        for blast in blasts
        if max(0, cell - rules.history) <= blast <= latest and energies[blast : blast + rules.peak].max() <= highest
    ]
    if len(alike) < rules.min_blasts:
        return counted
    for blast in alike:
        counted[blast : blast + rules.blast] = False
    return counted
