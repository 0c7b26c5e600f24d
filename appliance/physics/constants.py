"""Physical constants with their sources."""

ZERO_CELSIUS_K = 273.15
"""0 °C in kelvin (SI definition)."""

SOUND_SPEED_AT_ZERO_CELSIUS_MPS = 331.3
"""Speed of sound in dry air at 0 °C (Bohn, J. Audio Eng. Soc. 36:223, 1988, rounds 331.29)."""

REFERENCE_PRESSURE_PA = 20e-6
"""0 dB SPL (ISO 1683)."""

WGS84_SEMI_MAJOR_M = 6_378_137.0
"""Equatorial radius of the WGS-84 ellipsoid (NIMA TR8350.2)."""

WGS84_FLATTENING = 1.0 / 298.257223563
"""Flattening of the WGS-84 ellipsoid (NIMA TR8350.2)."""
