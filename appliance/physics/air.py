"""Sound speed in air."""

import math

from appliance.model.air import Air
from appliance.physics.constants import SOUND_SPEED_AT_ZERO_CELSIUS_MPS, ZERO_CELSIUS_K


def sound_speed_mps(temperature_c: float) -> float:
    """Speed of sound in still air of this temperature, metres per second.

    Ideal gas: c = c0 sqrt(T / T0). Humidity adds at most 0.4 % and is left out. Raises ValueError below -100 °C.
    """
    if temperature_c < -100.0:
        raise ValueError(f"temperature {temperature_c} °C is below -100 °C")
    return SOUND_SPEED_AT_ZERO_CELSIUS_MPS * math.sqrt(1.0 + temperature_c / ZERO_CELSIUS_K)


def sound_speed_sigma_mps(air: Air) -> float:
    """1-sigma error of the sound speed that follows from the temperature's error (dc/dT = c / 2T)."""
    speed_mps = sound_speed_mps(air.temperature_c)
    return 0.5 * speed_mps / (air.temperature_c + ZERO_CELSIUS_K) * air.temperature_sigma_c
