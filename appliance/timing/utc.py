"""From the monotonic clock, which never jumps, to UTC."""

from dataclasses import dataclass

from appliance.model.instants import UtcNs


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
