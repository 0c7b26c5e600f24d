"""How a sound outdoors reaches an array: direct path, ground, edges, walls, and the diffuse tail of a built-up place.

A `Response` is what an array hears of one unit impulse (1 Pa at 1 m): one row per microphone. Convolved with the sound
of a source it gives pressure in pascal at each microphone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.model.air import Air
from appliance.physics.air import sound_speed_mps
from appliance.physics.attenuation import (
    HARD_GROUND_PA_S_M2,
    Complexes,
    Floats,
    absorption_db_per_m,
    barrier_db,
    ground_reflection,
    minimum_phase,
)

LEAD_SAMPLES = 32
"""Samples of a response before its time zero: room for the ripple of band-limited pulses and for the array's size."""

TURBULENCE_S_PER_SQRT_M = 1.16e-5
"""Scatter of travel times in moderate turbulence, 1-sigma over the square root of the range (after Daigle 1983)."""
TURBULENCE_DB_PER_SQRT_M = 0.12
"""Scatter of levels: 2 dB at 300 m."""

_KERNEL_SAMPLES = 1024
"""Longest filter of a single path; ground and air are done well within."""


@dataclass(frozen=True, slots=True)
class SoundPath:
    """One way from a source to an array.

    length_m:   along the way, detours over edges included
    delay_s:    after the response's time zero
    towards:    unit vector from the array to where the sound comes from, ENU
    gain:       product of reflection factors of walls; negative would flip the wave
    detour_m:   how much the way is longer than a straight one because of an edge; 0: in sight
    heights_m:  source and array above ground, where a reflection from the ground belongs to this path; else None
    """

    length_m: float
    delay_s: float
    towards: tuple[float, float, float]
    gain: float = 1.0
    detour_m: float = 0.0
    heights_m: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class DiffuseTail:
    """Sound scattered by everything else: a noise-like tail.

    energy:   of all of the tail, over that of the direct sound in free field
    decay_s:  time in which it falls by 60 dB
    start_s:  when it begins after time zero
    swell_s:  how long it takes to come up
    """

    energy: float
    decay_s: float
    start_s: float = 0.01
    swell_s: float = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """Who hears: offsets of the microphones from the array's centre, ENU, shape (microphones, 3), and the rate."""

    microphones_enu_m: Floats
    sample_rate_hz: float


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What an array hears of one impulse: shape (microphones, n); time zero at sample `LEAD_SAMPLES`."""

    samples: Floats
    sample_rate_hz: float


def impulse_response(
    paths: Sequence[SoundPath],
    tails: Sequence[DiffuseTail],
    listener: Listener,
    air: Air,
    rng: np.random.Generator,
) -> Response:
    """The response of an array to an impulse that arrives by these paths.

    Delays are exact to a fraction of a sample. Tails arrive from six directions, independent noise from each.
    """
    speed_mps = sound_speed_mps(air.temperature_c)
    last_s = max((p.delay_s for p in paths), default=0.0)
    reach_s = max([last_s, *(tail.start_s + 0.7 * tail.decay_s for tail in tails)])
    n = LEAD_SAMPLES + int(reach_s * listener.sample_rate_hz) + _KERNEL_SAMPLES
    samples = np.zeros((len(listener.microphones_enu_m), n))
    for path in paths:
        delays_s = path.delay_s - listener.microphones_enu_m @ np.array(path.towards) / speed_mps
        _add_path(samples, path, delays_s, listener.sample_rate_hz, air)
    if tails:
        samples += _diffuse(tails, paths[0].length_m, n, listener, air, rng)
    return Response(samples, listener.sample_rate_hz)


def convolve(pressure_pa: Floats, response: Response) -> Floats:
    """The sound `pressure_pa`, shape (n,), as the array of `response` hears it, shape (microphones, n + m - 1)."""
    n = len(pressure_pa) + response.samples.shape[1] - 1
    size = fast_length(n)
    heard: Floats = np.fft.irfft(np.fft.rfft(response.samples, size) * np.fft.rfft(pressure_pa, size), size)[:, :n]
    return heard


def turbulence_delay_s(distance_m: float, rng: np.random.Generator) -> float:
    """How much later (or earlier) turbulence makes one wavefront."""
    return float(rng.normal(0.0, TURBULENCE_S_PER_SQRT_M * np.sqrt(distance_m)))


def turbulence_gain(distance_m: float, rng: np.random.Generator) -> float:
    """Factor by which turbulence changes the level of one wavefront."""
    return float(10.0 ** (rng.normal(0.0, TURBULENCE_DB_PER_SQRT_M * np.sqrt(distance_m)) / 20.0))


def apply_distance(
    pressure_pa: NDArray[np.floating[Any]], sample_rate_hz: float, distance_m: float, air: Air, rng: np.random.Generator
) -> Floats:
    """A sound recorded or made close by (pressure at 1 m), as one microphone of a street hears it `distance_m` away.

    Shape (n,) in, longer out: echoes and tail follow. The travel time is left out, so an onset stays at its sample.
    Spreading, air, ground, turbulence; the further away the more often behind an edge; random walls and a tail.
    """
    heights_m = (1.5, float(rng.uniform(3.0, 12.0)))
    blocked = rng.random() < distance_m / (distance_m + 200.0)
    detour_m = float(rng.exponential(1.5)) if blocked else 0.0
    direct = SoundPath(distance_m, 0.0, (0.0, 1.0, 0.0), detour_m=detour_m, heights_m=heights_m)
    walls = random_walls(distance_m, sound_speed_mps(air.temperature_c), rng)
    response = impulse_response(
        [direct, *walls], street_tails(rng), Listener(np.zeros((1, 3)), sample_rate_hz), air, rng
    )
    heard: Floats = convolve(np.asarray(pressure_pa, dtype=np.float64), response)[0]
    return heard[LEAD_SAMPLES:] * turbulence_gain(distance_m, rng)


def street_tails(rng: np.random.Generator) -> tuple[DiffuseTail, DiffuseTail]:
    """What a street scatters: at once, by what stands near either end, and for seconds, by the whole town.

    Energies and decays so that simulated shots fall as the street recordings of Calhoun et al. (2021) do: 4 dB from the
    first 5 ms to the next 15, 9 dB by 50 ms, 17 dB by 0.3 s.
    """
    near = DiffuseTail(float(10.0 ** rng.normal(-0.1, 0.25)), float(rng.uniform(0.1, 0.25)), 0.001, 0.004)
    far = DiffuseTail(float(10.0 ** rng.normal(-0.4, 0.25)), float(rng.uniform(1.5, 3.5)))
    return near, far


def random_walls(distance_m: float, speed_mps: float, rng: np.random.Generator) -> list[SoundPath]:
    """Echoes of walls that nobody surveyed: three to eight, up to 150 m further round."""
    paths = []
    for extra_m in rng.exponential(40.0, int(rng.integers(3, 9))):
        if not 2.0 < extra_m < 150.0:
            continue
        angle = rng.uniform(0.0, 2.0 * np.pi)
        gain = float(10.0 ** (-rng.uniform(2.0, 10.0) / 20.0))
        towards = (float(np.sin(angle)), float(np.cos(angle)), 0.0)
        paths.append(SoundPath(distance_m + float(extra_m), float(extra_m) / speed_mps, towards, gain))
    return paths


def _add_path(samples: Floats, path: SoundPath, delays_s: Floats, sample_rate_hz: float, air: Air) -> None:
    """Add one path to each microphone's row, delayed by a fraction of a sample where need be."""
    frequency_hz = np.fft.rfftfreq(_KERNEL_SAMPLES, 1.0 / sample_rate_hz)
    spectrum = _path_spectrum(path, frequency_hz, air) * band_edge(frequency_hz, sample_rate_hz)
    for row, delay_s in zip(samples, delays_s, strict=True):
        at = LEAD_SAMPLES + delay_s * sample_rate_hz
        first = int(np.floor(at)) - LEAD_SAMPLES
        fraction_s = (at - first) / sample_rate_hz
        kernel = np.fft.irfft(spectrum * np.exp(-2j * np.pi * frequency_hz * fraction_s), _KERNEL_SAMPLES)
        begin, end = max(first, 0), min(first + _KERNEL_SAMPLES, len(row))
        row[begin:end] += kernel[begin - first : end - first]


def _path_spectrum(path: SoundPath, frequency_hz: Floats, air: Air) -> Complexes:
    # Air takes most by the relaxation of oxygen, at 20 kHz and above: below that there is hardly any dispersion, and it
    # travels at the speed that travel times are worked out with. A least phase would make it 0.5 us a metre late.
    absorbed = 10.0 ** (-absorption_db_per_m(frequency_hz, air) * path.length_m / 20.0)
    edge = minimum_phase(barrier_db(frequency_hz, path.detour_m, air))
    spectrum: Complexes = absorbed * edge * (path.gain / max(path.length_m, 1.0))
    if path.heights_m is not None:
        spectrum = spectrum * _ground_factor(path, path.heights_m, frequency_hz, air)
    return spectrum


def _ground_factor(path: SoundPath, heights_m: tuple[float, float], frequency_hz: Floats, air: Air) -> Complexes:
    """Direct and reflected ray together, over the direct one."""
    source_m, array_m = heights_m
    level_m = np.sqrt(max(path.length_m**2 - (source_m - array_m) ** 2, 1.0))
    direct_m = float(np.hypot(level_m, source_m - array_m))
    reflected_m = float(np.hypot(level_m, source_m + array_m))
    sine = (source_m + array_m) / reflected_m
    factor = ground_reflection(frequency_hz, sine, reflected_m, air, HARD_GROUND_PA_S_M2)
    late_s = (reflected_m - direct_m) / sound_speed_mps(air.temperature_c)
    ratio: Complexes = 1.0 + direct_m / reflected_m * factor * np.exp(-2j * np.pi * frequency_hz * late_s)
    return ratio


def band_edge(frequency_hz: Floats, sample_rate_hz: float) -> Floats:
    """The converter's own filter: flat to 40 % of the rate, a raised cosine from there to half of it."""
    beyond = np.clip((frequency_hz / sample_rate_hz - 0.4) / 0.1, 0.0, 1.0)
    edge: Floats = 0.5 + 0.5 * np.cos(np.pi * beyond)
    return edge


def _diffuse(
    tails: Sequence[DiffuseTail], direct_m: float, n: int, listener: Listener, air: Air, rng: np.random.Generator
) -> Floats:
    """Decaying noise from six horizontal directions, coloured by the air of 1.5 times the direct way."""
    size = fast_length(n)
    rate_hz = listener.sample_rate_hz
    envelope = np.sqrt(sum(_tail_energy(tail, n, rate_hz) for tail in tails) / 6.0) / max(direct_m, 1.0)
    frequency_hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
    colour = 10.0 ** (-absorption_db_per_m(frequency_hz, air) * 1.5 * direct_m / 20.0)
    colour *= band_edge(frequency_hz, rate_hz)
    spectra = np.zeros((len(listener.microphones_enu_m), len(frequency_hz)), dtype=np.complex128)
    for angle in rng.uniform(0.0, 2.0 * np.pi) + np.arange(6) * (np.pi / 3.0):
        noise = np.fft.rfft(rng.standard_normal(n) * envelope, size) * colour
        towards = np.array([np.sin(angle), np.cos(angle), 0.0])
        ahead_s = listener.microphones_enu_m @ towards / sound_speed_mps(air.temperature_c)
        spectra += noise * np.exp(2j * np.pi * frequency_hz * ahead_s[:, None])
    noise_tail: Floats = np.fft.irfft(spectra, size)[:, :n]
    return noise_tail


def _tail_energy(tail: DiffuseTail, n: int, sample_rate_hz: float) -> Floats:
    """Energy of a tail in each of n samples over the direct sound's: exp(-13.8 t / decay_s) is 60 dB in decay_s."""
    time_s = (np.arange(n) - LEAD_SAMPLES) / sample_rate_hz - tail.start_s
    falling = np.exp(-13.816 * np.maximum(time_s, 0.0) / tail.decay_s)
    rising = np.square(np.clip(time_s / tail.swell_s, 0.0, 1.0))
    energy: Floats = tail.energy * 13.816 / (tail.decay_s * sample_rate_hz) * falling * rising
    return energy


def fast_length(n: int) -> int:
    """A length of at least `n` whose transform is fast: a power of two or three quarters of one."""
    power = 1 << (n - 1).bit_length()
    return power * 3 // 4 if power * 3 // 4 >= n else power
