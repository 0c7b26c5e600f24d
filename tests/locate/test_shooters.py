"""How many shooters: by relative places, by what a weapon can do, and with doubt where there is doubt."""

import numpy as np
import pytest

from appliance.locate.relative import RelativeRounds
from appliance.locate.settings import DEFAULT_SETTINGS
from appliance.locate.shooters import count_shooters


def rounds(offset_m, time_s, sigma_m=0.4):
    offset_m = np.asarray(offset_m, dtype=float)
    covariance = np.tile(np.diag([sigma_m**2, sigma_m**2, 1e-6]), (len(offset_m), 1, 1))
    return RelativeRounds(offset_m, np.asarray(time_s, dtype=float), covariance, 0.0013)


def places(rng, centres_m, who, sigma_m=0.4):
    return np.array(centres_m)[who] + rng.normal(0.0, sigma_m, (len(who), 2))


@pytest.mark.parametrize("seed", range(8))
def test_two_shooters_five_metres_apart_are_told_apart(seed):
    rng = np.random.default_rng(seed)
    who = np.array([0, 0, 1, 0, 1, 1])
    count = count_shooters(
        rounds(places(rng, [(0.0, 0.0), (3.0, 4.0)], who), [0, 0.5, 0.7, 1.1, 1.3, 1.9]), DEFAULT_SETTINGS
    )
    assert count.likeliest == 2
    assert count.probabilities[2] > 0.9
    assert count.shooter_of.tolist() == [1, 1, 2, 1, 2, 2]


@pytest.mark.parametrize("seed", range(8))
def test_one_shooter_stays_one_however_many_rounds(seed):
    rng = np.random.default_rng(seed)
    n = 30
    count = count_shooters(rounds(rng.normal(0.0, 0.4, (n, 2)), np.cumsum(rng.uniform(0.2, 1.0, n))), DEFAULT_SETTINGS)
    assert count.likeliest == 1
    assert count.probabilities[1] > 0.9


def test_one_round_with_wrong_members_is_no_second_shooter():
    offset_m = np.zeros((6, 2))
    offset_m[3] = (3.0, 0.0)
    assert count_shooters(rounds(offset_m, np.arange(6) * 0.5), DEFAULT_SETTINGS).likeliest == 1


def test_a_walk_is_one_shooter_and_not_several():
    time_s = np.arange(10) * 0.6
    rng = np.random.default_rng(2)
    offset_m = np.outer(time_s, [1.4, 0.0]) + rng.normal(0.0, 0.3, (10, 2))
    assert count_shooters(rounds(offset_m, time_s, 0.3), DEFAULT_SETTINGS).likeliest == 1


def test_rounds_faster_than_a_weapon_fires_are_of_two():
    time_s = [0.0, 0.02, 0.5, 0.525, 1.0, 1.03]
    count = count_shooters(rounds([(0.0, 0.0), (1.2, 0.0)] * 3, time_s), DEFAULT_SETTINGS)
    assert count.likeliest == 2


def test_where_places_are_vague_the_number_is_uncertain():
    who = np.array([0, 1, 0, 1])
    offset_m = np.array([(0.0, 0.0), (6.5, 0.0)])[who]
    count = count_shooters(rounds(offset_m, [0.0, 0.4, 0.9, 1.5], 1.3), DEFAULT_SETTINGS)
    assert 0.03 < count.probabilities[2] < 0.97
    assert sum(count.probabilities.values()) == pytest.approx(1.0, abs=0.01)
