"""When was sample number n taken? A line through pairs of sample count and time that a driver reports.

A driver's pair is never early, only late: the converter's pointer moves in steps, interrupts wait, processes sleep.
So the line is the lowest one that has all pairs above it, in the sense of the least sum of heights: that is the edge
of the pairs' lower convex hull over their mean count (linear programming in two unknowns; the optimum lies on a vertex
or an edge of the hull).
"""

import statistics
from dataclasses import dataclass

from appliance.model.instants import NS_PER_S

WINDOW_S = 60.0
"""Long enough that steps of some ms average out, short against a crystal's thermal drift (below 1 ppm a minute)."""
BUCKET_S = 0.25
"""Of each such stretch only the earliest pair counts, which keeps the work small at any block length."""
MIN_SPAN_S = 5.0
"""Pairs over a shorter time say less about the rate than the converter's data sheet does."""
MAX_RATE_ERROR_PPM = 300.0
"""Crystals of USB sound devices stay within 100 ppm; a line outside this means that the times are wrong."""
UNKNOWN_RATE_SIGMA_PPM = 100.0
KNOWN_RATE_SIGMA_PPM = 5.0
"""For a rate that was measured before the pairs began anew: temperature may have changed a little."""
GAP_NS = 50_000_000
"""A pair so far from the line does not belong to it: samples were lost or the clock was set."""
MIN_SIGMA_NS = 1_000
"""The time stamps themselves resolve no better than about a microsecond."""

SETTLED_S = 2.0
UNSETTLED_SIGMA_NS = 10_000_000
"""The first pairs of a stream may all be late, by the time that a driver and a process take to start."""

_PPM = 1e-6


@dataclass(frozen=True, slots=True)
class SampleTime:
    """Time of one sample, on the clock of the pairs, with its 1-sigma error."""

    time_ns: int
    sigma_ns: int


@dataclass(frozen=True, slots=True)
class _Line:
    """Lateness of the pairs against the nominal rate: `late_ns + slope * nominal_ns` since the origin."""

    late_ns: float
    slope: float
    sigma_ns: float
    slope_sigma: float
    end_ns: float


class SampleClock:
    """Maps sample counts to times on the clock that stamps them. Give it pairs in order; used from one thread."""

    def __init__(self, nominal_rate_hz: float) -> None:
        """Start without any pair."""
        self._ns_per_sample = NS_PER_S / nominal_rate_hz
        self._known_slope: float | None = None
        self.n_restarts = 0
        self._forget()

    def _forget(self) -> None:
        self._origin_count = 0
        self._origin_ns = 0
        self._buckets: list[tuple[float, float]] = []
        self._bucket_start_ns = 0.0
        self._line: _Line | None = None

    def restart(self) -> None:
        """Forget the pairs after a gap, because the count no longer fits them; the converter's rate is kept."""
        if self._has_rate():
            self._known_slope = self._fitted().slope
        self.n_restarts += 1
        self._forget()

    def feed(self, count: int, time_ns: int) -> None:
        """At `time_ns` the converter had made `count` samples since the stream began (or a little more)."""
        if self._buckets and abs(time_ns - self.time_of(count).time_ns) > GAP_NS:
            self.restart()
        if not self._buckets:
            self._origin_count, self._origin_ns = count, time_ns
        nominal_ns = (count - self._origin_count) * self._ns_per_sample
        late_ns = time_ns - self._origin_ns - nominal_ns
        if self._buckets and nominal_ns - self._bucket_start_ns < BUCKET_S * NS_PER_S:
            self._buckets[-1] = min(self._buckets[-1], (nominal_ns, late_ns), key=lambda pair: pair[1])
            return
        self._bucket_start_ns = nominal_ns
        self._buckets.append((nominal_ns, late_ns))
        while self._buckets[0][0] < nominal_ns - WINDOW_S * NS_PER_S:
            del self._buckets[0]
        self._line = None

    def time_of(self, count: int) -> SampleTime:
        """When sample number `count` was taken. Raises ValueError before the first pair."""
        line = self._fitted()
        nominal_ns = (count - self._origin_count) * self._ns_per_sample
        beyond_ns = max(0.0, nominal_ns - line.end_ns)
        time_ns = self._origin_ns + round(nominal_ns + line.late_ns + line.slope * nominal_ns)
        return SampleTime(time_ns, round(line.sigma_ns + line.slope_sigma * beyond_ns))

    def count_at(self, time_ns: int) -> int:
        """How many samples had been made at `time_ns`: the inverse of `time_of`. Raises ValueError before a pair."""
        line = self._fitted()
        nominal_ns = (time_ns - self._origin_ns - line.late_ns) / (1.0 + line.slope)
        return self._origin_count + round(nominal_ns / self._ns_per_sample)

    @property
    def drift_ppm(self) -> float | None:
        """How much the converter runs fast (positive) or slow; None while too few pairs tell."""
        slope = self._fitted().slope if self._has_rate() else self._known_slope
        return None if slope is None else (1.0 / (1.0 + slope) - 1.0) / _PPM

    @property
    def rate_hz(self) -> float:
        """The converter's true rate as far as it is known, else its nominal one."""
        return NS_PER_S / self._ns_per_sample * (1.0 + (self.drift_ppm or 0.0) * _PPM)

    def _has_rate(self) -> bool:
        return bool(self._buckets) and self._buckets[-1][0] - self._buckets[0][0] >= MIN_SPAN_S * NS_PER_S

    def _fitted(self) -> _Line:
        if not self._buckets:
            raise ValueError("no pair of count and time yet")
        if self._line is None:
            self._line = self._fit()
        return self._line

    def _fit(self) -> _Line:
        hull = _lower_hull(self._buckets)
        end_ns = self._buckets[-1][0]
        span_ns = end_ns - self._buckets[0][0]
        slope = _slope_over_mean(hull, self._buckets) if self._has_rate() else self._known_slope or 0.0
        late_ns = min(y - slope * x for x, y in hull)
        height_ns = statistics.median(y - slope * x - late_ns for x, y in self._buckets)
        if self._has_rate():
            sigma_ns = max(MIN_SIGMA_NS, height_ns)
            return _Line(late_ns, slope, sigma_ns, sigma_ns / span_ns, end_ns)
        rate_sigma_ppm = UNKNOWN_RATE_SIGMA_PPM if self._known_slope is None else KNOWN_RATE_SIGMA_PPM
        sigma_ns = max(MIN_SIGMA_NS if span_ns >= SETTLED_S * NS_PER_S else UNSETTLED_SIGMA_NS, height_ns)
        return _Line(late_ns, slope, sigma_ns + rate_sigma_ppm * _PPM * span_ns, rate_sigma_ppm * _PPM, end_ns)


def _lower_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lower convex hull of points in order of x (Andrew's monotone chain)."""
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) >= 2 and _turns_right(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return hull


def _turns_right(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) <= 0.0


def _slope_over_mean(hull: list[tuple[float, float]], points: list[tuple[float, float]]) -> float:
    """Slope of the hull's edge over the mean x of `points`, kept within what a crystal can be off."""
    mean_x = statistics.fmean(x for x, _ in points)
    right = next(i for i in range(1, len(hull)) if hull[i][0] >= mean_x)
    (x0, y0), (x1, y1) = hull[right - 1], hull[right]
    limit = MAX_RATE_ERROR_PPM * _PPM
    return min(limit, max(-limit, (y1 - y0) / (x1 - x0)))
