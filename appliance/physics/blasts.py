"""Gunfire at its source: muzzle blasts and shock waves, band-limited to a sample rate, in pascal.

Sounds are stated as pressure at 1 m in free field; shock waves, which spread from a line, at the listener.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from appliance.physics.attenuation import Floats
from appliance.physics.constants import REFERENCE_PRESSURE_PA
from appliance.physics.outdoors import band_edge

ONSET_SAMPLES = 16
"""Samples of every sound before its onset: room for the ripple that a band limit puts before a step."""

ATMOSPHERE_PA = 101_325.0
_OVERSAMPLING = 16


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Pressure at 1 m, shape (n,); the onset lies at sample `ONSET_SAMPLES`."""

    pressure_pa: Floats
    sample_rate_hz: float


@dataclass(frozen=True, slots=True)
class Weapon:
    """What a weapon sounds like.

    peak_dbspl:     of the muzzle blast, 1 m in front of the muzzle
    positive_s:     length of the positive phase there
    front_back_db:  how much weaker the blast is straight behind
    bullet_mps:     mean speed of the bullet over the first 200 m; below the speed of sound there is no shock wave
    """

    name: str
    peak_dbspl: float
    positive_s: float
    front_back_db: float
    bullet_mps: float
    bullet_diameter_m: float
    bullet_length_m: float


_ARMS = (
    Weapon("9mm pistol", 160.0, 0.28e-3, 12.0, 330.0, 9.0e-3, 15e-3),
    Weapon("45 pistol", 158.0, 0.35e-3, 11.0, 255.0, 11.5e-3, 17e-3),
    Weapon("22 pistol", 152.0, 0.20e-3, 10.0, 310.0, 5.7e-3, 11e-3),
    Weapon("38 revolver", 157.0, 0.32e-3, 10.0, 270.0, 9.1e-3, 16e-3),
    Weapon("12 gauge shotgun", 162.0, 0.50e-3, 14.0, 400.0, 0.0, 0.0),
    Weapon("5.56 mm rifle", 165.0, 0.38e-3, 16.0, 930.0, 5.7e-3, 23e-3),
    Weapon("7.62 mm rifle", 164.0, 0.42e-3, 15.0, 715.0, 7.9e-3, 27e-3),
)
"""Levels and lengths within the spread of published ones (Maher 2007, 2010; Beck et al. 2011; MIL-STD-1474 tables)."""

WEAPONS: Mapping[str, Weapon] = {weapon.name: weapon for weapon in _ARMS}


def peak_pa(level_dbspl: float) -> float:
    """Peak pressure of a peak level."""
    return REFERENCE_PRESSURE_PA * float(10.0 ** (level_dbspl / 20.0))


def band_limited(pulse: Callable[[Floats], Floats], duration_s: float, sample_rate_hz: float) -> Sound:
    """A pulse p(t), t >= 0 in seconds, pascal, as a converter of this rate would give it.

    Sampled 16 times as fast at the middle of each cell, then low-passed by `outdoors.band_edge`.
    """
    n = ONSET_SAMPLES + int(np.ceil(duration_s * sample_rate_hz)) + ONSET_SAMPLES
    n += n % 2
    step_s = 1.0 / (sample_rate_hz * _OVERSAMPLING)
    time_s = (np.arange(n * _OVERSAMPLING) + 0.5) * step_s - ONSET_SAMPLES / sample_rate_hz
    # Half a cell of delay keeps the onset at its sample.
    fine = np.where((time_s >= 0.0) & (time_s < duration_s), pulse(np.maximum(time_s, 0.0)), 0.0)
    frequency_hz = np.fft.rfftfreq(n, 1.0 / sample_rate_hz)
    spectrum = np.fft.rfft(fine)[: len(frequency_hz)] / _OVERSAMPLING
    spectrum *= np.exp(-2j * np.pi * frequency_hz * 0.5 * step_s) * band_edge(frequency_hz, sample_rate_hz)
    return Sound(np.fft.irfft(spectrum, n), sample_rate_hz)


def friedlander(peak: float, positive_s: float, sample_rate_hz: float) -> Sound:
    """A blast wave: p(t) = peak (1 - t/T) exp(-t/T), peak in pascal (Friedlander 1946)."""
    return band_limited(
        lambda t: peak * (1.0 - t / positive_s) * np.exp(-t / positive_s), 9.0 * positive_s, sample_rate_hz
    )


def stretched(peak: float, positive_s: float, distance_m: float) -> tuple[float, float]:
    """Peak (referred to 1 m by 1/r) and positive phase of a blast after `distance_m`: loud waves lengthen on their way.

    Weak-shock theory for spherical waves: T = T0 sqrt(1 + K ln r), K = 1.7 p0 r0 / (P c T0), p0 at r0 = 1 m, and the
    peak falls by the same factor (Pierce, Acoustics, 11-9). A peak above 5 kPa is no weak shock; K stops growing there.
    """
    strength = 1.714 * min(peak, 5_000.0) / (ATMOSPHERE_PA * 340.0 * positive_s)
    factor = float(np.sqrt(1.0 + strength * np.log(max(distance_m, 1.0))))
    return peak / factor, positive_s * factor


def muzzle_blast(
    weapon: Weapon, sample_rate_hz: float, rng: np.random.Generator, *, off_axis_rad: float, distance_m: float
) -> Sound:
    """One discharge as it would be at 1 m, towards `off_axis_rad` from the barrel, as heard `distance_m` away.

    No two rounds are alike: 1 dB and 8 % of length differ. Behind the muzzle the blast is weaker and up to 1.6 times as
    long; the gas jet adds noise 25 dB below the peak for a few milliseconds.
    """
    turned = 0.5 * (1.0 - np.cos(off_axis_rad))
    level_dbspl = weapon.peak_dbspl - weapon.front_back_db * turned + rng.normal(0.0, 1.0)
    positive_s = weapon.positive_s * (1.0 + 0.6 * turned) * np.exp(rng.normal(0.0, 0.08))
    peak, positive_s = stretched(peak_pa(level_dbspl), float(positive_s), distance_m)
    blast = friedlander(peak, positive_s, sample_rate_hz).pressure_pa
    jet_samples = int(0.02 * sample_rate_hz)
    pressure_pa = np.zeros(max(len(blast), ONSET_SAMPLES + jet_samples))
    pressure_pa[: len(blast)] = blast
    decay = np.exp(-np.arange(jet_samples) / (0.004 * sample_rate_hz))
    pressure_pa[ONSET_SAMPLES : ONSET_SAMPLES + jet_samples] += 0.056 * peak * decay * rng.standard_normal(jet_samples)
    return Sound(pressure_pa, sample_rate_hz)


@dataclass(frozen=True, slots=True)
class ShockArrival:
    """Where and when a bullet's shock wave reaches a listener.

    delay_s:  after the discharge
    miss_m:   distance of the listener from the bullet's path
    from_m:   where on the path the shock left, metres from the muzzle
    """

    delay_s: float
    miss_m: float
    from_m: float


def shock_arrival(
    muzzle_m: Floats, aim: Floats, listener_m: Floats, bullet_mps: float, sound_speed_mps: float, range_m: float
) -> ShockArrival | None:
    """The shock wave of a straight, steady bullet at a listener (positions shape (3,), `aim` a unit vector), or None.

    t = x/v + b sqrt(M^2 - 1) / (M c), where x = distance along the path and b off it. None where the bullet is slower
    than sound, where the listener is outside the cone, or where the bullet hit something (at `range_m`) before.
    """
    mach = bullet_mps / sound_speed_mps
    if mach <= 1.0:
        return None
    offset_m = listener_m - muzzle_m
    along_m = float(offset_m @ aim)
    miss_m = float(np.linalg.norm(offset_m - along_m * aim))
    beta = float(np.sqrt(mach * mach - 1.0))
    from_m = along_m - miss_m / beta
    if not 0.0 <= from_m <= range_m:
        return None
    delay_s = along_m / bullet_mps + miss_m * beta / (mach * sound_speed_mps)
    return ShockArrival(delay_s, miss_m, from_m)


def shock_wave(weapon: Weapon, miss_m: float, sound_speed_mps: float, sample_rate_hz: float) -> Sound:
    """The N-wave of a supersonic bullet at `miss_m` from its path, pressure there (not at 1 m).

    Length 1.82 d M b^(1/4) / (c L^(1/4) (M^2-1)^(3/8)), peak 0.53 P d (M^2-1)^(1/8) / (b^(3/4) L^(1/4)) (Whitham 1952).
    """
    mach = weapon.bullet_mps / sound_speed_mps
    excess = mach * mach - 1.0
    miss_m = max(miss_m, 0.5)
    width, length = weapon.bullet_diameter_m, weapon.bullet_length_m
    duration_s = 1.82 * width * mach * miss_m**0.25 / (sound_speed_mps * length**0.25 * excess**0.375)
    peak = 0.53 * ATMOSPHERE_PA * width * excess**0.125 / (miss_m**0.75 * length**0.25)
    return band_limited(lambda t: peak * (1.0 - 2.0 * t / duration_s), duration_s, sample_rate_hz)
