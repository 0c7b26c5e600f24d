"""Who fired first, with its probability, from source times and the part of their errors that they don't share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.model.incidents import FirstShooter


@dataclass(frozen=True, slots=True)
class FirstRound:
    """A shooter's first round: its source time, and the variance of that without what all shooters share."""

    time_s: float
    variance_s2: float


def first_shooter(first: Mapping[int, FirstRound]) -> FirstShooter | None:
    """The shooter who probably fired first, by number; None where fewer than two are known.

    The earliest against each other in turn: exact for two, and for more a bound that errs to doubt. Rounds that nobody
    heard are not thought of.
    """
    if len(first) < 2:
        return None
    leader = min(first, key=lambda shooter: (first[shooter].time_s, shooter))
    later = 1.0
    for shooter, other in first.items():
        if shooter != leader:
            sigma_s = math.sqrt(max(first[leader].variance_s2 + other.variance_s2, 1e-18))
            later *= 0.5 * math.erfc((first[leader].time_s - other.time_s) / sigma_s / math.sqrt(2.0))
    return FirstShooter(leader, round(later, 3))
