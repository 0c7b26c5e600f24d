"""The machine's clocks, read in this one place."""

import time

from appliance.model.instants import UtcNs
from appliance.timing.utc import UtcMapping

_ATTEMPTS = 5


def utc_now_ns() -> UtcNs:
    """UTC by the system clock, right or wrong."""
    return UtcNs(time.time_ns())


def monotonic_now_ns() -> int:
    """CLOCK_MONOTONIC: never set, starts anew at each boot."""
    return time.monotonic_ns()


def read_utc_mapping(sigma_ns: int) -> UtcMapping:
    """How far UTC is from CLOCK_MONOTONIC now, by the system clock, whose error the caller knows as `sigma_ns`.

    Of a few readings of UTC between two of the monotonic clock, the one between the closest two counts.
    """
    offset_ns, width_ns = min((_bracket() for _ in range(_ATTEMPTS)), key=lambda reading: reading[1])
    return UtcMapping(offset_ns, sigma_ns + width_ns)


def _bracket() -> tuple[int, int]:
    """Offset of UTC from the monotonic clock, and how far apart the two readings around it were."""
    before_ns = time.monotonic_ns()
    utc_ns = time.time_ns()
    after_ns = time.monotonic_ns()
    return utc_ns - (before_ns + after_ns) // 2, after_ns - before_ns
