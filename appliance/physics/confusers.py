"""Sounds of a street that are not gunfire: fireworks, thunder, impacts, engines, dogs, voices. Pascal at 1 m."""

from dataclasses import dataclass

import numpy as np

from appliance.physics.attenuation import Floats
from appliance.physics.blasts import ONSET_SAMPLES, Sound, band_limited, friedlander, peak_pa, stretched
from appliance.physics.outdoors import band_edge


def firework_burst(sample_rate_hz: float, rng: np.random.Generator, *, distance_m: float) -> Sound:
    """An aerial shell bursting: a louder and longer blast than a gun's, 163 to 170 dB and 1.5 to 3.5 ms."""
    peak, positive_s = stretched(peak_pa(rng.uniform(163.0, 170.0)), rng.uniform(1.5e-3, 3.5e-3), distance_m)
    return friedlander(peak, positive_s, sample_rate_hz)


def firework_lift(sample_rate_hz: float, rng: np.random.Generator, *, distance_m: float) -> Sound:
    """The mortar's thump at the ground: 140 to 147 dB, 6 to 12 ms, little above 200 Hz."""
    peak, positive_s = stretched(peak_pa(rng.uniform(140.0, 147.0)), rng.uniform(6e-3, 12e-3), distance_m)
    return friedlander(peak, positive_s, sample_rate_hz)


def firework_crackle(sample_rate_hz: float, rng: np.random.Generator) -> Sound:
    """Dragon's eggs: a hundred or two small bursts within a second, 126 to 138 dB each."""
    times_s = np.sort(rng.gamma(4.0, 0.15, int(rng.integers(80, 200))))
    return _pops(times_s, rng.uniform(126.0, 138.0, len(times_s)), sample_rate_hz, rng)


def cracker_string(sample_rate_hz: float, rng: np.random.Generator) -> Sound:
    """A string of firecrackers: 20 to 80 pops, 20 to 90 ms apart, now and then two at once, 138 to 147 dB."""
    gaps_s = rng.gamma(2.0, 0.025, int(rng.integers(20, 80)))
    times_s = np.concatenate([[0.0], np.cumsum(gaps_s)])
    return _pops(times_s, rng.uniform(138.0, 147.0, len(times_s)), sample_rate_hz, rng)


def firework_whistle(sample_rate_hz: float, rng: np.random.Generator) -> Sound:
    """A whistling rocket: 1 to 2 s of a falling tone of 2 to 4 kHz with harmonics, 112 dB."""
    n = int(rng.uniform(1.0, 2.0) * sample_rate_hz)
    time = np.arange(n) / n
    tone_hz = rng.uniform(3_000.0, 4_000.0) * (1.0 - 0.35 * time) * (1.0 + 0.01 * np.sin(40.0 * np.pi * time))
    phase = 2.0 * np.pi * np.cumsum(tone_hz) / sample_rate_hz
    wave = np.sin(phase) + 0.4 * np.where(2.0 * tone_hz < 0.45 * sample_rate_hz, np.sin(2.0 * phase), 0.0)
    swell = np.clip(time / 0.1, 0.0, 1.0) * np.clip((1.0 - time) / 0.05, 0.0, 1.0)
    breath = 1.0 + 0.2 * rng.standard_normal(n)
    return _led(wave * swell * breath * peak_pa(112.0), sample_rate_hz)


def impact(sample_rate_hz: float, rng: np.random.Generator) -> Sound:
    """A door, a hammer, a dropped load: a few damped modes of 80 to 2500 Hz struck together, 108 to 122 dB."""
    n = int(0.5 * sample_rate_hz)
    time_s = np.arange(n) / sample_rate_hz
    wave = np.zeros(n)
    for _ in range(int(rng.integers(4, 10))):
        mode_hz = float(np.exp(rng.uniform(np.log(80.0), np.log(2_500.0))))
        ring_s = float(rng.uniform(0.01, 0.06)) * (200.0 / mode_hz) ** 0.3
        phase = rng.uniform(0.0, 2.0 * np.pi)
        wave += rng.uniform(0.3, 1.0) * np.sin(2.0 * np.pi * mode_hz * time_s + phase) * np.exp(-time_s / ring_s)
    wave += 0.5 * rng.standard_normal(n) * np.exp(-time_s / 0.008)
    # The blow itself lasts one to three milliseconds, so nothing begins as steeply as a blast.
    wave *= 1.0 - np.exp(-time_s / rng.uniform(1e-3, 3e-3))
    return _led(_at_peak(wave, rng.uniform(108.0, 122.0)), sample_rate_hz)


def bark(sample_rate_hz: float, rng: np.random.Generator) -> Sound:
    """A dog: one to four barks, harmonics of 300 to 700 Hz that rise and fall, with breath, 104 to 112 dB."""
    gap = np.zeros(int(rng.uniform(0.15, 0.5) * sample_rate_hz))
    pitch_hz = rng.uniform(300.0, 700.0)
    pieces: list[Floats] = []
    for _ in range(int(rng.integers(1, 5))):
        pieces += [_call(pitch_hz, rng.uniform(0.12, 0.25), sample_rate_hz, rng), gap]
    return _led(_at_peak(np.concatenate(pieces), rng.uniform(104.0, 112.0)), sample_rate_hz)


def voice(sample_rate_hz: float, rng: np.random.Generator) -> Sound:
    """Somebody shouting: one to three syllables of 110 to 280 Hz with vowels' formants, 92 to 102 dB."""
    pitch_hz = rng.uniform(110.0, 280.0)
    pieces: list[Floats] = []
    for _ in range(int(rng.integers(1, 4))):
        n = int(rng.uniform(0.15, 0.4) * sample_rate_hz)
        pieces += [_vowel(pitch_hz * rng.uniform(0.9, 1.2), n, sample_rate_hz, rng)]
        pieces += [np.zeros(int(rng.uniform(0.03, 0.1) * sample_rate_hz))]
    return _led(_at_peak(np.concatenate(pieces), rng.uniform(92.0, 102.0)), sample_rate_hz)


def vehicle(sample_rate_hz: float, duration_s: float, rng: np.random.Generator) -> Sound:
    """An engine and its tyres, neither nearing nor leaving: harmonics of the firing rate, and noise."""
    n = int(duration_s * sample_rate_hz)
    time_s = np.arange(n) / sample_rate_hz
    firing_hz = rng.uniform(35.0, 90.0) * (1.0 + 0.15 * np.sin(2.0 * np.pi * time_s / rng.uniform(3.0, 8.0)))
    phase = 2.0 * np.pi * np.cumsum(firing_hz) / sample_rate_hz
    engine = sum(np.sin(k * phase + rng.uniform(0.0, 6.28)) / k for k in range(1, 9))
    tyres = _shaped_noise(n, sample_rate_hz, rng, low_hz=300.0, high_hz=1_500.0)
    return _led(peak_pa(84.0) * engine + peak_pa(86.0) * tyres, sample_rate_hz)


@dataclass(frozen=True, slots=True, eq=False)
class Lightning:
    """A lightning channel: points ENU, shape (n, 3), and what each sends out, pascal at 1 m, shape (n,)."""

    points_m: Floats
    strength_pa: Floats


def lightning(foot_m: tuple[float, float], rng: np.random.Generator) -> Lightning:
    """A tortuous channel from the cloud to `foot_m` (east, north): 3 to 5 km up, then some kilometres along the cloud.

    Steps of 10 m turn by about 16 degrees each (Few 1969; Ribner and Roy 1982), strong near the ground.
    """
    n_up, n_along = int(rng.integers(300, 500)), int(rng.integers(100, 300))
    upward = _walk(np.array([0.0, 0.0, 10.0]), n_up, rng) + np.array([*foot_m, 5.0])
    sideways = np.array([rng.normal(0.0, 7.0), rng.normal(0.0, 7.0), 0.5])
    points = np.concatenate([upward, upward[-1] + _walk(sideways, n_along, rng)])
    strength = peak_pa(152.0) * rng.gamma(2.0, 0.5, len(points))
    strength[n_up:] *= 0.5
    points[:, 2] = np.maximum(points[:, 2], 2.0)
    return Lightning(points, strength)


def thunder_at(
    channel: Lightning, listener_m: Floats, sample_rate_hz: float, sound_speed_mps: float
) -> tuple[float, Floats]:
    """Thunder at a microphone: how long after the flash it begins, seconds, and its pressure, pascal, shape (n,).

    Each step of the channel sends an N-wave of some milliseconds; what differs is their time and distance. Long ways
    lengthen the waves and round them, so only a near channel claps.
    """
    distance_m = np.linalg.norm(channel.points_m - listener_m, axis=1)
    delay_s = distance_m / sound_speed_mps
    first_s = float(delay_s.min())
    n = int((float(delay_s.max()) - first_s) * sample_rate_hz) + 2
    train = np.zeros(n + 1)
    at = (delay_s - first_s) * sample_rate_hz
    index = at.astype(int)
    weight = channel.strength_pa / distance_m
    np.add.at(train, index, weight * (1.0 - (at - index)))
    np.add.at(train, index + 1, weight * (at - index))
    nearest_m = float(distance_m.min())
    wave = _rounded_n_wave(4e-3 * (1.0 + nearest_m / 2_000.0), nearest_m, sample_rate_hz)
    size = 1 << (n + len(wave)).bit_length()
    heard: Floats = np.fft.irfft(np.fft.rfft(train, size) * np.fft.rfft(wave, size), size)[: n + len(wave)]
    return first_s, heard


def _walk(step_m: Floats, n: int, rng: np.random.Generator) -> Floats:
    """A random walk of n steps like `step_m`, each turned at random by about 16 degrees, but keeping its course."""
    steps = np.tile(step_m, (n, 1)) + rng.normal(0.0, 0.28 * 10.0, (n, 3)) + _wander(n, rng)
    walk: Floats = np.cumsum(steps, axis=0)
    return walk


def _wander(n: int, rng: np.random.Generator) -> Floats:
    """Slow bends of the channel, 100 m long."""
    kernel = np.hanning(11) / np.hanning(11).sum()
    bends = rng.normal(0.0, 10.0, (n, 3))
    smooth: Floats = np.stack([np.convolve(bends[:, k], kernel, mode="same") for k in range(3)], axis=1)
    return smooth


def _rounded_n_wave(duration_s: float, distance_m: float, sample_rate_hz: float) -> Floats:
    """An N-wave of unit peak with its edges rounded by the way (0.1 ms at 100 m, growing with its square root)."""
    sound = band_limited(lambda t: 1.0 - 2.0 * t / duration_s, duration_s, sample_rate_hz)
    edge_samples = max(1, int(1e-5 * np.sqrt(distance_m) * sample_rate_hz))
    kernel = np.hanning(2 * edge_samples + 1)
    rounded: Floats = np.convolve(sound.pressure_pa, kernel / kernel.sum())
    return rounded


def _pops(times_s: Floats, levels_dbspl: Floats, sample_rate_hz: float, rng: np.random.Generator) -> Sound:
    """Small blasts of 0.15 to 0.3 ms at these times."""
    pressure_pa = np.zeros(int((times_s[-1] + 0.02) * sample_rate_hz) + 4 * ONSET_SAMPLES)
    for time_s, level_dbspl in zip(times_s - times_s[0], levels_dbspl, strict=True):
        pop = friedlander(peak_pa(level_dbspl), rng.uniform(0.15e-3, 0.3e-3), sample_rate_hz).pressure_pa
        first = int(time_s * sample_rate_hz)
        pressure_pa[first : first + len(pop)] += pop[: len(pressure_pa) - first]
    return Sound(pressure_pa, sample_rate_hz)


def _call(pitch_hz: float, duration_s: float, sample_rate_hz: float, rng: np.random.Generator) -> Floats:
    """One bark: harmonics under a pitch that rises and falls, rough, with breath."""
    n = int(duration_s * sample_rate_hz)
    time = np.arange(n) / n
    bend_hz = pitch_hz * (1.0 + 0.4 * np.sin(np.pi * time))
    phase = 2.0 * np.pi * np.cumsum(bend_hz) / sample_rate_hz
    wave = np.zeros(n)
    for k in range(1, 9):
        if k * pitch_hz * 1.4 < 0.45 * sample_rate_hz:
            wave += rng.uniform(0.3, 1.0) / k**0.7 * np.sin(k * phase)
    swell = np.sin(np.pi * np.minimum(time / 0.7, 1.0) ** 0.5) ** 2 * (1.0 - time)
    tail = 0.02 * np.clip(time / 0.1, 0.0, 1.0) * (1.0 - time)
    call: Floats = (wave + 0.4 * rng.standard_normal(n)) * (swell + tail)
    return call


def _vowel(pitch_hz: float, n: int, sample_rate_hz: float, rng: np.random.Generator) -> Floats:
    """A glottal pulse train through three formants."""
    phase = np.cumsum(np.full(n, pitch_hz / sample_rate_hz) * (1.0 + 0.03 * np.linspace(1.0, -1.0, n)))
    source = np.diff(np.floor(phase), prepend=0.0) + 0.03 * rng.standard_normal(n)
    frequency_hz = np.fft.rfftfreq(n, 1.0 / sample_rate_hz)
    gain = np.full(len(frequency_hz), 0.01)
    for centre_hz, width_hz in ((rng.uniform(400, 800), 90), (rng.uniform(1_000, 2_000), 130), (2_600, 200)):
        gain += 1.0 / (1.0 + ((frequency_hz - centre_hz) / width_hz) ** 2)
    gain *= band_edge(frequency_hz, sample_rate_hz)
    shaped: Floats = np.fft.irfft(np.fft.rfft(source) * gain, n) * np.sin(np.pi * np.arange(n) / n)
    return shaped


def _shaped_noise(n: int, sample_rate_hz: float, rng: np.random.Generator, *, low_hz: float, high_hz: float) -> Floats:
    """Noise of unit RMS, flat between the corners, falling by 6 dB an octave below and 12 above."""
    frequency_hz = np.fft.rfftfreq(n, 1.0 / sample_rate_hz)
    gain = 1.0 / np.sqrt(1.0 + (low_hz / np.maximum(frequency_hz, 1.0)) ** 2) / (1.0 + (frequency_hz / high_hz) ** 2)
    noise: Floats = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * gain, n)
    unit: Floats = noise / float(np.sqrt(np.mean(noise**2)))
    return unit


def _at_peak(wave: Floats, level_dbspl: float) -> Floats:
    return wave * (peak_pa(level_dbspl) / float(np.max(np.abs(wave))))


def _led(pressure_pa: Floats, sample_rate_hz: float) -> Sound:
    """With `ONSET_SAMPLES` of silence before it, as every sound has."""
    return Sound(np.concatenate([np.zeros(ONSET_SAMPLES), pressure_pa]), sample_rate_hz)
