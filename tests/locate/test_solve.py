"""Place and time from arrivals: exact ones, bearings, liars, and what the covariance says."""

import dataclasses

import numpy as np
import pytest

from appliance.locate.settings import DEFAULT_SETTINGS
from appliance.locate.solve import bearing_normal, solve
from tests.locate.nets import AIR, RING_M, SIX_M, drawn, heard, sigmas_off

SOURCE = (60.0, -45.0, 0.0)
GAUSSIAN = dataclasses.replace(DEFAULT_SETTINGS, path_sigma_s=0.0, path_late_sigma_s=0.0, path_tail_dof=1e6)
CHI2_95 = 5.99


def near(source, east_m=25.0, north_m=-30.0):
    return np.array([source[0] + east_m, source[1] + north_m, source[2]])


@pytest.mark.parametrize("settings", [DEFAULT_SETTINGS, GAUSSIAN])
@pytest.mark.parametrize("source", [SOURCE, (420.0, 300.0, 0.0)])
def test_exact_arrivals_return_the_source(source, settings):
    air = dataclasses.replace(AIR, wind_east_mps=4.0, wind_north_mps=-3.0)
    fix = solve(heard(RING_M, source, air=air), near(source), air, settings)
    # Outside the net the prior on the distance draws a little.
    np.testing.assert_allclose(fix.place_m[:2], source[:2], atol=0.01 if source is SOURCE else 1.0)
    assert fix.time_s == pytest.approx(0.0, abs=3e-3)


def test_a_source_outside_the_net_gets_a_long_ellipse_that_points_to_the_net():
    fix = solve(heard(RING_M, (500.0, 0.0, 0.0)), near((500.0, 0.0, 0.0)), AIR, DEFAULT_SETTINGS)
    values, vectors = np.linalg.eigh(fix.covariance[:2, :2])
    assert values[1] > 9.0 * values[0]
    assert abs(vectors[0, 1]) > 0.95


def test_bearings_of_two_nodes_fix_a_place():
    arrivals = heard(RING_M[:2], SOURCE, bearing_sigma_rad=np.radians(2.0))
    fix = solve(arrivals, near(SOURCE), AIR, DEFAULT_SETTINGS)
    np.testing.assert_allclose(fix.place_m[:2], SOURCE[:2], atol=0.5)
    assert 2.0 < np.sqrt(np.trace(fix.covariance[:2, :2])) < 30.0


def test_the_slope_of_a_bearing_agrees_with_finite_differences():
    arrivals = heard(RING_M[:1], SOURCE, bearing_sigma_rad=0.1)
    state = np.array([*SOURCE, 340.0, 0.0, 0.0, 0.0])
    normal, _ = bearing_normal(arrivals, state)
    step = 1e-3
    slope = []
    for axis in range(2):
        moved = [
            heard(RING_M[:1], np.array(SOURCE) + s * step * np.eye(3)[axis], bearing_sigma_rad=0.1) for s in (1, -1)
        ]
        slope.append((moved[0].bearing_rad[0] - moved[1].bearing_rad[0]) / (2 * step))
    np.testing.assert_allclose(normal[:2, :2], 1.25 * np.outer(slope, slope) / 0.1**2, rtol=1e-5)


@pytest.mark.parametrize("liar", range(6))
@pytest.mark.parametrize("lie_s", [0.020, -0.020])
def test_one_node_that_lies_by_20_ms_moves_the_fix_by_less_than_its_ellipse(liar, lie_s):
    honest = solve(heard(SIX_M, SOURCE, sigma_s=0.003), near(SOURCE), AIR, DEFAULT_SETTINGS)
    delay_s = np.where(np.arange(6) == liar, lie_s, 0.0)
    fix = solve(heard(SIX_M, SOURCE, delay_s, sigma_s=0.003), near(SOURCE), AIR, DEFAULT_SETTINGS)
    assert sigmas_off(fix, honest.place_m) < CHI2_95


def test_a_node_more_makes_the_ellipse_smaller():
    few = solve(heard(RING_M, SOURCE), near(SOURCE), AIR, DEFAULT_SETTINGS)
    more = solve(heard(SIX_M, SOURCE), near(SOURCE), AIR, DEFAULT_SETTINGS)
    assert np.linalg.det(more.covariance[:2, :2]) < np.linalg.det(few.covariance[:2, :2])


@pytest.mark.parametrize("nodes_m", [RING_M[:4], SIX_M])
def test_the_95_percent_ellipse_holds_the_truth_95_times_in_100(nodes_m):
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(400):
        source = np.array([*rng.uniform(-150.0, 150.0, 2), 0.0])
        arrivals = drawn(nodes_m, source, rng.normal(0.0, 0.003, len(nodes_m)), rng)
        inside += sigmas_off(solve(arrivals, source, AIR, GAUSSIAN), source) < CHI2_95
    assert 0.92 < inside / 400 < 0.98
