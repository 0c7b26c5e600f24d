"""The first arrival of a blast on one channel, to a fraction of a sample."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

HIGH_PASS_HZ = 150.0
"""Takes wind and hum away; low enough that it changes a front of a millisecond by little."""
LEAD_S = 0.004
"""How far before the trigger the front may lie: the trigger cell is two milliseconds long and may be late by two."""
PEAK_S = 0.004
"""How far after the trigger the peak of the front may lie."""
FRONT_LEVEL = 0.5
"""A step seen through a symmetric low-pass has risen by half when its front arrives."""
SIGMA_FLOOR_S = 30e-6
"""What the model of the front leaves out (ground, diffraction, the microphone's own filter)."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A first arrival: sample of the front (fractional, in the window given) and its 1-sigma, samples."""

    sample: float
    sigma_samples: float


def first_arrival(samples: NDArray[np.float64], sample_rate_hz: float, trigger: int) -> Arrival:
    """The front of the sound that rises around `samples[trigger]`, one channel, shape (n,).

    At least 20 ms should lie before `trigger`, as the noise is measured there, and 5 ms after it.
    """
    high_passed = _high_pass(samples, sample_rate_hz)
    start = max(1, trigger - round(LEAD_S * sample_rate_hz))
    noise_rms = max(float(np.std(high_passed[start // 3 : start])), 1e-9)
    stop = min(high_passed.size, trigger + round(PEAK_S * sample_rate_hz))
    peak = start + int(np.argmax(np.abs(high_passed[start:stop])))
    change = start + change_point(high_passed[start : peak + 1])
    return _front(high_passed, change, peak, noise_rms, sample_rate_hz)


def change_point(samples: NDArray[np.float64]) -> int:
    """Where the variance of `samples` changes: the minimum of the Akaike criterion of two stretches (Maeda 1985)."""
    n = samples.size
    if n < 8:
        return 0
    squares = np.cumsum(samples * samples)
    k = np.arange(2, n - 2)
    before = squares[k - 1] / k
    after = (squares[-1] - squares[k - 1]) / (n - k)
    criterion = k * np.log(np.maximum(before, 1e-20)) + (n - k - 1) * np.log(np.maximum(after, 1e-20))
    return int(k[np.argmin(criterion)])


def _front(samples: NDArray[np.float64], change: int, peak: int, noise_rms: float, sample_rate_hz: float) -> Arrival:
    """Half the height of the first rise after the change point, interpolated between samples."""
    magnitude = np.abs(samples[: peak + 1])
    level = FRONT_LEVEL * float(magnitude[peak])
    above = np.flatnonzero(magnitude[change:] >= level)
    first = max(1, change + int(above[0]))
    slope = max(float(magnitude[first] - magnitude[first - 1]), 1e-12)
    back = min(1.0, max(0.0, float(magnitude[first] - level) / slope))
    floor_samples = SIGMA_FLOOR_S * sample_rate_hz
    return Arrival(first - back, math.hypot(noise_rms / slope, floor_samples))


def _high_pass(samples: NDArray[np.float64], sample_rate_hz: float) -> NDArray[np.float64]:
    sos = butter(2, HIGH_PASS_HZ, "highpass", fs=sample_rate_hz, output="sos")
    filtered: NDArray[np.float64] = sosfilt(sos, samples - samples[: max(1, samples.size // 4)].mean())
    return filtered
