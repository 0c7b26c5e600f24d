"""A single sound file of any kind that libsndfile reads, as blocks: for trying the detector on it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from appliance.errors import InputError
from appliance.model.audio import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, AudioBlock
from appliance.model.instants import NS_PER_S, UtcNs

MAX_SOUND_S = 3_600.0
"""An hour; the first channel of it fits into memory at any rate."""
BLOCK_S = 0.1
LEAD_IN_S = 1.0
MOMENT_S = 0.2
_SILENCE = 1e-5
"""-100 dBFS, the noise of a good microphone in a quiet room; digital silence would make any sound an onset."""


def read_sound(path: Path) -> tuple[NDArray[np.float32], int]:
    """The first channel of a sound file, shape (n,), full scale +-1.0, and its sample rate in Hz. Raises InputError."""
    if not path.is_file():
        raise InputError(str(path), "is no file", "name a sound file")
    try:
        with soundfile.SoundFile(str(path)) as file:
            _require_fit(path, file.samplerate, file.frames)
            samples = file.read(dtype="float32", always_2d=True)[:, 0]
            rate_hz = int(file.samplerate)
    except (soundfile.SoundFileError, RuntimeError, OSError) as error:
        words = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise InputError(str(path), f"can't be read ({words})", "name a WAV, FLAC or other sound file") from error
    if samples.size == 0:
        raise InputError(str(path), "is empty: 0 samples", "name a file with sound in it")
    if not np.isfinite(samples).all():
        raise InputError(str(path), "has samples that are no numbers", "write it again")
    return np.ascontiguousarray(samples), rate_hz


def _require_fit(path: Path, rate_hz: int, n_samples: int) -> None:
    if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
        remedy = f"resample it to {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz"
        raise InputError(str(path), f"has {rate_hz} samples a second", remedy)
    if n_samples > MAX_SOUND_S * rate_hz:
        raise InputError(str(path), f"lasts {n_samples / rate_hz:.0f} s", f"cut it to {MAX_SOUND_S:.0f} s")


def sound_blocks(samples: NDArray[np.float32], rate_hz: int) -> Iterator[AudioBlock]:
    """`samples` as blocks of one channel whose time 0 is the first sample, after `LEAD_IN_S` of background.

    A clip often begins with the bang itself, while a node has always listened before one. So the clip is led in by
    noise with the level and the spectrum of its own quietest moment, seeded, which neither hides nor makes an onset.
    """
    lead_in = _noise_like(_quietest(samples, rate_hz), round(LEAD_IN_S * rate_hz))
    whole = np.concatenate([lead_in, samples])
    n_block = round(BLOCK_S * rate_hz)
    for first in range(0, whole.size, n_block):
        start_ns = UtcNs(round((first - lead_in.size) * NS_PER_S / rate_hz))
        yield AudioBlock(whole[np.newaxis, first : first + n_block], first, float(rate_hz), start_ns, 0)


def _quietest(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """The `MOMENT_S` of `samples` with the least energy, or all of them where there is less."""
    n = max(2, min(round(MOMENT_S * rate_hz), samples.size))
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    first = int(np.argmin(energy[n:] - energy[:-n])) if samples.size > n else 0
    return samples[first : first + n].astype(np.float64)


def _noise_like(moment: NDArray[np.float64], n: int) -> NDArray[np.float32]:
    """Seeded Gaussian noise of n samples with the level and, roughly, the spectrum of `moment`."""
    rng = np.random.default_rng(0)
    magnitude = np.abs(np.fft.rfft(moment * np.hanning(moment.size)))
    bins = np.interp(np.linspace(0.0, 1.0, n // 2 + 1), np.linspace(0.0, 1.0, magnitude.size), magnitude)
    noise = np.fft.irfft(bins * (rng.normal(size=bins.size) + 1j * rng.normal(size=bins.size)), n)
    rms = max(float(np.sqrt((moment**2).mean())), _SILENCE)
    shaped: NDArray[np.float64] = noise * (rms / max(float(np.sqrt((noise**2).mean())), 1e-30))
    floor = rng.normal(0.0, _SILENCE, n)  # digital silence has no spectrum to follow
    return (shaped + floor).astype(np.float32)
