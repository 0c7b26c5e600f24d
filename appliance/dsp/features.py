"""The classifier's front end: the sound around an onset, made one rate and one band, as a patch of log-mel levels.

The same code runs in training and on a node. Whatever the microphone, only 90 Hz to 3.4 kHz counts: below lies
wind, above lies what an 8 kHz converter or a street sensor never passed on, and a model that saw it would learn
the microphone instead of the sound. Level doesn't count either: a patch is relative to its own loudest cell.
"""

import functools
import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from appliance.model.audio import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ

FEATURES_VERSION = 1
"""Grows with every change of what a patch means; a model states the version that it was trained on."""

COMMON_RATE_HZ = 8_000
FRAME_SAMPLES = 128
"""16 ms at the common rate: long enough for 100 Hz, and its Hann window is 8 ms wide at half power."""
HOP_SAMPLES = 40
N_FRAMES = 152
N_BANDS = 28
PATCH_SHAPE = (N_FRAMES, N_BANDS)

_FRAMES_BEFORE_S = 0.19
_RESAMPLING_REACH_S = 0.002
"""How far the resampling filter looks beyond the frames, at any rate."""
WINDOW_BEFORE_S = _FRAMES_BEFORE_S + _RESAMPLING_REACH_S
WINDOW_AFTER_S = (
    ((N_FRAMES - 1) * HOP_SAMPLES + FRAME_SAMPLES) / COMMON_RATE_HZ - _FRAMES_BEFORE_S + _RESAMPLING_REACH_S
)
"""0.583 s: an alert must not wait longer for the classifier."""

LOWEST_HZ = 90.0
HIGHEST_HZ = 3_400.0
"""What the anti-alias filter of an 8 kHz converter still passes whole."""

RANGE_DB = 60.0
"""A patch spans this much below its loudest cell; what lies lower is hum, dither or a file's own silence."""

_PRE_EMPHASIS = 0.9
_STOP_DB = 65.0
_FFT_SAMPLES = 256
_ABREAST = 8
_RATE_STEP_HZ = 25
"""A rate is rounded to this before resampling: at most 0.2 % of pitch, and the resampling ratio stays small."""
_SMALLEST_POWER = 1e-20


def log_mel_patch(samples: NDArray[np.float32], sample_rate_hz: float, onset_sample: int) -> NDArray[np.float32]:
    """Log-mel levels of the window around `samples[onset_sample]`, shape `PATCH_SHAPE` (time, band), 0..1.

    1 is the loudest cell, 0 is `RANGE_DB` or more below it; total silence is all zeros. `samples` is one channel,
    shape (n,); outside it silence is assumed. The patch does not depend on the gain, and on the sample rate only
    as far as the resampling filter's ripple. Raises ValueError for a rate that is more than 1 % out of bounds (a true
    rate differs from its nominal one) or samples that are not finite numbers.
    """
    if not MIN_SAMPLE_RATE_HZ * 0.99 <= sample_rate_hz <= MAX_SAMPLE_RATE_HZ * 1.01:
        raise ValueError(f"sample rate {sample_rate_hz} Hz is outside {MIN_SAMPLE_RATE_HZ}..{MAX_SAMPLE_RATE_HZ} Hz")
    window = _window_at_common_rate(samples, sample_rate_hz, onset_sample)
    emphasised = window[1:] - _PRE_EMPHASIS * window[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, FRAME_SAMPLES)[::HOP_SAMPLES]
    spectra = scipy.fft.rfft(frames * _frame_window(), n=_FFT_SAMPLES, axis=1)
    power = (spectra.real**2 + spectra.imag**2) @ _mel_weights()
    return _relative_levels(power)


def _relative_levels(power: NDArray[np.float64]) -> NDArray[np.float32]:
    loudest = float(power.max())
    if loudest < _SMALLEST_POWER:
        return np.zeros(PATCH_SHAPE, dtype=np.float32)
    levels_db = 10.0 * np.log10(np.maximum(power / loudest, 10.0 ** (-RANGE_DB / 10.0)))
    return np.asarray(1.0 + levels_db / RANGE_DB, dtype=np.float32)


def _window_at_common_rate(
    samples: NDArray[np.float32], sample_rate_hz: float, onset_sample: int
) -> NDArray[np.float64]:
    """The window and one sample before it (for the pre-emphasis), at `COMMON_RATE_HZ`."""
    rate_hz = _RATE_STEP_HZ * round(sample_rate_hz / _RATE_STEP_HZ)
    divisor = math.gcd(COMMON_RATE_HZ, rate_hz)
    up, down = COMMON_RATE_HZ // divisor, rate_hz // divisor
    taps, delay = _resampling_taps(up, down)
    margin = len(taps) // up + 1
    n_before = round(_FRAMES_BEFORE_S * COMMON_RATE_HZ) + 1
    n_window = (N_FRAMES - 1) * HOP_SAMPLES + FRAME_SAMPLES + 1
    # Whole periods of `down` samples before the onset put it on a sample of the common rate.
    periods_before = math.ceil((n_before * down / up + margin) / down)
    start = onset_sample - periods_before * down
    stop = onset_sample + math.ceil((n_window - n_before) * down / up) + margin
    first = delay + periods_before * up - n_before
    return _resample(_slice_with_silence(samples, start, stop), _resampling_phases(up, down), first, n_window)


def _resample(samples: NDArray[np.float64], phases: NDArray[np.float64], first: int, n: int) -> NDArray[np.float64]:
    """Outputs first..first+n-1 of `samples` with zeros between, filtered and decimated (see `_resampling_phases`).

    Outputs that share a phase of the filter lie `down` samples apart: a product of matrices does each phase.
    """
    up, n_blocks, n_abreast, width = phases.shape
    down = width // n_abreast
    n_rows = -(-n // (up * n_abreast))
    padded = np.pad(samples, ((n_blocks - 1) * width + down, width * (n_rows + 1)))
    n_read = (n_rows + n_blocks - 1) * width
    outputs = np.empty((up, n_abreast, n_rows))
    for k in range(up):
        newest, phase = divmod((first + k) * down, up)
        # In `padded`, the oldest sample of the first output is the one after the newest in `samples`.
        rows = padded[newest + 1 : newest + 1 + n_read].reshape(-1, width)
        products = (phases[phase].reshape(-1, width) @ rows.T).reshape(n_blocks, n_abreast, -1)
        outputs[k] = products[0, :, :n_rows]
        for block in range(1, n_blocks):
            outputs[k] += products[block, :, block : block + n_rows]
    return outputs.reshape(-1, n_rows).T.reshape(-1)[:n]


@functools.lru_cache(maxsize=8)
def _resampling_phases(up: int, down: int) -> NDArray[np.float64]:
    """The low-pass as `_resample` wants it: the taps that each phase applies, oldest sample first, in blocks.

    Shape (up, blocks, abreast, width): where there is one phase alone, so many neighbouring outputs are worked out
    together, each `down` samples later than the one before, as a product of matrices likes it larger.
    """
    taps, _ = _resampling_taps(up, down)
    n_abreast = _ABREAST if up == 1 else 1
    width = n_abreast * down
    n_blocks = -(-(-(-taps.size // up) + width - down) // width)
    n_taps = (n_blocks - 1) * width + down
    whole = np.pad(taps, (0, up * n_taps - taps.size)).reshape(-1, up).T[:, ::-1]
    table = np.zeros((up, n_abreast, n_blocks * width))
    for k in range(n_abreast):
        table[:, k, k * down : k * down + n_taps] = whole
    return np.ascontiguousarray(table.reshape(up, n_abreast, n_blocks, width).transpose(0, 2, 1, 3))


def _slice_with_silence(samples: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float64]:
    inside = samples[max(start, 0) : max(stop, 0)].astype(np.float64)
    if not np.isfinite(inside).all():
        raise ValueError("the sound holds samples that are not finite numbers")
    n_missing_before = min(max(-start, 0), stop - start)
    n_missing_after = stop - start - n_missing_before - len(inside)
    return np.pad(inside, (n_missing_before, n_missing_after))


@functools.lru_cache(maxsize=8)
def _resampling_taps(up: int, down: int) -> tuple[NDArray[np.float64], int]:
    """Low-pass for `_resample`, flat to `HIGHEST_HZ` and stopped from where aliases would fall below it; its delay.

    The delay is a whole number of samples of the common rate.
    """
    if up == down:
        return np.ones(1), 0
    raised_rate_hz = float(COMMON_RATE_HZ * down)
    width_hz = COMMON_RATE_HZ - 2.0 * HIGHEST_HZ
    # Length and shape of the Kaiser window: Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3.
    n_half = math.ceil((_STOP_DB - 7.95) / (2.285 * 2.0 * math.pi * width_hz / raised_rate_hz) + 1.0) // 2
    window = np.kaiser(2 * n_half + 1, 0.1102 * (_STOP_DB - 8.7))
    low_pass = np.sinc(np.arange(-n_half, n_half + 1) * (COMMON_RATE_HZ / raised_rate_hz)) * window
    low_pass /= low_pass.sum()
    n_ahead = -n_half % down
    return np.pad(up * low_pass, (n_ahead, 0)), (n_half + n_ahead) // down


@functools.cache
def _frame_window() -> NDArray[np.float64]:
    return np.hanning(FRAME_SAMPLES + 2)[1:-1]


@functools.cache
def _mel_weights() -> NDArray[np.float64]:
    """Triangles on the mel scale of O'Shaughnessy, 2595 log10(1 + f / 700 Hz); shape (bins, `N_BANDS`)."""
    mel = np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), N_BANDS + 2)
    edges_hz = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    bins_hz = np.arange(_FFT_SAMPLES // 2 + 1) * COMMON_RATE_HZ / _FFT_SAMPLES
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz[:, None] - low) / (centre - low)
    falling = (high - bins_hz[:, None]) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling))


def _mel(frequency_hz: float) -> float:
    return 2595.0 * math.log10(1.0 + frequency_hz / 700.0)
