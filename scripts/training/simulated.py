"""Sounds made by physics, where recordings are few: every way a firework sounds, blasts, thunder, doors, faults.

Each function returns an excerpt at `WORK_RATE_HZ` with its onset at `BEFORE`, at the source (no street around it).
Pulses are laid down at 48 kHz and brought down, so that sub-millisecond ones do not alias.
"""

from collections.abc import Callable

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from appliance.physics.blasts import ONSET_SAMPLES, WEAPONS, muzzle_blast, shock_wave
from training.corpus import WORK_RATE_HZ
from training.outdoors import BEFORE, EXCERPT_SAMPLES

_FINE = 4
_FINE_RATE_HZ = _FINE * WORK_RATE_HZ
_ZERO_S = BEFORE / WORK_RATE_HZ
_LONGEST_S = 1.25

Maker = Callable[[np.random.Generator], NDArray[np.float64]]


def friedlander(positive_s: float) -> NDArray[np.float64]:
    """A blast wave, (1 - t/T) exp(-t/T), with its peak at once and its suction behind; 48 kHz."""
    times = np.arange(max(4, round(8.0 * positive_s * _FINE_RATE_HZ))) / (positive_s * _FINE_RATE_HZ)
    return (1.0 - times) * np.exp(-times)


def gunshot(rng: np.random.Generator) -> NDArray[np.float64]:
    """One round, several, or automatic fire; some supersonic, with the shock wave ahead."""
    if rng.random() < 0.5:
        return _modelled_gunshot(rng)
    buffer = _silence()
    positive_s = _between(rng, 0.3e-3, 2.0e-3)
    reflection_s, reflection = _between(rng, 0.2e-3, 8e-3), rng.uniform(0.3, 0.95)
    shock_s = rng.uniform(0.003, 0.18) if rng.random() < 0.25 else None
    for start_s in _rounds(rng):
        gain = 10.0 ** (rng.normal(0.0, 1.0) / 20.0)
        blast = friedlander(positive_s * rng.uniform(0.9, 1.1))
        _add(buffer, start_s, gain * blast)
        _add(buffer, start_s + reflection_s, gain * reflection * blast)
        _add(buffer, start_s, gain * rng.uniform(0.02, 0.3) * _burst(rng, _between(rng, 1e-3, 8e-3)))
        _add(buffer, start_s + rng.uniform(0.02, 0.08), 0.01 * rng.random() * _burst(rng, 3e-3))
        if shock_s is not None:
            n_wave = np.linspace(1.0, -1.0, round(rng.uniform(0.15e-3, 0.5e-3) * _FINE_RATE_HZ))
            _add(buffer, start_s - shock_s, _between(rng, 0.1, 1.0) * n_wave)
    return _down(buffer)


def _modelled_gunshot(rng: np.random.Generator) -> NDArray[np.float64]:
    """The weapons that scenes are simulated with, at any angle off the barrel."""
    weapon = list(WEAPONS.values())[rng.integers(len(WEAPONS))]
    off_axis_rad, distance_m = rng.uniform(0.0, np.pi), _between(rng, 5.0, 900.0)
    shock_s = rng.uniform(0.003, 0.3) if weapon.bullet_mps > 345.0 and rng.random() < 0.3 else None
    n_before = round(shock_s * WORK_RATE_HZ) if shock_s is not None else 0
    heard = np.zeros(EXCERPT_SAMPLES)
    for start_s in _rounds(rng):
        start = BEFORE + round(start_s * WORK_RATE_HZ) - ONSET_SAMPLES
        blast = muzzle_blast(weapon, WORK_RATE_HZ, rng, off_axis_rad=off_axis_rad, distance_m=distance_m).pressure_pa
        _mix(heard, start, blast / np.abs(blast).max())
        if n_before and weapon.bullet_length_m > 0.0:
            shock = shock_wave(weapon, _between(rng, 2.0, 300.0), 340.0, WORK_RATE_HZ).pressure_pa
            _mix(heard, start - n_before, _between(rng, 0.1, 1.0) * shock / np.abs(shock).max())
    return heard


def _mix(heard: NDArray[np.float64], start: int, pulse: NDArray[np.float64]) -> None:
    """Add what of a pulse lies inside."""
    inside = slice(max(0, -start), max(0, min(len(pulse), len(heard) - start)))
    heard[max(0, start) :][: len(pulse[inside])] += pulse[inside]


def _rounds(rng: np.random.Generator) -> list[float]:
    kind = rng.random()
    if kind < 0.5:
        return [0.0]
    step_s = _between(rng, 0.12, 0.6) if kind < 0.75 else _between(rng, 0.045, 0.12)
    first = -int(rng.integers(0, 6))
    return [step_s * (k + 0.02 * rng.normal()) if k else 0.0 for k in range(first, first + int(rng.integers(2, 16)))]


def firework(rng: np.random.Generator) -> NDArray[np.float64]:
    """A shell's burst, a report with crackle, a string of crackers, a single one, whistle and bang, or a lift."""
    kinds: list[Maker] = [_shell, _crackle, _string, _cracker, _whistle, _lift]
    return kinds[rng.choice(len(kinds), p=[0.36, 0.18, 0.2, 0.04, 0.17, 0.05])](rng)


def _shell(rng: np.random.Generator) -> NDArray[np.float64]:
    """Flash powder 50 to 250 m up: longer than a muzzle blast, its ground reflection late; others around it."""
    buffer = _silence()
    starts_s = [0.0, *rng.uniform(-0.6, 1.2, rng.poisson(1.2))]
    for start_s in starts_s:
        gain = 1.0 if start_s == 0.0 else 10.0 ** (-rng.uniform(0.0, 15.0) / 20.0)
        blast = _rounded(friedlander(_between(rng, 1.5e-3, 9e-3)), _between(rng, 0.1e-3, 1.5e-3))
        _add(buffer, start_s, gain * blast)
        _add(buffer, start_s + rng.uniform(5e-3, 0.15), gain * rng.uniform(0.3, 0.9) * blast)
        stars = _band_noise(rng, 0.9, rng.uniform(800.0, 2_000.0), 6_000.0) * np.exp(-np.linspace(0.0, 3.0, 43_200))
        _add(buffer, start_s + 0.02, gain * 10.0 ** (-rng.uniform(20.0, 45.0) / 20.0) * stars)
    if rng.random() < 0.4:
        _add_pops(rng, buffer, rng.uniform(0.1, 0.6), 1.2, gain=10.0 ** (-rng.uniform(6.0, 25.0) / 20.0))
    return _down(buffer)


def _crackle(rng: np.random.Generator) -> NDArray[np.float64]:
    buffer = _silence()
    begin_s = 0.0 if rng.random() < 0.5 else -rng.uniform(0.0, 0.6)
    _add_pops(rng, buffer, begin_s, 1.2, gain=1.0)
    _add(buffer, 0.0, 1.2 * friedlander(_between(rng, 0.1e-3, 0.25e-3)))
    return _down(buffer)


def _string(rng: np.random.Generator) -> NDArray[np.float64]:
    """Crackers on a fuse: 12 to 80 a second, uneven, each some grams or less."""
    buffer = _silence()
    mean_s = 1.0 / _between(rng, 12.0, 80.0)
    time_s = 0.0 if rng.random() < 0.5 else -rng.uniform(0.0, 0.6)
    positive_s = _between(rng, 0.1e-3, 0.35e-3)
    _add(buffer, 0.0, friedlander(positive_s))
    while time_s < 1.2:
        gain = 10.0 ** (rng.normal(-2.0, 4.0) / 20.0)
        _add(buffer, time_s, gain * friedlander(positive_s * rng.uniform(0.8, 1.25)))
        time_s += mean_s * rng.gamma(2.0, 0.5)
    return _down(buffer)


def _cracker(rng: np.random.Generator) -> NDArray[np.float64]:
    buffer = _silence()
    blast = friedlander(_between(rng, 0.08e-3, 0.22e-3))
    _add(buffer, 0.0, blast)
    _add(buffer, rng.uniform(0.1e-3, 1e-3), rng.uniform(0.5, 0.95) * blast)
    return _down(buffer)


def _whistle(rng: np.random.Generator) -> NDArray[np.float64]:
    """A whistling rocket or fountain: tone and harmonics that slide; most end in a bang."""
    buffer = _silence()
    banged = rng.random() < 0.6
    begin_s, end_s = (-0.6, rng.uniform(-0.2, 0.0)) if banged else (0.0, 1.25)
    n = round((end_s - begin_s) * _FINE_RATE_HZ)
    sweep_hz = np.linspace(rng.uniform(900.0, 3_200.0), rng.uniform(700.0, 3_200.0), n)
    sweep_hz = sweep_hz * (1.0 + 0.02 * np.sin(2.0 * np.pi * rng.uniform(5.0, 40.0) * np.arange(n) / _FINE_RATE_HZ))
    phase = 2.0 * np.pi * np.cumsum(sweep_hz) / _FINE_RATE_HZ
    tone = np.sin(phase) + 0.4 * np.sin(2.0 * phase + 1.0) + 0.3 * rng.normal(size=n)
    fade = np.minimum(1.0, np.arange(n) / (_between(rng, 2e-3, 0.1) * _FINE_RATE_HZ))
    _add(buffer, begin_s, (10.0 ** (-rng.uniform(0.0, 25.0) / 20.0) if banged else 1.0) * tone * fade)
    if banged:
        _add(buffer, 0.0, friedlander(_between(rng, 0.4e-3, 4e-3)))
    return _down(buffer)


def _lift(rng: np.random.Generator) -> NDArray[np.float64]:
    """The thump of a mortar: black powder in a tube that rings at 60 to 200 Hz, then the shell's hiss."""
    buffer = _silence()
    _add(buffer, 0.0, _rounded(friedlander(_between(rng, 3e-3, 9e-3)), 1e-3))
    _add(buffer, 0.0, rng.uniform(0.3, 1.0) * _mode(rng.uniform(60.0, 200.0), rng.uniform(0.02, 0.08)))
    hiss = _band_noise(rng, 1.0, 500.0, 5_000.0) * np.exp(-np.linspace(0.0, 4.0, 48_000))
    _add(buffer, 0.02, 10.0 ** (-rng.uniform(10.0, 35.0) / 20.0) * hiss)
    return _down(buffer)


def _add_pops(
    rng: np.random.Generator, buffer: NDArray[np.float64], begin_s: float, end_s: float, *, gain: float
) -> None:
    rate = _between(rng, 30.0, 300.0)
    for start_s in rng.uniform(begin_s, end_s, rng.poisson(rate * (end_s - begin_s))):
        pop = friedlander(_between(rng, 0.06e-3, 0.25e-3))
        _add(buffer, start_s, gain * 10.0 ** (rng.normal(-4.0, 5.0) / 20.0) * pop)


def thunder(rng: np.random.Generator) -> NDArray[np.float64]:
    """Shock waves from along a crooked channel, kilometres of it: a clap if near, then rumble."""
    buffer = _silence()
    spread_s = _between(rng, 0.1, 1.5)
    for start_s in np.concatenate([[0.0], rng.gamma(1.2, spread_s, rng.integers(20, 150))]):
        blast = friedlander(_between(rng, 3e-3, 30e-3))
        _add(buffer, start_s, rng.choice([-1.0, 1.0]) * _between(rng, 0.05, 1.0) * blast)
    heard = _down(buffer)
    sections = scipy.signal.butter(1, _between(rng, 120.0, 2_500.0), fs=WORK_RATE_HZ, output="sos")
    return scipy.signal.sosfilt(sections, heard)


def impact(rng: np.random.Generator) -> NDArray[np.float64]:
    """A hit on wood, metal or a door: a short force and the modes that it wakes; now and then repeated; pops too."""
    buffer = _silence()
    if rng.random() < 0.12:
        _add(buffer, 0.0, _rounded(friedlander(_between(rng, 0.2e-3, 2.5e-3)), _between(rng, 0.05e-3, 0.6e-3)))
        _add(buffer, 0.0, 0.5 * _mode(_between(rng, 150.0, 1_500.0), _between(rng, 2e-3, 15e-3)))
        return _down(buffer)
    lowest_hz, decay_s, n_modes = _body(rng)
    modes = [(lowest_hz * _between(rng, 1.0, 16.0), decay_s * _between(rng, 0.3, 1.5)) for _ in range(n_modes)]
    step_s = _between(rng, 0.08, 0.7) if rng.random() < 0.3 else 9.0
    for start_s in (0.0, step_s, 2.0 * step_s):
        for frequency_hz, mode_decay_s in modes:
            gain = rng.normal() / (1.0 + frequency_hz / 1_500.0)
            _add(buffer, start_s, gain * _mode(frequency_hz, mode_decay_s))
        _add(buffer, start_s, rng.uniform(0.1, 1.5) * _burst(rng, _between(rng, 0.5e-3, 15e-3)))
    return _down(buffer)


def _body(rng: np.random.Generator) -> tuple[float, float, int]:
    """Lowest mode, decay and number of modes of a door, a piece of wood, or a piece of metal."""
    kind = rng.integers(3)
    if kind == 0:
        return _between(rng, 40.0, 150.0), _between(rng, 0.02, 0.12), int(rng.integers(6, 20))
    if kind == 1:
        return _between(rng, 150.0, 700.0), _between(rng, 0.005, 0.05), int(rng.integers(3, 12))
    return _between(rng, 250.0, 1_500.0), _between(rng, 0.05, 0.8), int(rng.integers(4, 20))


def vehicle(rng: np.random.Generator) -> NDArray[np.float64]:
    """An engine that revs up, or a bang in its exhaust pipe."""
    n = EXCERPT_SAMPLES * _FINE
    rate_hz = rng.uniform(15.0, 110.0) * np.linspace(1.0, rng.uniform(0.8, 1.6), n)
    phase = 2.0 * np.pi * np.cumsum(rate_hz) / _FINE_RATE_HZ
    pulses = np.maximum(0.0, np.sin(phase)) ** rng.uniform(4.0, 30.0)
    pulses = pulses * (1.0 + 0.3 * np.sin(0.5 * phase)) + 0.1 * rng.random() * rng.normal(size=n)
    swell = 0.15 + np.clip((np.arange(n) / _FINE_RATE_HZ - _ZERO_S) / _between(rng, 0.01, 0.3), 0.0, 1.0)
    buffer = scipy.signal.lfilter([1.0], [1.0, -0.9], pulses - pulses.mean()) * swell
    if rng.random() < 0.35:
        pipe_hz = rng.uniform(60.0, 250.0)
        level = _between(rng, 3.0, 30.0) * float(np.abs(buffer).max())
        _add(buffer, 0.0, level * _rounded(friedlander(_between(rng, 1e-3, 3e-3)), 0.5e-3))
        for k in (1, 2, 3):
            _add(buffer, 0.0, level * rng.uniform(0.2, 0.8) / k * _mode(k * pipe_hz, _between(rng, 0.02, 0.06)))
    return _down(buffer)


def fault(rng: np.random.Generator) -> NDArray[np.float64]:
    """What a microphone makes of itself: clicks, drops of rain on it, gusts, dropped samples, horns and beeps."""
    buffer = _silence()
    kind = rng.integers(5)
    if kind == 0:
        _add(buffer, 0.0, rng.normal(size=int(rng.integers(1, 12))))
    elif kind == 1:
        for start_s in [0.0, *rng.uniform(-0.6, 1.2, rng.poisson(4))]:
            frequency_hz, decay_s = _between(rng, 200.0, 3_000.0), _between(rng, 1e-3, 8e-3)
            _add(buffer, start_s, _between(rng, 0.2, 1.0) * _mode(frequency_hz, decay_s))
    elif kind == 2:
        gust = np.cumsum(rng.normal(size=48_000)) * np.hanning(48_000) ** _between(rng, 0.5, 4.0)
        _add(buffer, -rng.uniform(0.0, 0.5), gust / np.abs(gust).max())
    elif kind == 3:
        buffer += _band_noise(rng, len(buffer) / _FINE_RATE_HZ, 50.0, _between(rng, 300.0, 5_000.0))
        zero = round(_ZERO_S * _FINE_RATE_HZ)
        buffer[zero : zero + int(rng.integers(100, 20_000))] = 0.0
    else:
        times_s = np.arange(60_000) / _FINE_RATE_HZ
        tone = sum(rng.normal() * np.sin(2.0 * np.pi * _between(rng, 250.0, 3_000.0) * times_s) for _ in range(3))
        _add(buffer, 0.0, np.minimum(1.0, times_s / _between(rng, 1e-3, 0.05)) * tone)
    return _down(buffer)


def _silence() -> NDArray[np.float64]:
    return np.zeros(EXCERPT_SAMPLES * _FINE)


def _add(buffer: NDArray[np.float64], start_s: float, pulse: NDArray[np.float64]) -> None:
    """Add a pulse that starts `start_s` after the onset; what lies outside the excerpt is lost."""
    _mix(buffer, round((_ZERO_S + start_s) * _FINE_RATE_HZ), pulse)


def _down(buffer: NDArray[np.float64]) -> NDArray[np.float64]:
    heard = scipy.signal.resample_poly(buffer, 1, _FINE)
    return heard / (np.abs(heard).max() + 1e-12)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Drawn evenly in the logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _burst(rng: np.random.Generator, decay_s: float) -> NDArray[np.float64]:
    n = round(6.0 * decay_s * _FINE_RATE_HZ)
    return rng.normal(size=n) * np.exp(-np.arange(n) / (decay_s * _FINE_RATE_HZ))


def _mode(frequency_hz: float, decay_s: float) -> NDArray[np.float64]:
    times_s = np.arange(round(min(6.0 * decay_s, _LONGEST_S) * _FINE_RATE_HZ)) / _FINE_RATE_HZ
    return np.sin(2.0 * np.pi * frequency_hz * times_s) * np.exp(-times_s / decay_s)


def _rounded(pulse: NDArray[np.float64], rise_s: float) -> NDArray[np.float64]:
    """The pulse with a rise that takes about `rise_s`."""
    kernel = np.hanning(max(3, round(2.0 * rise_s * _FINE_RATE_HZ)))
    return np.convolve(pulse, kernel / kernel.sum())


def _band_noise(rng: np.random.Generator, duration_s: float, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    sections = scipy.signal.butter(2, (low_hz, high_hz), "bandpass", fs=_FINE_RATE_HZ, output="sos")
    return scipy.signal.sosfilt(sections, rng.normal(size=round(duration_s * _FINE_RATE_HZ)))
