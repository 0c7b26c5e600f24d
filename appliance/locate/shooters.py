"""How many shooters fired the rounds of one neighbourhood, and which of them fired which round.

Each number of shooters is weighed by its evidence: how well the rounds' relative places gather around one place (or one
steady walk) per shooter, what it costs to choose those places freely, how regular each shooter's intervals then are,
and that nobody fires two rounds within the time that a weapon needs.
"""

from dataclasses import dataclass
from math import lgamma

import numpy as np
from numpy.typing import NDArray

from appliance.locate.movement import fit_velocity
from appliance.locate.relative import RelativeRounds
from appliance.locate.settings import LocateSettings

MAX_SHOOTERS = 4
"""More than four at one corner can't be told apart by 200 rounds, and cost time."""
_ANOTHER = 0.1
"""Prior odds of each further shooter near the first: most gunfire is one person's."""
_MOVING = 0.1
"""Prior probability that a shooter moves while firing."""
_APART_M = 8.0
"""Half of the further shooters of a neighbourhood stand within 14 m of the middle of all (a Cauchy density)."""
_WALK_MPS = 2.0
"""1-sigma of the velocity of one who moves, per axis: walking to running."""
_DOF = 4.0
"""Degrees of freedom of the Student tails of a round's place: a few rounds have wrong members."""
_TOO_SOON = 12.0
"""Log odds against two rounds of one weapon nearer than `min_round_gap_s`."""
_CADENCE_SIGMA = 0.5
"""How much one shooter's intervals differ, as a 1-sigma of their logarithm ..."""
_CADENCE_RANGE = 5.3
"""... around a middle anywhere between 50 ms and 10 s (log of 200)."""
_CADENCE_CAP = 4.0
"""Log odds that intervals may add or take: people pause, and places decide."""
_HOPELESS = 12.0
"""When one shooter more is worse by these log odds, yet one more is not tried."""
_SWEEPS = 12
"""Reassignments of rounds to the nearest shooter; they settle within a few."""
_FREE_M2 = 1e-4
"""Places of rounds are never taken to be exacter than a centimetre."""


@dataclass(frozen=True, slots=True, eq=False)
class ShooterCount:
    """Probability of each number of shooters, and who fired each round: from 1, in the order of their first rounds."""

    probabilities: dict[int, float]
    shooter_of: NDArray[np.int64]

    @property
    def likeliest(self) -> int:
        """The likeliest number."""
        return max(self.probabilities, key=lambda n: self.probabilities[n])


def count_shooters(rounds: RelativeRounds, settings: LocateSettings) -> ShooterCount:
    """Shooters of rounds that were related to one reference."""
    covariance = rounds.covariance[:, :2, :2] + _FREE_M2 * np.eye(2)
    weight = np.linalg.inv(covariance)
    parts, found = [], []
    for n in range(1, min(MAX_SHOOTERS, len(rounds.time_s)) + 1):
        part = _partition(rounds.offset_m, weight, n)
        if len(set(part.tolist())) < n:
            break
        cadence = _cadence(rounds.time_s, part) - _cadence(rounds.time_s, np.zeros_like(part))
        log_odds = _log_evidence(rounds, covariance, part, settings) + (n - 1) * float(np.log(_ANOTHER))
        parts.append(part)
        found.append(log_odds + float(np.clip(cadence, -_CADENCE_CAP, _CADENCE_CAP)))
        if found[-1] < max(found) - _HOPELESS:
            break
    odds = np.array(found)
    shares = np.exp(odds - odds.max())
    shares /= shares.sum()
    best = parts[int(np.argmax(shares))]
    probabilities = {n: round(float(p), 3) for n, p in enumerate(shares, start=1) if p >= 0.0005}
    return ShooterCount(probabilities, _by_first_round(best, rounds.time_s))


def _partition(offset_m: NDArray[np.float64], weight: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Rounds to `n` places: farthest first, then each to its nearest, in sigmas; labels from 0, shape (K,)."""
    middle = np.median(offset_m, axis=0)
    first = int(np.argmin(_squares(offset_m, weight, middle)))
    centres = [offset_m[first]]
    nearest = _squares(offset_m, weight, centres[0])
    for _ in range(n - 1):
        centres.append(offset_m[int(np.argmax(np.round(nearest, 9)))])
        nearest = np.minimum(nearest, _squares(offset_m, weight, centres[-1]))
    part = np.zeros(len(offset_m), dtype=np.int64)
    for _ in range(_SWEEPS):
        part = np.argmin(np.stack([_squares(offset_m, weight, c) for c in centres]), axis=0)
        moved = [
            _centre(offset_m[part == i], weight[part == i]) if (part == i).any() else c for i, c in enumerate(centres)
        ]
        if np.allclose(moved, centres, atol=1e-6):
            break
        centres = moved
    return part


def _squares(
    offset_m: NDArray[np.float64], weight: NDArray[np.float64], centre: NDArray[np.float64]
) -> NDArray[np.float64]:
    away = offset_m - centre
    squares: NDArray[np.float64] = np.einsum("ki,kij,kj->k", away, weight, away)
    return squares


def _centre(offset_m: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean place; rounds far out count little."""
    centre: NDArray[np.float64] = np.median(offset_m, axis=0)
    for _ in range(3):
        down = (_DOF + 2.0) / (_DOF + _squares(offset_m, weight, centre))
        each = weight * down[:, None, None]
        centre = np.linalg.solve(each.sum(axis=0), np.einsum("kij,kj->i", each, offset_m))
    return centre


def _log_evidence(
    rounds: RelativeRounds, covariance: NDArray[np.float64], part: NDArray[np.int64], settings: LocateSettings
) -> float:
    """Log evidence of the rounds' places, given who fired which; the shares of the shooters are free."""
    n, total = int(part.max()) + 1, 0.0
    middle = np.median(rounds.offset_m, axis=0)
    for i in range(n):
        of = part == i
        standing = _standing(rounds.offset_m[of], covariance[of], middle)
        moving = _moving(rounds.time_s[of], rounds.offset_m[of], covariance[of], middle)
        total += float(np.logaddexp(np.log(1.0 - _MOVING) + standing, np.log(_MOVING) + moving))
        gaps_s = np.diff(np.sort(rounds.time_s[of]))
        total -= _TOO_SOON * int((gaps_s < settings.min_round_gap_s).sum()) - lgamma(of.sum() + 1.0)
    return total + lgamma(n) - lgamma(n + len(part))


def _standing(offset_m: NDArray[np.float64], covariance: NDArray[np.float64], middle: NDArray[np.float64]) -> float:
    """Log evidence of rounds from one place, somewhere around `middle`."""
    weight = np.linalg.inv(covariance)
    centre = _centre(offset_m, weight)
    mean = np.linalg.inv(weight.sum(axis=0))
    chosen = float(np.log(2.0 * np.pi) + 0.5 * np.log(np.linalg.det(mean)))
    away2_m2 = float((centre - middle) @ (centre - middle)) + _APART_M**2
    anywhere = float(np.log(_APART_M / (2.0 * np.pi)) - 1.5 * np.log(away2_m2))
    return _density(_squares(offset_m, weight, centre), covariance) + chosen + anywhere


def _moving(
    time_s: NDArray[np.float64],
    offset_m: NDArray[np.float64],
    covariance: NDArray[np.float64],
    middle: NDArray[np.float64],
) -> float:
    """As `_standing`, of a steady walk; three rounds at least, for two lie on a line anyway."""
    if len(time_s) < 3:
        return -np.inf
    velocity_mps, spread = fit_velocity(time_s, offset_m, covariance)
    still_m = offset_m - (time_s - time_s.mean())[:, None] * velocity_mps
    chosen = 0.5 * float(np.log(np.linalg.det(spread))) - 2.0 * float(np.log(_WALK_MPS))
    return _standing(still_m, covariance, middle) + chosen - 0.5 * float(velocity_mps @ velocity_mps) / _WALK_MPS**2


def _density(away2: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    tails = -0.5 * (_DOF + 2.0) * np.log1p(away2 / _DOF)
    return float((tails - np.log(2.0 * np.pi) - 0.5 * np.log(np.linalg.det(covariance))).sum())


def _cadence(time_s: NDArray[np.float64], part: NDArray[np.int64]) -> float:
    """Log density of the rounds' times when each shooter fires at intervals of his own, within the span of all."""
    span_s = max(float(np.ptp(time_s)), 1.0)
    total = 0.0
    for i in range(int(part.max()) + 1):
        gaps_s = np.maximum(np.diff(np.sort(time_s[part == i])), 1e-3)
        total -= float(np.log(span_s) + np.log(gaps_s).sum())
        if len(gaps_s):
            logs = np.log(gaps_s)
            z2 = ((logs - np.median(logs)) / _CADENCE_SIGMA) ** 2
            total -= float(0.5 * (_DOF + 1.0) * np.log1p(z2 / _DOF).sum() + len(logs) * np.log(2.5066 * _CADENCE_SIGMA))
            total += float(np.log(2.5066 * _CADENCE_SIGMA / np.sqrt(len(logs))) - np.log(_CADENCE_RANGE))
    return total


def _by_first_round(part: NDArray[np.int64], time_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Labels from 1, in the order of the shooters' first rounds."""
    order: dict[int, int] = {}
    for k in np.argsort(time_s, kind="stable"):
        order.setdefault(int(part[k]), len(order) + 1)
    return np.array([order[int(p)] for p in part])
