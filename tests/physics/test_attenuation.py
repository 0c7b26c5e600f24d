"""Losses of the way, against published tables written here independently."""

import numpy as np
import pytest

from appliance.model.air import Air
from appliance.physics.attenuation import (
    SOFT_GROUND_PA_S_M2,
    absorption_db_per_m,
    barrier_db,
    ground_reflection,
    minimum_phase,
)

OCTAVES_HZ = np.array([63.0, 125.0, 250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0])


@pytest.mark.parametrize(
    ("temperature_c", "humidity_percent", "db_per_km"),
    [
        (10.0, 70.0, [0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117.0]),
        (20.0, 70.0, [0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6]),
        (30.0, 70.0, [0.1, 0.3, 1.0, 3.1, 7.4, 12.7, 23.1, 59.3]),
        (15.0, 20.0, [0.3, 0.6, 1.2, 2.7, 8.2, 28.2, 88.8, 202.0]),
        (15.0, 50.0, [0.1, 0.5, 1.2, 2.2, 4.2, 10.8, 36.2, 129.0]),
        (15.0, 80.0, [0.1, 0.3, 1.1, 2.4, 4.1, 8.3, 23.7, 82.8]),
    ],
)
def test_air_absorption_agrees_with_table_2_of_iso_9613_2(
    temperature_c: float, humidity_percent: float, db_per_km: list[float]
) -> None:
    ours = 1_000.0 * absorption_db_per_m(OCTAVES_HZ, Air(temperature_c), humidity_percent)
    # The table has one decimal and exact mid-band frequencies (7943 Hz for "8000").
    np.testing.assert_allclose(ours, db_per_km, rtol=0.02, atol=0.06)


def test_an_edge_takes_what_maekawa_says() -> None:
    # 340.3 m/s at 15 degrees: a detour of 1.7015 m is five wavelengths of 1 kHz, N = 10: 10 lg 203.
    loss_db = barrier_db(np.array([0.0, 1_000.0, 8_000.0]), 1.7015, Air(15.0))
    np.testing.assert_allclose(loss_db, [4.77, 23.07, 25.0], atol=0.01)
    assert not barrier_db(OCTAVES_HZ, 0.0, Air()).any()


def test_hard_ground_doubles_low_sound_and_soft_ground_takes_high_sound_at_grazing() -> None:
    hard = ground_reflection(np.array([50.0]), 0.05, 100.0, Air())
    soft = ground_reflection(np.array([1_000.0]), 0.01, 200.0, Air(), SOFT_GROUND_PA_S_M2)
    assert abs(1.0 + hard[0]) == pytest.approx(2.0, abs=0.1)
    assert abs(1.0 + soft[0]) < 0.5


def test_ground_reflects_a_steep_ray_by_its_impedance_alone() -> None:
    # Normal incidence on grass at 500 Hz: Z = 5.57 + 6.09i (Delany and Bazley), |Z - 1| / |Z + 1| = 0.850.
    factor = ground_reflection(np.array([500.0]), 1.0, 1_000.0, Air(), SOFT_GROUND_PA_S_M2)
    assert abs(factor[0]) == pytest.approx(0.85, abs=0.01)


def test_a_minimum_phase_filter_has_its_loss_and_nothing_before_time_zero() -> None:
    frequency_hz = np.fft.rfftfreq(2_048, 1.0 / 48_000.0)
    loss_db = 300.0 * absorption_db_per_m(frequency_hz, Air())
    spectrum = minimum_phase(loss_db)
    np.testing.assert_allclose(-20.0 * np.log10(np.abs(spectrum)), loss_db, atol=1e-6)
    pulse = np.fft.irfft(spectrum, 2_048)
    assert np.sum(pulse[1_024:] ** 2) < 1e-6 * np.sum(pulse**2)
    # The strongest comes within a quarter of a millisecond.
    assert np.argmax(pulse) < 12
