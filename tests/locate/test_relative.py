"""Rounds relative to each other: exact to decimetres while the net itself is off by metres."""

import dataclasses

import numpy as np
import pytest

from appliance.locate.relative import Reference, relate_rounds
from appliance.locate.settings import DEFAULT_SETTINGS
from tests.locate.nets import RING_M, SIX_M, heard

PLACE = np.array([40.0, 25.0, 0.0])
STILL_AIR = np.array([340.27, 0.0, 0.0])


def related(places_m, times_s, scatter_s, seed, nodes_m=RING_M, settings=DEFAULT_SETTINGS):
    """Rounds from places at times, with paths 7 ms late at random that all share, against a place 4 m off."""
    rng = np.random.default_rng(seed)
    path_s = rng.normal(0.0, 0.007, len(nodes_m))
    arrival_s = np.array([heard(nodes_m, p).time_s + t for p, t in zip(places_m, times_s, strict=True)])
    arrival_s += path_s + rng.normal(0.0, scatter_s, arrival_s.shape)
    off_m = PLACE + np.array([3.0, -2.5, 0.0])
    lag_s = arrival_s[0] - heard(nodes_m, off_m).time_s - times_s[0]
    return relate_rounds(arrival_s, nodes_m, Reference(off_m, STILL_AIR, lag_s), settings)


def test_a_step_of_five_metres_is_seen_to_decimetres_through_paths_late_by_7_ms():
    rounds = related([PLACE, PLACE, PLACE + np.array([3.0, 4.0, 0.0])], [0.0, 0.6, 1.3], 0.0003, 1)
    np.testing.assert_allclose(rounds.offset_m[2] - rounds.offset_m[0], [3.0, 4.0], atol=0.4)
    np.testing.assert_allclose(rounds.offset_m[1] - rounds.offset_m[0], 0.0, atol=0.4)
    np.testing.assert_allclose(np.diff(rounds.time_s), [0.6, 0.7], atol=0.002)


@pytest.mark.parametrize("scatter_s", [0.0003, 0.002])
def test_the_relative_covariance_holds_what_rounds_scatter(scatter_s):
    settings = dataclasses.replace(DEFAULT_SETTINGS, round_sigma_s=scatter_s)
    squares = []
    for seed in range(60):
        rounds = related([PLACE] * 5, np.arange(5) * 0.5, scatter_s, seed, SIX_M, settings)
        apart_m = rounds.offset_m - rounds.offset_m.mean(axis=0)
        weight = np.linalg.inv(rounds.covariance[:, :2, :2])
        squares.append(np.einsum("ki,kij,kj->", apart_m, weight, apart_m) / 4.0)
    assert np.mean(squares) == pytest.approx(2.0, abs=0.5)


def test_a_node_that_missed_some_rounds_bends_nothing():
    rng = np.random.default_rng(3)
    arrival_s = np.array([heard(SIX_M, PLACE).time_s + t for t in (0.0, 0.5, 1.1, 1.9)])
    arrival_s += rng.normal(0.0, 0.007, 6) + rng.normal(0.0, 0.0003, arrival_s.shape)
    lag_s = arrival_s[0] - heard(SIX_M, PLACE).time_s
    arrival_s[1, 0] = arrival_s[2, 3] = np.nan
    rounds = relate_rounds(arrival_s, SIX_M, Reference(PLACE, STILL_AIR, lag_s), DEFAULT_SETTINGS)
    assert np.abs(rounds.offset_m - rounds.offset_m[0]).max() < 0.6


def test_one_wrong_member_does_not_carry_its_round_away():
    arrival_s = np.array([heard(SIX_M, PLACE).time_s + t for t in (0.0, 0.5, 1.1)])
    lag_s = np.zeros(6)
    arrival_s[2, 4] += 0.030
    rounds = relate_rounds(arrival_s, SIX_M, Reference(PLACE, STILL_AIR, lag_s), DEFAULT_SETTINGS)
    assert np.hypot(*(rounds.offset_m[2] - rounds.offset_m[0])) < 2.0
