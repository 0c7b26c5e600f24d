"""Gunfire at its source, against figures worked out by hand."""

import numpy as np
import pytest

from appliance.physics.blasts import (
    ONSET_SAMPLES,
    WEAPONS,
    band_limited,
    friedlander,
    muzzle_blast,
    peak_pa,
    shock_arrival,
    shock_wave,
    stretched,
)

RATE_HZ = 96_000.0
PISTOL, RIFLE = WEAPONS["9mm pistol"], WEAPONS["5.56 mm rifle"]


def test_levels_are_of_20_micropascal() -> None:
    assert peak_pa(94.0) == pytest.approx(1.002, abs=0.001)
    assert peak_pa(160.0) == pytest.approx(2_000.0, rel=1e-9)


def test_a_blast_wave_has_friedlanders_peak_zero_crossing_and_impulse() -> None:
    wave = friedlander(1_000.0, 0.5e-3, RATE_HZ).pressure_pa
    after = wave[ONSET_SAMPLES:]
    assert after.max() == pytest.approx(1_000.0, rel=0.12)
    # It crosses zero 0.5 ms after the onset: sample 48.
    assert after[46] > 0.0 > after[50]
    # The impulse of the positive phase is peak T / e = 0.1839 Pa s.
    assert after[:48].sum() / RATE_HZ == pytest.approx(0.1839, rel=0.03)
    # Before the onset there is the ripple of the band limit alone.
    assert np.abs(wave[: ONSET_SAMPLES - 6]).max() < 20.0


def test_a_band_limited_pulse_has_the_energy_of_the_pulse_below_the_limit() -> None:
    # A half sine of 2 ms and unit peak has the energy 1 ms, nearly all of it below 2 kHz.
    sound = band_limited(lambda t: np.sin(np.pi * t / 2e-3), 2e-3, 16_000.0)
    assert np.sum(sound.pressure_pa**2) / 16_000.0 == pytest.approx(1e-3, rel=0.01)


def test_loud_waves_lengthen_on_their_way_and_faint_ones_do_not() -> None:
    # 2 kPa and 0.35 ms: K = 1.714 * 2000 / (101325 * 340 * 0.35e-3) = 0.2843; sqrt(1 + K ln 300) = 1.619.
    peak, positive_s = stretched(2_000.0, 0.35e-3, 300.0)
    assert (peak, positive_s) == (pytest.approx(1_235.0, rel=1e-3), pytest.approx(0.5668e-3, rel=1e-3))
    assert stretched(1.0, 1e-3, 300.0)[0] == pytest.approx(1.0, rel=1e-3)


def test_a_blast_is_louder_in_front_than_behind() -> None:
    rng = np.random.default_rng(1)
    front, back = (
        np.mean(
            [muzzle_blast(PISTOL, RATE_HZ, rng, off_axis_rad=a, distance_m=1.0).pressure_pa.max() for _ in range(20)]
        )
        for a in (0.0, np.pi)
    )
    assert 20.0 * np.log10(front / back) == pytest.approx(PISTOL.front_back_db, abs=1.5)


def test_the_same_seed_fires_the_same_round_and_another_one_does_not() -> None:
    one, same, other = (
        muzzle_blast(PISTOL, 16_000.0, np.random.default_rng(seed), off_axis_rad=1.0, distance_m=200.0).pressure_pa
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other[: len(one)])


def test_a_bullet_overhead_is_heard_before_its_blast_at_the_time_of_the_cone() -> None:
    # 930 m/s, listener 200 m along and 30 m off, c = 340: M = 2.7353, beta = 2.5459,
    # t = 200/930 + 30 * 2.5459 / (2.7353 * 340) = 0.21505 + 0.08213; it left 200 - 30/2.5459 = 188.2 m from the muzzle.
    arrival = shock_arrival(np.zeros(3), np.array([0.0, 1.0, 0.0]), np.array([30.0, 200.0, 0.0]), 930.0, 340.0, 400.0)
    assert arrival is not None
    assert arrival.delay_s == pytest.approx(0.29718, abs=1e-4)
    assert arrival.miss_m == pytest.approx(30.0)
    assert arrival.from_m == pytest.approx(188.2, abs=0.1)
    assert arrival.delay_s < np.hypot(30.0, 200.0) / 340.0


@pytest.mark.parametrize(
    ("listener", "bullet_mps", "range_m"),
    [
        ([30.0, 200.0, 0.0], 300.0, 400.0),  # slower than sound
        ([30.0, 200.0, 0.0], 930.0, 100.0),  # the bullet was stopped before
        ([100.0, 5.0, 0.0], 930.0, 400.0),  # beside the muzzle, outside the cone
        ([0.0, -50.0, 0.0], 930.0, 400.0),  # behind
    ],
)
def test_where_no_shock_wave_passes_there_is_none(listener: list[float], bullet_mps: float, range_m: float) -> None:
    muzzle, aim = np.zeros(3), np.array([0.0, 1.0, 0.0])
    assert shock_arrival(muzzle, aim, np.array(listener), bullet_mps, 340.0, range_m) is None


def test_a_shock_wave_is_whithams_n() -> None:
    # 5.7 x 23 mm at M = 930/340 and 10 m: T = 0.189 ms, p = 176.6 Pa, worked out by hand.
    wave = shock_wave(RIFLE, 10.0, 340.0, RATE_HZ).pressure_pa[ONSET_SAMPLES:]
    assert wave.max() == pytest.approx(176.6, rel=0.12)
    assert wave.min() == pytest.approx(-176.6, rel=0.12)
    half = int(0.5 * 0.189e-3 * RATE_HZ)
    assert wave[half - 2] > 0.0 > wave[half + 3]
