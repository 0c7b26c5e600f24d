"""The density of a path's delay, its slope and what it tells."""

import dataclasses

import numpy as np
import pytest

from appliance.locate.paths import path_information, path_log_density, path_pull
from appliance.locate.settings import DEFAULT_SETTINGS

MIXED = dataclasses.replace(
    DEFAULT_SETTINGS,
    path_sigma_s=0.0,
    path_late_sigma_s=0.0,
    path_tail_dof=1e6,
    late_share=0.2,
    late_scale_s=0.015,
    wrong_share=0.01,
)
LAG_S = np.linspace(-0.035, 0.075, 221) + 1e-5
EARLY_S = np.full(len(LAG_S), 0.004)
LATE_S = np.full(len(LAG_S), 0.006)


def test_the_pull_is_minus_the_slope_of_the_log_density():
    step = 1e-8
    above = path_log_density(LAG_S + step, EARLY_S, LATE_S, DEFAULT_SETTINGS)
    below = path_log_density(LAG_S - step, EARLY_S, LATE_S, DEFAULT_SETTINGS)
    pull, safe, own = path_pull(LAG_S, (EARLY_S, LATE_S), DEFAULT_SETTINGS.path_tail_dof)
    np.testing.assert_allclose(pull, -(above - below) / (2 * step), rtol=1e-4, atol=1e-2)
    assert (safe > 0.0).all()
    assert (own > 0.0).all()


@pytest.mark.parametrize("settings", [DEFAULT_SETTINGS, MIXED])
def test_late_arrivals_are_likelier_than_early_ones(settings):
    late_s = LATE_S if settings is DEFAULT_SETTINGS else EARLY_S
    by_lag = dict(zip(np.round(LAG_S * 1e3), path_log_density(LAG_S, EARLY_S, late_s, settings), strict=True))
    assert by_lag[20.0] > by_lag[-20.0] + 1.0


def test_a_mixed_density_is_one_over_all_delays():
    # Wrong arrivals spread over the window; the rest over all delays.
    low_s, high_s = MIXED.path_window_s
    lag_s = np.linspace(low_s, high_s, 20_001)
    scale_s = np.full(len(lag_s), 0.004)
    density = np.exp(path_log_density(lag_s, scale_s, scale_s, MIXED))
    assert density.sum() * (lag_s[1] - lag_s[0]) == pytest.approx(1.0, abs=0.005)


def test_an_arrival_far_in_the_tail_tells_little():
    scales_s = np.full(2, 0.004), np.full(2, 0.004)
    near, far = path_information(np.array([0.0, 0.060]), scales_s, 4.0)
    assert far < 0.1 * near
