"""How much later than the pressure at the microphone its sample is stamped, from clicks that a receiver's pulse makes.

The pulse drives a click at each whole second of UTC. What the converter's filters and the way over USB add is the same
for every sample of one kind of array, so the onsets of the clicks lie that much after the second, each time.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.instants import NS_PER_MS, NS_PER_S
from appliance.timing.discipline import Unknown

MAX_LATENCY_NS: Final = 100 * NS_PER_MS
"""A driver's buffers are not in it: their samples carry their own stamps."""
CLUSTER_NS: Final = NS_PER_MS
"""Clicks lie within a millisecond of each other; what lies further from most of them is another sound."""
MIN_CLICKS: Final = 10
MAD_TO_SIGMA: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Latency:
    """The delay, its 1-sigma error, and how many clicks it comes from."""

    latency_ns: int
    sigma_ns: int
    n_clicks: int


def estimate_latency(onsets_ns: Sequence[int], n_seconds: int) -> Latency | Unknown:
    """The delay by UTC times of onsets heard over `n_seconds`, some of them other sounds; or why there is none."""
    after_ns = [(onset + NS_PER_S // 2) % NS_PER_S - NS_PER_S // 2 for onset in onsets_ns]
    near_ns = sorted(after for after in after_ns if abs(after) <= MAX_LATENCY_NS)
    clicks_ns = max((_within(near_ns, first) for first in range(len(near_ns))), key=len, default=[])
    if len(clicks_ns) < max(MIN_CLICKS, n_seconds // 2):
        return Unknown(f"heard {len(clicks_ns)} clicks at the same moment of a second, in {n_seconds} s")
    median_ns = statistics.median(clicks_ns)
    spread_ns = MAD_TO_SIGMA * statistics.median(abs(click - median_ns) for click in clicks_ns)
    return Latency(round(median_ns), round(spread_ns / len(clicks_ns) ** 0.5), len(clicks_ns))


def _within(sorted_ns: Sequence[int], first: int) -> list[int]:
    """Those from `first` on that lie within `CLUSTER_NS` of it."""
    return [value for value in sorted_ns[first:] if value - sorted_ns[first] <= CLUSTER_NS]
