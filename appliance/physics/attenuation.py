"""What the way takes from a sound, by frequency: air absorption, ground, edges of buildings; and causal filters of it.

Spectra are those of `numpy.fft.rfft` (time dependence exp(+i omega t)); frequencies in Hz, shape (m,).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import wofz

from appliance.model.air import Air
from appliance.physics.air import sound_speed_mps
from appliance.physics.constants import ZERO_CELSIUS_K

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

HUMIDITY_PERCENT = 60.0
"""Relative humidity where none was measured: a temperate mean; 30 to 90 % changes 4 kHz by 3 dB in 100 m at most."""

HARD_GROUND_PA_S_M2 = 2.0e7
"""Flow resistivity of asphalt (Attenborough, Applied Acoustics 24:289, 1988)."""
SOFT_GROUND_PA_S_M2 = 2.0e5
"""Flow resistivity of grass (same source)."""

MAX_BARRIER_DB = 25.0
"""Scattering fills the shadow of an edge, so that no building takes more (ISO 9613-2, 7.4)."""

_TRIPLE_POINT_K = 273.16
_REFERENCE_K = 293.15


def absorption_db_per_m(frequency_hz: Floats, air: Air, humidity_percent: float = HUMIDITY_PERCENT) -> Floats:
    """Air absorption at one atmosphere, ISO 9613-1:1993, equations 3 to 5 and B.2, B.3."""
    kelvin = air.temperature_c + ZERO_CELSIUS_K
    ratio = kelvin / _REFERENCE_K
    saturation = 10.0 ** (-6.8346 * (_TRIPLE_POINT_K / kelvin) ** 1.261 + 4.6151)
    molar_percent = humidity_percent * saturation
    oxygen_hz = 24.0 + 4.04e4 * molar_percent * (0.02 + molar_percent) / (0.391 + molar_percent)
    nitrogen_hz = ratio**-0.5 * (9.0 + 280.0 * molar_percent * np.exp(-4.170 * (ratio ** (-1.0 / 3.0) - 1.0)))
    squared = np.square(frequency_hz)
    classical = 1.84e-11 * ratio**0.5
    oxygen = 0.01275 * np.exp(-2239.1 / kelvin) / (oxygen_hz + squared / oxygen_hz)
    nitrogen = 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen_hz + squared / nitrogen_hz)
    result: Floats = 8.686 * squared * (classical + ratio**-2.5 * (oxygen + nitrogen))
    return result


def barrier_db(frequency_hz: Floats, detour_m: float, air: Air) -> Floats:
    """Loss over an edge that makes the way `detour_m` longer than the straight line (Maekawa 1968: 10 lg(3 + 20 N)).

    Zero where nothing is in the way (`detour_m` 0).
    """
    if detour_m <= 0.0:
        return np.zeros_like(frequency_hz)
    fresnel_number = 2.0 * detour_m * frequency_hz / sound_speed_mps(air.temperature_c)
    loss_db: Floats = np.minimum(10.0 * np.log10(3.0 + 20.0 * fresnel_number), MAX_BARRIER_DB)
    return loss_db


def ground_reflection(
    frequency_hz: Floats, grazing_sin: float, path_m: float, air: Air, resistivity_pa_s_m2: float = HARD_GROUND_PA_S_M2
) -> Complexes:
    """Spherical-wave reflection factor of ground: Delany-Bazley impedance, Weyl-Van der Pol (Attenborough 2007, 2.40).

    `grazing_sin` is the sine of the angle between the reflected ray and the ground, `path_m` that ray's length.
    """
    hz = np.maximum(frequency_hz, 1.0)
    impedance = 1.0 + 0.0511 * (resistivity_pa_s_m2 / hz) ** 0.75 + 0.0768j * (resistivity_pa_s_m2 / hz) ** 0.73
    admittance = 1.0 / impedance
    plane = (grazing_sin - admittance) / (grazing_sin + admittance)
    wavenumber = 2.0 * np.pi * hz / sound_speed_mps(air.temperature_c)
    numeric_distance = np.sqrt(0.5j * wavenumber * path_m) * (grazing_sin + admittance)
    boundary_loss = 1.0 + 1j * np.sqrt(np.pi) * numeric_distance * wofz(numeric_distance)
    # The formula is for exp(-i omega t); its conjugate is for numpy's sign.
    factor: Complexes = np.conj(plane + (1.0 - plane) * boundary_loss)
    return factor


def minimum_phase(loss_db: Floats) -> Complexes:
    """The causal spectrum with this loss and the least delay; `loss_db` on all rfft bins of an even length.

    By folding the real cepstrum (Oppenheim and Schafer, Discrete-Time Signal Processing, 12.6).
    """
    n = 2 * (len(loss_db) - 1)
    cepstrum = np.fft.irfft(loss_db * (-np.log(10.0) / 20.0), n)
    folded = np.zeros(n)
    folded[0] = cepstrum[0]
    folded[1 : n // 2] = 2.0 * cepstrum[1 : n // 2]
    folded[n // 2] = cepstrum[n // 2]
    spectrum: Complexes = np.exp(np.fft.rfft(folded))
    return spectrum
