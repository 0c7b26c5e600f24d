"""What a microphone hears when nothing happens, and what a converter makes of pressure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.physics.attenuation import Floats
from appliance.physics.blasts import peak_pa

MICROPHONE_NOISE_DBSPL = 31.0
"""Own noise of a MEMS microphone of 63 dB(A) signal-to-noise ratio, as the RMS level of white noise."""


def background(
    n: int, microphones_m: Floats, sample_rate_hz: float, rng: np.random.Generator, *, level_dba: float, wind_mps: float
) -> Floats:
    """Street noise and wind at an array, pascal, shape (microphones, n); seamless when repeated.

    The street is heard from all around (coherent where the microphones are close for the wavelength), the wind at each
    microphone on its own. `microphones_m`: offsets, shape (microphones, 3); `n` even.
    """
    frequency_hz = np.fft.rfftfreq(n, 1.0 / sample_rate_hz)
    street = _street_spectrum(frequency_hz, level_dba)
    spectra = np.zeros((len(microphones_m), len(frequency_hz)), dtype=np.complex128)
    for angle in rng.uniform(0.0, 2.0 * np.pi) + np.arange(5) * (2.0 * np.pi / 5.0):
        ahead_s = microphones_m @ np.array([np.sin(angle), np.cos(angle), 0.0]) / 340.0
        wave = _random_spectrum(street / np.sqrt(5.0), n, sample_rate_hz, rng)
        spectra += wave * np.exp(2j * np.pi * frequency_hz * ahead_s[:, None])
    own = np.hypot(
        _wind_spectrum(frequency_hz, wind_mps), _white_spectrum(frequency_hz, sample_rate_hz, MICROPHONE_NOISE_DBSPL)
    )
    for row in spectra:
        row += _random_spectrum(own, n, sample_rate_hz, rng)
    noise: Floats = np.fft.irfft(spectra, n)
    return noise


def digitise(
    pressure_pa: NDArray[np.floating[Any]], full_scale_dbspl: float, rng: np.random.Generator, *, rail: float = 1.0
) -> NDArray[np.int16]:
    """Pressure as 16-bit samples: clipped at `rail` of full scale, with triangular dither.

    `full_scale_dbspl` is the peak level of the largest sample.
    """
    scaled = pressure_pa * (32_767.0 / peak_pa(full_scale_dbspl))
    dither = rng.random(scaled.shape) - rng.random(scaled.shape)
    limit = np.floor(32_767.0 * rail)
    clipped: NDArray[np.int16] = np.clip(np.rint(scaled + dither), -limit, limit).astype(np.int16)
    return clipped


def a_weighting_db(frequency_hz: Floats) -> Floats:
    """The A curve, IEC 61672-1, equation E.6."""
    squared = np.maximum(np.square(frequency_hz), 1e-6)
    ratio = (12_194.0**2 * squared**2) / (
        (squared + 20.6**2) * np.sqrt((squared + 107.7**2) * (squared + 737.9**2)) * (squared + 12_194.0**2)
    )
    weight_db: Floats = 20.0 * np.log10(np.maximum(ratio, 1e-12)) + 2.0
    return weight_db


def _street_spectrum(frequency_hz: Floats, level_dba: float) -> Floats:
    """Pressure per square root of hertz of distant traffic: flat to 100 Hz, then 4.5 dB an octave down."""
    shape = np.where(frequency_hz >= 20.0, 1.0 / (1.0 + frequency_hz / 100.0) ** 0.75, 0.0)
    weighted = np.square(shape) * 10.0 ** (a_weighting_db(frequency_hz) / 10.0)
    rms = float(np.sqrt(np.sum(weighted) * (frequency_hz[1] - frequency_hz[0])))
    return shape * (peak_pa(level_dba) / rms)


def _wind_spectrum(frequency_hz: Floats, wind_mps: float) -> Floats:
    """Pressure per square root of hertz of wind at a screened microphone: f^(-1.7), about 62 dB at 5 m/s."""
    hz = np.maximum(frequency_hz, 20.0)
    spectrum: Floats = peak_pa(50.0) * (wind_mps / 5.0) ** 2 * (hz / 20.0) ** -1.7
    return spectrum


def _white_spectrum(frequency_hz: Floats, sample_rate_hz: float, level_dbspl: float) -> Floats:
    return np.full(len(frequency_hz), peak_pa(level_dbspl) / np.sqrt(sample_rate_hz / 2.0))


def _random_spectrum(
    density: Floats, n: int, sample_rate_hz: float, rng: np.random.Generator
) -> NDArray[np.complex128]:
    """Bins of Gaussian noise with this density (pascal per square root of hertz), for `irfft` to n samples.

    By Parseval each bin's real and imaginary part have the standard deviation density * sqrt(n * rate) / 2.
    """
    bins = rng.standard_normal(len(density)) + 1j * rng.standard_normal(len(density))
    bins[0] = bins[-1] = 0.0
    noise: NDArray[np.complex128] = bins * (density * np.sqrt(n * sample_rate_hz) / 2.0)
    return noise
