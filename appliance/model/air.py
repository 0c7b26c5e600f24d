"""The air that sound travels through, as far as a node knows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Air:
    """Temperature and wind with their 1-sigma errors; `wind_east_mps`, `wind_north_mps` say where it blows to."""

    temperature_c: float = 15.0
    wind_east_mps: float = 0.0
    wind_north_mps: float = 0.0
    temperature_sigma_c: float = 8.0
    wind_sigma_mps: float = 3.0


UNKNOWN_AIR = Air()
"""What is assumed where nothing was measured: a temperate day, honestly vague."""
