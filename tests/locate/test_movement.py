"""Movement: told with an interval that holds it, or not told, with the reason."""

import numpy as np
import pytest

from appliance.locate.movement import movement_of
from appliance.locate.relative import RelativeRounds


def walked(velocity_mps, time_s, seed, sigma_m=0.15):
    rng = np.random.default_rng(seed)
    time_s = np.asarray(time_s, dtype=float)
    offset_m = np.outer(time_s, velocity_mps) + rng.normal(0.0, sigma_m, (len(time_s), 2))
    covariance = np.tile(np.diag([sigma_m**2, sigma_m**2, 1e-7]), (len(time_s), 1, 1))
    return RelativeRounds(offset_m, time_s, covariance, 0.0003), np.ones(len(time_s), dtype=bool)


def test_a_walk_to_the_east_is_told_with_speed_and_bearing():
    movement = movement_of(*walked((1.4, 0.0), np.arange(6) * 0.5, 1))
    assert movement.reason is None
    assert movement.speed_mps == pytest.approx(1.4, abs=4.0 * movement.sigma_mps)
    assert movement.bearing_deg == pytest.approx(90.0, abs=15.0)


def test_the_interval_of_a_speed_holds():
    errors = []
    for seed in range(200):
        movement = movement_of(*walked((0.0, -1.4), np.arange(8) * 0.5, seed))
        errors.append((movement.speed_mps - 1.4) / movement.sigma_mps)
    assert 0.80 < np.mean(np.abs(errors) < 1.96) <= 1.0
    assert abs(np.mean(errors)) < 0.4


def test_one_who_stands_is_not_said_to_walk():
    told = [movement_of(*walked((0.0, 0.0), np.arange(8) * 0.5, seed)).reason is None for seed in range(200)]
    assert np.mean(told) < 0.02


@pytest.mark.parametrize(
    ("time_s", "words"), [([0.0], "one round"), ([0.0, 0.1, 0.2], "half a second"), ([0.0, 1.0, 2.0], "chance")]
)
def test_what_cannot_be_told_says_why(time_s, words):
    movement = movement_of(*walked((0.0, 0.0), time_s, 4))
    assert movement.speed_mps is None
    assert movement.reason.startswith("cannot tell")
    assert words in movement.reason
