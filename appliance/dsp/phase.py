"""Shock wave or muzzle blast: which of the two a front looks like, on one channel.

A bullet's shock is an N of 0.2 to 0.4 ms that swings as far down as up (Maher 2006); a muzzle blast falls slowly and
goes below by an eighth of its peak (Friedlander). Both are fitted, behind the low-pass of air and microphone, and the
residuals are compared.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from appliance.dsp.arrival import blast_pulse

MIN_SAMPLE_RATE_HZ = 20_000.0
"""Below this an N of 0.3 ms is a few samples and can't be told from a filtered blast."""
BEFORE_S = 0.0003
AFTER_S = 0.0009
"""Long enough for an N and the quiet after it, short enough to end before the ground's reflection, mostly."""
N_DURATIONS_S = (0.00015, 0.0002, 0.00026, 0.00034, 0.00045, 0.0006)
BLAST_DURATIONS_S = (0.0003, 0.0005, 0.0008, 0.0013, 0.002, 0.0035)
SMOOTHINGS_S = (0.00001, 0.00002, 0.00004, 0.00008)
SHIFTS_S = (-0.00006, -0.00003, 0.0, 0.00003, 0.00006)
MODEL_ERROR = 0.1
"""Share of the peak by which real fronts of either kind differ from their model."""
MAX_MISFIT = 0.2
"""A front of which both models leave more than this share of the energy unexplained is neither: a clap, a knock."""
ERROR_LENGTH_S = 0.0001
"""What the models can't explain is alike over about this time: so many samples count as one."""
NOISE_S = 0.005
PRIOR_LOG_ODDS = math.log(0.1)
"""Most fronts are blasts: shocks come from rifles alone, and only into a cone."""


def n_wave(times_s: NDArray[np.float64], duration_s: float, smoothing_s: float) -> NDArray[np.float64]:
    """A pulse that jumps to 1 at time 0, falls evenly to -1 at `duration_s` and jumps back, low-passed."""
    begin, end = times_s / smoothing_s, (times_s - duration_s) / smoothing_s
    inside = ndtr(begin) - ndtr(end)
    bells = (np.exp(-0.5 * begin**2) - np.exp(-0.5 * end**2)) * smoothing_s / math.sqrt(2.0 * math.pi)
    pulse: NDArray[np.float64] = inside - 2.0 / duration_s * (times_s * inside + bells)
    return pulse


class PhaseTest:
    """Tells shock waves from muzzle blasts at one sample rate; holds the pulses that fronts are compared with."""

    def __init__(self, sample_rate_hz: float) -> None:
        """Prepare for a sample rate; below `MIN_SAMPLE_RATE_HZ` there will be no answer."""
        self._rate_hz = sample_rate_hz
        self._before = round(BEFORE_S * sample_rate_hz)
        self._after = round(AFTER_S * sample_rate_hz)
        times_s = np.arange(-self._before, self._after) / sample_rate_hz
        self._shocks = _templates(times_s, n_wave, N_DURATIONS_S)
        self._blasts = _templates(times_s, blast_pulse, BLAST_DURATIONS_S)

    def shock_probability(self, samples: NDArray[np.float64], front: float) -> float | None:
        """Probability that the front at `samples[front]` is a bullet's shock wave; None where that can't be said.

        One channel, shape (n,); at least 5 ms before the front for the noise.
        """
        first, end = round(front) - self._before, round(front) + self._after
        if self._rate_hz < MIN_SAMPLE_RATE_HZ or first < round(NOISE_S * self._rate_hz) or end > samples.size:
            return None
        offset = float(np.mean(samples[:first]))
        data = samples[first:end] - offset
        noise = float(np.var(samples[:first] - offset)) + (MODEL_ERROR * float(np.abs(data).max())) ** 2
        shock, blast = _least_misfit(data, self._shocks), _least_misfit(data, self._blasts)
        if noise <= 0.0 or min(shock, blast) > MAX_MISFIT * float(data @ data):
            return None
        n_alike = max(1.0, ERROR_LENGTH_S * self._rate_hz)
        return float(expit((blast - shock) / (2.0 * noise * n_alike) + PRIOR_LOG_ODDS))


def _templates(
    times_s: NDArray[np.float64],
    pulse: Callable[[NDArray[np.float64], float, float], NDArray[np.float64]],
    durations_s: tuple[float, ...],
) -> NDArray[np.float64]:
    """Pulses of all durations, smoothings and shifts, each of unit energy: (templates, n)."""
    rows = [
        pulse(times_s - shift_s, duration_s, smoothing_s)
        for duration_s in durations_s
        for smoothing_s in SMOOTHINGS_S
        for shift_s in SHIFTS_S
    ]
    table = np.stack(rows)
    normalised: NDArray[np.float64] = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    return normalised


def _least_misfit(data: NDArray[np.float64], templates: NDArray[np.float64]) -> float:
    """Energy that the best template leaves unexplained."""
    return float(data @ data - np.max((templates @ data) ** 2))
