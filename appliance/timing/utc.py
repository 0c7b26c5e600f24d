"""From the monotonic clock, which never jumps, to UTC."""

from dataclasses import dataclass
from typing import Final

from appliance.model.instants import NS_PER_S, UtcNs

HOLDOVER_PPM: Final = 5.0
"""By how much a clock that nobody corrects any more may run off: a Raspberry Pi's crystal moves by some tenths of a ppm
per degree, and an enclosure in the sun by ten degrees and more an hour."""
UNKNOWN_SIGMA_NS: Final = 1_000 * NS_PER_S
"""Stands for "time not known" where a number is needed; with other errors added it still fits a message's hour."""


@dataclass(frozen=True, slots=True)
class UtcMapping:
    """What is known of UTC at one moment: it is CLOCK_MONOTONIC plus `offset_ns`, with the 1-sigma error `sigma_ns`."""

    offset_ns: int
    sigma_ns: int

    def __post_init__(self) -> None:
        """Refuse a negative sigma."""
        if self.sigma_ns < 0:
            raise ValueError(f"sigma {self.sigma_ns} ns is negative")

    def to_utc(self, monotonic_ns: int) -> UtcNs:
        """UTC at `monotonic_ns` of CLOCK_MONOTONIC."""
        return UtcNs(monotonic_ns + self.offset_ns)

    def aged(self, age_ns: int) -> "UtcMapping":
        """The same after `age_ns` without news: its error has grown by `HOLDOVER_PPM`."""
        grown_ns = self.sigma_ns + round(max(0, age_ns) * HOLDOVER_PPM * 1e-6)
        return UtcMapping(self.offset_ns, min(UNKNOWN_SIGMA_NS, grown_ns))
