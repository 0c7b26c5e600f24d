"""Health: named checks, each with a state in words, a number, since when, and what to do."""

import enum
from dataclasses import dataclass

from appliance.model.instants import UtcNs


class HealthState(enum.StrEnum):
    """No data is `UNKNOWN`, never `OK`."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One named check (ears, clock, place, peers, alerts, storage): state, words, number with unit, since, remedy."""

    name: str
    state: HealthState
    words: str
    number: float | None
    unit: str
    since_ns: UtcNs
    remedy: str
