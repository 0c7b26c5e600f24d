"""Where a node that does not move stands: the mean of a receiver's fixes over hours, and the alarm when it moved.

A receiver's errors change slowly, over a quarter of an hour and more, so that a thousand fixes of a minute are worth
hardly more than one: what counts is the time. Means of whole minutes are gathered; of them only sums are kept.
"""

import math
from dataclasses import dataclass
from typing import Final

from appliance.model.space import Geodetic
from appliance.physics.geodesy import LocalFrame

MINUTE_S: Final = 60.0
MIN_FIXES: Final = 10
"""Fixes that make a minute; a receiver gives sixty."""
CORRELATED_MINUTES: Final = 15.0
"""So long the errors of a receiver stay alike: reflections and the ionosphere change with the satellites' paths."""
SURVEYED_MINUTES: Final = 15
"""From then on the mean is better than a fix, and stands when the receiver loses its sky."""
DONE_MINUTES: Final = 1_440
"""After a day the satellites repeat; the mean stands."""
MIN_SIGMA_M: Final = 1.0
"""What a day's mean of a receiver without corrections is off, per axis."""
CEP_OF_SIGMAS: Final = 0.589
"""Median distance of a two-dimensional normal: 0.589 (sigma_e + sigma_n), good to 3 % (Blischke and Halpin 1966)."""
MOVED_M: Final = 25.0
MOVED_SIGMAS: Final = 6.0
MOVED_MINUTES: Final = 3
"""So many minutes in a row must lie so far from the mean: a reflection comes and goes faster."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a survey knows: position, error per axis, circular error probable of its minutes, and how long it took.

    moved_m: how far from where it stood before this node was found, in this survey or in the one before; 0: it was not
    """

    position: Geodetic
    sigma_m: float
    cep_m: float
    minutes: int
    moved_m: float

    @property
    def is_usable(self) -> bool:
        """Whether the mean is better than a fix."""
        return self.minutes >= SURVEYED_MINUTES

    @property
    def is_done(self) -> bool:
        """Whether the mean changes no more."""
        return self.minutes >= DONE_MINUTES


@dataclass(frozen=True, slots=True)
class SurveySums:
    """All that a survey remembers: its origin, how many minutes, their mean offset and squared deviations, metres."""

    origin: Geodetic
    minutes: int = 0
    mean_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    squares_m2: tuple[float, float] = (0.0, 0.0)


class Survey:
    """Gathers fixes; times are monotonic seconds. Used from one thread."""

    def __init__(self, sums: SurveySums | None = None) -> None:
        """Go on from what was remembered, or begin."""
        self._sums = sums
        self._frame = None if sums is None else LocalFrame(sums.origin)
        self._minute: list[tuple[float, float, float]] = []
        self._minute_ends_s = -math.inf
        self._away_m: list[float] = []
        self._moved_m = 0.0

    @property
    def sums(self) -> SurveySums | None:
        """What to remember; None before the first fix."""
        return self._sums

    def surveyed(self) -> Surveyed | None:
        """What is known; None before the first whole minute."""
        if self._sums is None or self._frame is None or self._sums.minutes == 0:
            return None
        n = self._sums.minutes
        east_m, north_m = (math.sqrt(squares / max(1, n - 1)) for squares in self._sums.squares_m2)
        n_independent = 1.0 + (n - 1) / CORRELATED_MINUTES
        return Surveyed(
            position=self._frame.to_geodetic(*self._sums.mean_m),
            sigma_m=max(MIN_SIGMA_M, max(east_m, north_m) / math.sqrt(n_independent)),
            cep_m=CEP_OF_SIGMAS * (east_m + north_m),
            minutes=n,
            moved_m=self._moved_m,
        )

    def feed(self, now_s: float, fix: Geodetic) -> None:
        """Take in a new fix in three dimensions; one that was taken in before says nothing."""
        if now_s >= self._minute_ends_s:
            self._end_minute()
            self._minute_ends_s = now_s + MINUTE_S
        if self._sums is None or self._frame is None:
            self._sums, self._frame = SurveySums(fix), LocalFrame(fix)
        east_m, north_m, up_m = (float(v) for v in self._frame.to_enu(fix))
        self._minute.append((east_m, north_m, up_m))

    def _end_minute(self) -> None:
        minute, self._minute = self._minute, []
        if len(minute) < MIN_FIXES:
            return
        east_m, north_m, up_m = (math.fsum(axis) / len(minute) for axis in zip(*minute, strict=True))
        if self._is_away(east_m, north_m):
            return
        if self._sums is not None and self._sums.minutes < DONE_MINUTES:
            self._sums = _with_minute(self._sums, (east_m, north_m, up_m))

    def _is_away(self, east_m: float, north_m: float) -> bool:
        """Whether this minute lies too far from the mean to belong to it; after some in a row the node has moved."""
        known = self.surveyed()
        if self._sums is None or known is None or not known.is_usable:
            return False
        away_m = math.hypot(east_m - self._sums.mean_m[0], north_m - self._sums.mean_m[1])
        if away_m <= max(MOVED_M, MOVED_SIGMAS * known.cep_m):
            self._away_m = []
            return False
        self._away_m.append(away_m)
        if len(self._away_m) >= MOVED_MINUTES:
            self._moved_m = self._away_m[-1]
            self._away_m = []
            self._sums = self._frame = None
        return True


def _with_minute(sums: SurveySums, minute_m: tuple[float, float, float]) -> SurveySums:
    """The sums with one minute more (Welford 1962)."""
    n = sums.minutes + 1
    mean_m = tuple(old + (new - old) / n for old, new in zip(sums.mean_m, minute_m, strict=True))
    squares_m2 = tuple(
        s + (new - old) * (new - mean)
        for s, new, old, mean in zip(sums.squares_m2, minute_m[:2], sums.mean_m[:2], mean_m[:2], strict=True)
    )
    return SurveySums(sums.origin, n, (mean_m[0], mean_m[1], mean_m[2]), (squares_m2[0], squares_m2[1]))
