"""The first arrival of a blast on one channel, to a fraction of a sample, with an honest error.

Coarse: Akaike's criterion finds where the sound changes, and half the height of the first rise is a first time. Fine: a
blast pulse (Friedlander 1946) behind a Gaussian low-pass, which stands for the air, the ground and the microphone, is
fitted to the rise alone. The time of the front then doesn't move with the distance, as that of a threshold does.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtr

from appliance.dsp.filters import delay_table, high_pass

HIGH_PASS_HZ = 150.0
"""Takes wind and hum away; low enough that it changes a front of a millisecond by little."""
LEAD_S = 0.004
"""How far before the trigger the front may lie: the trigger cell is two milliseconds long and may be late by two."""
PEAK_S = 0.004
"""How far after the trigger the peak of the front may lie."""
FRONT_LEVEL = 0.3
"""Share of the peak of the next milliseconds that a front reaches at least: what follows may be a higher reflection."""
HALF = 0.5
"""A step seen through a symmetric low-pass has risen by half when its front arrives."""
SMOOTHING_S = 0.00015
"""The first look is taken at means over this time: noise shrinks by more than the rise does."""
HUMP_END = 0.6
"""The rise has ended where the sound has fallen to this share of its height so far."""
NOISE_SIGMAS = 3.5
"""Noise stays below this many times its root mean square over the few milliseconds that are searched."""
FIT_BEFORE_S = 0.001
FIT_RISE_S = 0.001
"""A rise that takes longer than this is not followed to its end: what comes later may be a reflection."""
FIT_BEYOND_PEAK_S = 0.0002
FIT_STEPS = 16
PRIOR_MEANS = np.array([0.0, math.log(1e-3), math.log(6e-5)])
PRIOR_SIGMAS = np.array([1e-3, 0.55, 0.7])
"""Time of the front after the crossing, s, and logarithms of the positive phase (0.5 to 2.5 ms from pistol to
large rifle) and of the low-pass's sigma (33 us is a corner of 4 kHz, 165 us one of 800 Hz), with their 1-sigmas: these
ranges are three sigmas wide."""
STEPS = np.array([1e-6, 0.01, 0.01])
"""Differences for the derivatives by time (seconds), log duration and log smoothing ..."""
STEP_ROWS = np.vstack([np.zeros(3), np.diag(STEPS)])
MAX_STEPS = np.array([3e-4, 1.0, 1.0])
"""... and the most that a step of the fit may change them by."""
LEAST_GAIN = 0.01
"""A step that makes the sum of squares less by no more than this moves nothing by a tenth of its sigma."""
MODEL_ERROR = 0.005
"""Share of the peak by which real fronts differ from the model at their best."""
ERROR_LENGTH_S = 0.0002
"""What a model can't explain is alike over about this time: so many samples count as one."""
MAX_MISFIT = 0.25
"""Root mean square of the residual over the peak beyond which the front is no blast pulse."""
SIGMA_FLOOR_S = 1e-6
"""What the model of the front leaves out even when it fits."""
CLIPPED_SIGMA_S = 40e-6
"""The same where the rise was clipped: found on pulses that were clipped by factors of 1.2 to 4."""
UNFITTED_SIGMA = 0.35
"""Without a fit, sigma of the front in units of the time between 20 % and 80 % of the rise."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A first arrival: the front's sample (fractional, in the window given), its 1-sigma, and whether a model fits."""

    sample: float
    sigma_samples: float
    is_fitted: bool


@dataclass(frozen=True, slots=True, eq=False)
class FirstLook:
    """A rise as first seen: good to some tenths of a millisecond, and what the fit starts from.

    high_passed, smooth: the sound, and its short means, (n,)
    change:              where it stops being noise
    crossing:            where the smooth rise reaches `level` of its peak, between samples
    peak:                sample of that peak
    noise_rms:           of `high_passed` before the rise
    noise_share:         root mean square of `smooth` before the rise, over the peak
    """

    high_passed: NDArray[np.float64]
    smooth: NDArray[np.float64]
    change: int
    crossing: float
    level: float
    peak: int
    noise_rms: float
    noise_share: float


def first_look(samples: NDArray[np.float64], sample_rate_hz: float, trigger: int) -> FirstLook:
    """Where the sound rises around `samples[trigger]`, one channel, shape (n,).

    At least 20 ms should lie before `trigger`, as the noise is measured there, and 5 ms after it.
    """
    offset = samples[: max(1, samples.size // 4)].mean()
    high_passed = high_pass(samples - offset, sample_rate_hz, HIGH_PASS_HZ, 2)
    smooth = _smooth(high_passed, round(SMOOTHING_S / 2.0 * sample_rate_hz))
    start = max(1, trigger - round(LEAD_S * sample_rate_hz))
    stop = min(smooth.size, trigger + round(PEAK_S * sample_rate_hz))
    peak = start + int(np.argmax(np.abs(smooth[start:stop])))
    change = start + change_point(smooth[start : peak + 1])
    noise_share = float(np.std(smooth[start // 3 : start])) / max(abs(float(smooth[peak])), 1e-12)
    level = min(max(FRONT_LEVEL, NOISE_SIGMAS * noise_share), 0.9)
    crossing = _crossing(smooth, change, peak, level)
    noise_rms = max(float(np.std(high_passed[start // 3 : start])), 1e-7)
    return FirstLook(high_passed, smooth, change, crossing, level, peak, noise_rms, noise_share)


def first_arrival(
    samples: NDArray[np.float64], sample_rate_hz: float, trigger: int, *, rail: float = math.inf
) -> Arrival:
    """The front of the sound that rises around `samples[trigger]`; see `first_look` and `refine`."""
    return refine(first_look(samples, sample_rate_hz, trigger), sample_rate_hz, np.abs(samples) < rail)


def refine(look: FirstLook, sample_rate_hz: float, is_whole: NDArray[np.bool_]) -> Arrival:
    """The front to a fraction of a sample where a blast fits it, else as first seen.

    Samples that are not whole, `is_whole` of shape (n,), are clipped: they say nothing of what the sound was.
    """
    fitted = _fit(look, is_whole, sample_rate_hz)
    if fitted is not None:
        return fitted
    smooth, change, peak = look.smooth, look.change, look.peak
    rise = max(_crossing(smooth, change, peak, 0.8) - _crossing(smooth, change, peak, 0.2), 1.0)
    front = _crossing(smooth, change, peak, max(look.level, HALF))
    sigma = math.hypot(max(UNFITTED_SIGMA, look.noise_share) * rise, SIGMA_FLOOR_S * sample_rate_hz)
    return Arrival(front, sigma, is_fitted=False)


def align(samples: NDArray[np.float64], sample_rate_hz: float, delays_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of channels (channels, n) after each was moved back by its delay: shape (n,).

    A delay of a positive time means that the channel hears it later.
    """
    n = samples.shape[1]
    n_padded = next_fast_len(n + 2 * math.ceil(float(np.abs(delays_s).max()) * sample_rate_hz), real=True)
    spectra = rfft(samples - samples.mean(axis=1, keepdims=True), n_padded, axis=1)
    turns = delay_table(delays_s, spectra.shape[1], 2.0 * np.pi * sample_rate_hz / n_padded)
    beam: NDArray[np.float64] = irfft(np.einsum("cf,cf->f", spectra, turns) / delays_s.size, n_padded)[:n]
    return beam


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


def blast_pulse(
    times_s: NDArray[np.float64], duration_s: float | NDArray[np.float64], smoothing_s: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """A Friedlander pulse (1 - t/T) exp(-t/T), t >= 0, seen through a Gaussian low-pass of sigma `smoothing_s`.

    `duration_s` is T, the positive phase. The closed form is the convolution of the two. Arguments broadcast.
    """
    rate = 1.0 / duration_s
    centred = times_s - rate * smoothing_s**2
    decay = np.exp(np.minimum(-rate * times_s + 0.5 * (rate * smoothing_s) ** 2, 50.0))
    sigmas = centred / smoothing_s
    passed = ndtr(sigmas)
    bell = smoothing_s / math.sqrt(2.0 * math.pi) * np.exp(-0.5 * sigmas * sigmas)
    pulse: NDArray[np.float64] = decay * (passed - rate * (centred * passed + bell))
    return pulse


def _crossing(samples: NDArray[np.float64], change: int, peak: int, share: float) -> float:
    """Where the magnitude first reaches `share` of the peak after the change point, between samples."""
    magnitude = np.abs(samples[: peak + 1])
    level = share * float(magnitude[peak])
    first = max(1, change + int(np.argmax(magnitude[change:] >= level)))
    slope = max(float(magnitude[first] - magnitude[first - 1]), 1e-12)
    return first - min(1.0, max(0.0, float(magnitude[first] - level) / slope))


def _first_peak(samples: NDArray[np.float64], start: int, end: int, noise_rms: float) -> int:
    """The peak of the first hump of the magnitude within start..end."""
    magnitude = np.abs(samples[start : end + 1])
    highest = np.maximum.accumulate(magnitude)
    fallen = np.flatnonzero(magnitude < HUMP_END * highest - 2.0 * noise_rms)
    hump = magnitude[: fallen[0]] if fallen.size else magnitude
    return start + int(np.argmax(hump))


def _fit(look: FirstLook, is_whole: NDArray[np.bool_], sample_rate_hz: float) -> Arrival | None:
    """Levenberg-Marquardt over time, log duration and log smoothing; the amplitude follows linearly."""
    samples, crossing, noise_rms = look.high_passed, look.crossing, look.noise_rms
    first = max(0, int(crossing - FIT_BEFORE_S * sample_rate_hz))
    last = min(look.peak, int(crossing + FIT_RISE_S * sample_rate_hz))
    peak = _first_peak(samples, int(crossing), last, noise_rms)
    while peak + 1 < samples.size and not is_whole[peak : peak + 2].all():
        peak += 1  # to the end of the rail: what follows it tells how high the blast went
    end = min(samples.size, peak + 2 + round(FIT_BEYOND_PEAK_S * sample_rate_hz))
    height = float(np.max(np.abs(samples[int(crossing) : peak + 1]), initial=0.0))
    used = np.arange(first, end)[is_whole[first:end]]
    if used.size < 6 or height <= 0.0:
        return None
    data = samples[used]
    times_s = np.asarray((used - crossing) / sample_rate_hz, dtype=np.float64)
    front = _Front(times_s, data, math.hypot(noise_rms, MODEL_ERROR * height), 0.3 / sample_rate_hz)
    best, covariance = _levenberg_marquardt(front, PRIOR_MEANS)
    residual = data - front.pulses(best[np.newaxis])[0]
    misfit = float(np.sqrt(np.mean(residual**2)))
    if abs(best[0]) > FIT_BEFORE_S / 2 or misfit > MAX_MISFIT * height + noise_rms:
        return None
    # Noise alone leaves a residual of its own size; what exceeds it is the model's error, and that is not white.
    n_free = max(data.size - 4, 1)
    expected = noise_rms**2 * (1.0 + 2.0 * math.sqrt(2.0 / n_free))
    unexplained = max(0.0, misfit**2 * data.size / n_free - expected) / front.sigma**2
    inflation = 1.0 + unexplained * max(1.0, ERROR_LENGTH_S * sample_rate_hz)
    floor_s = SIGMA_FLOOR_S if used.size == end - first else CLIPPED_SIGMA_S
    sigma_s = math.hypot(math.sqrt(covariance[0, 0] * inflation), floor_s)
    return Arrival(crossing + float(best[0]) * sample_rate_hz, sigma_s * sample_rate_hz, is_fitted=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Front:
    """Samples of a rise with the times they belong to, and the size of what the model can't explain."""

    times_s: NDArray[np.float64]
    data: NDArray[np.float64]
    sigma: float
    min_smoothing_s: float

    def pulses(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """The model with its best amplitude for each row (time, log duration, log smoothing): (rows, n)."""
        time_s, duration_s = parameters[:, :1], np.exp(parameters[:, 1:2])
        smoothing_s = np.hypot(np.exp(parameters[:, 2:]), self.min_smoothing_s)
        shapes = blast_pulse(self.times_s - time_s, duration_s, smoothing_s)
        powers = np.maximum(np.einsum("kn,kn->k", shapes, shapes), 1e-30)
        scaled: NDArray[np.float64] = shapes * ((shapes @ self.data) / powers)[:, np.newaxis]
        return scaled

    def linearised(self, parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What is left of the data and of the priors, in sigmas, (n + 3,), and its derivatives, (n + 3, 3)."""
        rows = parameters + STEP_ROWS
        residuals = np.empty((4, self.data.size + 3))
        residuals[:, :-3] = (self.data - self.pulses(rows)) / self.sigma
        residuals[:, -3:] = (rows - PRIOR_MEANS) / PRIOR_SIGMAS
        return residuals[0], ((residuals[1:] - residuals[0]) / STEPS[:, np.newaxis]).T


def _levenberg_marquardt(
    front: _Front, parameters: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The best parameters and their covariance."""
    residuals, jacobian = front.linearised(parameters)
    cost = float(residuals @ residuals)
    damping = 1e-2
    for _ in range(FIT_STEPS):
        normal = jacobian.T @ jacobian
        normal.flat[::4] *= 1.0 + damping
        step = np.linalg.solve(normal, jacobian.T @ residuals)
        trial = parameters - np.minimum(np.maximum(step, -MAX_STEPS), MAX_STEPS)
        trial_residuals, trial_jacobian = front.linearised(trial)
        gain = cost - float(trial_residuals @ trial_residuals)
        if gain <= 0.0:
            damping *= 10.0
            continue
        parameters, residuals, jacobian, cost = trial, trial_residuals, trial_jacobian, cost - gain
        damping = max(damping / 10.0, 1e-9)
        if gain < LEAST_GAIN:
            break
    return parameters, np.linalg.inv(jacobian.T @ jacobian)


def _smooth(samples: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Means of each sample and `reach` neighbours on either side."""
    return np.convolve(samples, np.full(2 * reach + 1, 1.0 / (2 * reach + 1)), "same")
