"""Onsets from cell energies: where the sound rises, and by how much it stands out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.dsp.noise_floor import QUANTISATION_FLOOR

PROMINENCE_QUANTILE = 0.95
NOISE_QUANTILE_DB = 2.5
"""That quantile of the energy of 2 ms of noise over its mean."""
QUIET_DB = 2.0
"""A tail this little above the median of the noise is over."""


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
    tail:              cells before the onset that stand for the tail of an earlier blast, out of which it rises
    min_tail_rise_db, min_tail_prominence_db: least rise, and least height over the mean of the tail, of an onset that
                       is faint: to be taken further only if it repeats what was heard before
    """

    history: int
    min_history: int
    peak: int
    before: int
    guard: int
    min_rise_db: float
    min_prominence_db: float
    short_history_db: float
    tail: int
    min_tail_rise_db: float
    min_tail_prominence_db: float


@dataclass(frozen=True, slots=True)
class Onset:
    """A rise of energy at `cell`: by `rise_db` over the last milliseconds, `prominence_db` over the last 300 ms.

    refusal:  why it is not taken further; empty where it is
    tail_db:  its height over the mean of the tail that it rises from
    is_faint: whether it is to be taken further only as the repetition of an earlier onset
    """

    cell: int
    rise_db: float
    prominence_db: float
    refusal: str = ""
    tail_db: float = 0.0
    is_faint: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether it is taken further whatever it is like."""
        return not self.refusal and not self.is_faint


def decibel(ratio: float) -> float:
    """A ratio of energies in dB."""
    return 10.0 * math.log10(max(ratio, 1e-15))


def onset_at(
    energies: NDArray[np.float64], cell: int, rules: OnsetRules, *, floor: float = 0.0, in_burst: bool = False
) -> Onset | None:
    """The onset at `cell` of two-cell energies, shape (n,), or None where nothing rises there.

    Where the noise, of median `floor`, is all there is in the milliseconds before, what came earlier does not count
    against it: an earlier round is no tail. An onset that does not stand out is faint within a burst, where it rises
    from the tail of what came before; else it is returned with its refusal.
    """
    end = cell - rules.guard
    if end < rules.min_history:
        return None
    rise_db = decibel(float(energies[cell] / max(float(energies[max(0, end - rules.before) : end].max()), 1e-18)))
    if rise_db < (rules.min_tail_rise_db if in_burst else rules.min_rise_db):
        return None
    peak = float(energies[cell : cell + rules.peak].max())
    tail = max(float(energies[end - rules.tail : end].mean()), QUANTISATION_FLOOR)
    tail_db = decibel(peak / tail)
    start = max(0, end - rules.history)
    history = energies[start:end]
    rank = min(history.size - 1, int(PROMINENCE_QUANTILE * history.size))
    level = max(float(np.partition(history, rank)[rank]), QUANTISATION_FLOOR)
    prominence_db = decibel(peak / level)
    if decibel(tail / max(floor, QUANTISATION_FLOOR)) <= QUIET_DB:
        prominence_db = max(prominence_db, tail_db - NOISE_QUANTILE_DB)
    missing = 1.0 - history.size / rules.history if end < rules.history else 0.0
    refusal = ""
    if prominence_db < rules.min_prominence_db:
        refusal = f"prominence below {rules.min_prominence_db:g} dB"
    elif prominence_db < rules.min_prominence_db + rules.short_history_db * missing:
        refusal = "prominence below what so short a history asks for"
    stands_out = not refusal and rise_db >= rules.min_rise_db
    if in_burst and not stands_out and tail_db >= rules.min_tail_prominence_db:
        return Onset(cell, rise_db, prominence_db, tail_db=tail_db, is_faint=True)
    return Onset(cell, rise_db, prominence_db, refusal, tail_db) if rise_db >= rules.min_rise_db else None
