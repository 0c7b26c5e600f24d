"""What happens in a simulated town: volleys, fights, and everything else."""

import numpy as np
import pytest

from appliance.physics.blasts import WEAPONS
from appliance.scene.emissions import DISTURBANCES, GUNFIRE, Volley, disturbance, gunfire, shots, street_place
from appliance.scene.rendering import SOUNDS
from appliance.scene.town import Town, make_town


@pytest.fixture(scope="module")
def town() -> Town:
    return make_town(300.0, np.random.default_rng(2))


def test_a_volley_has_its_rounds_its_cadence_and_one_shooter_in_one_place() -> None:
    rng = np.random.default_rng(1)
    rounds = shots(Volley(WEAPONS["45 pistol"], 40, 0.5, shooter="b"), np.array([10.0, 20.0, 1.4]), 0.0, 3.0, rng)
    times_s = np.array([e.time_s for e in rounds])
    assert (len(rounds), times_s[0]) == (40, 3.0)
    assert np.median(np.diff(times_s)) == pytest.approx(0.5, rel=0.1)
    assert np.diff(times_s).min() > 0.2
    assert {(e.kind, e.shooter, e.weapon, e.stand_m) for e in rounds} == {("shot", "b", "45 pistol", (10.0, 20.0, 1.4))}
    assert np.std([e.place_m for e in rounds], axis=0) == pytest.approx(0.1, rel=0.5)
    aims = np.array([e.aim for e in rounds])
    np.testing.assert_allclose(np.linalg.norm(aims, axis=1), 1.0)
    assert aims[:, 1].min() > 0.9  # bearing 0: north


def test_an_automatic_weapon_keeps_its_interval() -> None:
    rounds = shots(Volley(WEAPONS["5.56 mm rifle"], 30, 0.08, 0.02), np.zeros(3), 0.0, 0.0, np.random.default_rng(1))
    gaps_s = np.diff([e.time_s for e in rounds])
    assert np.std(gaps_s) / np.mean(gaps_s) == pytest.approx(0.02, rel=0.4)


def test_a_walking_shooter_gets_on() -> None:
    rng = np.random.default_rng(1)
    rounds = shots(Volley(WEAPONS["9mm pistol"], 10, 1.0, 0.0, walk_mps=1.5), np.zeros(3), 0.0, 0.0, rng)
    assert np.linalg.norm(np.array(rounds[-1].place_m) - np.array(rounds[0].place_m)) == pytest.approx(13.5, abs=0.6)


@pytest.mark.parametrize("sort", GUNFIRE)
def test_gunfire_begins_at_once_in_order_and_ends_before_the_next(town: Town, sort: str) -> None:
    for seed in range(20):
        emissions = gunfire(town, sort, 200.0, np.random.default_rng(seed))
        times_s = [e.time_s for e in emissions]
        assert times_s[0] == 0.0
        assert times_s == sorted(times_s)
        assert times_s[-1] < 12.0
        assert {e.shooter for e in emissions} == ({"a", "b"} if sort == "two shooters" else {"a"})


def test_two_shooters_stand_15_to_45_m_apart(town: Town) -> None:
    for seed in range(20):
        emissions = gunfire(town, "two shooters", 200.0, np.random.default_rng(seed))
        stands = {e.shooter: np.array(e.stand_m) for e in emissions}
        assert 14.9 < np.linalg.norm(stands["a"] - stands["b"]) < 45.1


@pytest.mark.parametrize("sort", DISTURBANCES)
def test_disturbances_are_no_shots_and_can_be_rendered(town: Town, sort: str) -> None:
    for seed in range(20):
        emissions = disturbance(town, sort, 200.0, np.random.default_rng(seed))
        assert emissions
        assert all(e.kind != "shot" and e.sound in {*SOUNDS, "thunder", "vehicle"} for e in emissions)
        assert [e.time_s for e in emissions] == sorted(e.time_s for e in emissions)


def test_an_aerial_shell_bursts_high_above_where_it_was_lit(town: Town) -> None:
    bursts = 0
    for seed in range(30):
        emissions = disturbance(town, "firework", 200.0, np.random.default_rng(seed))
        lifts = [e for e in emissions if e.sound == "lift"]
        for lift in lifts:
            burst = next(e for e in emissions if e.sound == "burst" and e.time_s > lift.time_s + 1.9)
            assert burst.place_m[2] > 60.0
            bursts += 1
    assert bursts > 20


def test_things_happen_in_streets_and_within_reach(town: Town) -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        place = town.from_enu(street_place(town, 150.0, rng))
        assert np.hypot(place[0], place[1]) < 150.0 + 42.0
        inside = (town.houses_m[:, 0] < place[0]) & (place[0] < town.houses_m[:, 2])
        inside &= (town.houses_m[:, 1] < place[1]) & (place[1] < town.houses_m[:, 3])
        assert not inside.any()
