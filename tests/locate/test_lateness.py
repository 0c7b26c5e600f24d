"""Late arrivals: found out where there are nodes enough, and allowed for where there are not."""

import dataclasses

import numpy as np
import pytest

from appliance.locate.lateness import settle_lateness
from appliance.locate.settings import DEFAULT_SETTINGS
from appliance.locate.solve import prior_of, solve
from tests.locate.nets import AIR, RING_M, SIX_M, drawn, heard, sigmas_off

SOURCE = np.array([60.0, -45.0, 0.0])
LATE = dataclasses.replace(
    DEFAULT_SETTINGS,
    path_sigma_s=0.0,
    path_late_sigma_s=0.0,
    path_tail_dof=1e6,
    late_share=0.2,
    late_scale_s=0.012,
    wrong_share=0.001,
)


LIARS = dataclasses.replace(LATE, late_share=0.02, wrong_share=0.02)


def settled(arrivals, start_m, settings=LATE):
    fix = solve(arrivals, start_m, AIR, settings)
    return settle_lateness(fix, arrivals, prior_of(arrivals, 0.0, AIR), settings)


@pytest.mark.parametrize("late", [0, 1, 2, 3, 5])
def test_one_late_arrival_of_six_is_found_out(late):
    delay_s = np.where(np.arange(6) == late, 0.035, 0.0)
    fix = settled(heard(SIX_M, SOURCE, delay_s, sigma_s=0.002), SOURCE + np.array([20.0, 15.0, 0.0]))
    assert np.hypot(*(fix.place_m - SOURCE)[:2]) < 3.0
    assert fix.lag_s[late] == pytest.approx(0.035, abs=0.006)


def test_with_three_nodes_the_ellipse_allows_for_what_cannot_be_found_out():
    arrivals = heard(RING_M[:3], SOURCE, sigma_s=0.002)
    sure = dataclasses.replace(LATE, late_share=0.0)
    wide = np.linalg.det(settled(arrivals, SOURCE).covariance[:2, :2])
    assert wide > 4.0 * np.linalg.det(settled(arrivals, SOURCE, sure).covariance[:2, :2])


@pytest.mark.parametrize("nodes_m", [RING_M[:4], SIX_M])
def test_ellipses_hold_where_one_arrival_of_five_is_late(nodes_m):
    rng = np.random.default_rng(9)
    inside = 0
    for _ in range(200):
        source = np.array([*rng.uniform(-120.0, 120.0, 2), 0.0])
        n = len(nodes_m)
        delay_s = rng.normal(0.0, 0.002, n) + (rng.random(n) < 0.2) * rng.exponential(0.012, n)
        inside += sigmas_off(settled(drawn(nodes_m, source, delay_s, rng, sigma_s=0.002), source), source) < 5.99
    assert 0.88 < inside / 200 < 0.99


def test_one_node_that_lies_by_20_ms_hardly_ever_moves_the_fix_out_of_its_ellipse():
    honest = settled(heard(SIX_M, SOURCE, sigma_s=0.001), SOURCE, LIARS)
    outside = 0
    for liar in range(6):
        for lie_s in (0.020, -0.020):
            delay_s = np.where(np.arange(6) == liar, lie_s, 0.0)
            fix = settled(heard(SIX_M, SOURCE, delay_s, sigma_s=0.001), SOURCE + np.array([25.0, -30.0, 0.0]), LIARS)
            outside += sigmas_off(fix, honest.place_m) > 5.99
            assert sigmas_off(fix, honest.place_m) < 10.0
    assert outside <= 1
