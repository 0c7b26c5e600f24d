"""Butterworth filters as frequency responses, for sound that is worked on in the frequency domain."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

Responses = NDArray[np.complex128]
Floats = NDArray[np.float64]

RINGING_PERIODS = 5.0
"""A Butterworth filter of order 4 or less has rung down by 100 dB after so many periods of its corner frequency."""
LADDER = 32


def high_pass_response(frequencies_hz: Floats, corner_hz: float, order: int, sample_rate_hz: float) -> Responses:
    """Complex response of the digital Butterworth high-pass of even `order`, by the bilinear transform."""
    s = _analog(frequencies_hz, corner_hz, sample_rate_hz)
    response = np.ones(s.shape, np.complex128)
    for damping in _dampings(order):
        response *= s * s / (s * s + damping * s + 1.0)
    return response


def low_pass_response(frequencies_hz: Floats, corner_hz: float, order: int, sample_rate_hz: float) -> Responses:
    """Complex response of the digital Butterworth low-pass of even `order`, by the bilinear transform."""
    s = _analog(frequencies_hz, corner_hz, sample_rate_hz)
    response = np.ones(s.shape, np.complex128)
    for damping in _dampings(order):
        response /= s * s + damping * s + 1.0
    return response


def high_pass(samples: Floats, sample_rate_hz: float, corner_hz: float, order: int) -> Floats:
    """A stretch of sound, shape (n,), after a causal high-pass that was at rest before it."""
    n = samples.size
    n_padded = next_fast_len(n + int(RINGING_PERIODS / corner_hz * sample_rate_hz), real=True)
    response = _high_pass_table(n_padded, sample_rate_hz, corner_hz, order)
    filtered: Floats = irfft(rfft(samples, n_padded) * response, n_padded)[:n]
    return filtered


def delay_table(delays_s: Floats, n_bins: int, spacing_rad_s: float) -> Responses:
    """exp(i k w t) of each delay t and of the bins k = 0..n_bins-1 that lie `spacing_rad_s` apart: (delays, bins).

    By products of a short and a long ladder of turns, which take far fewer exponentials.
    """
    short = np.exp(1j * spacing_rad_s * np.outer(delays_s, np.arange(LADDER)))
    long = np.exp(1j * spacing_rad_s * np.outer(delays_s, np.arange(0, n_bins, LADDER)))
    table: Responses = (long[:, :, np.newaxis] * short[:, np.newaxis]).reshape(delays_s.size, -1)[:, :n_bins]
    return table


@functools.lru_cache(maxsize=8)
def _high_pass_table(n_padded: int, sample_rate_hz: float, corner_hz: float, order: int) -> Responses:
    """The response at the bins of a transform of `n_padded` samples; the same few are asked for at every onset."""
    return high_pass_response(np.fft.rfftfreq(n_padded, 1.0 / sample_rate_hz), corner_hz, order, sample_rate_hz)


def _analog(frequencies_hz: Floats, corner_hz: float, sample_rate_hz: float) -> Responses:
    """The point of the analog prototype's imaginary axis that each frequency is mapped to; the corner to i."""
    # Half the sample rate is mapped to infinity; a little below is as good and has no infinities in it.
    half_turns = np.minimum(np.pi * frequencies_hz / sample_rate_hz, 0.4999 * np.pi)
    analog: Responses = 1j * np.tan(half_turns) / np.tan(np.pi * corner_hz / sample_rate_hz)
    return analog


def _dampings(order: int) -> list[float]:
    """The middle coefficients of the second-order factors of the Butterworth polynomial."""
    return [2.0 * float(np.cos(np.pi * (2 * k + 1) / (2 * order))) for k in range(order // 2)]
