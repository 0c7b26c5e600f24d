"""Shooters who fire at the same time keep their rounds apart."""

import numpy as np

from appliance.locate import locate_incidents
from tests.locate.picked import AIR, FRAME, NET, heard, poses, shots

NEAR, BESIDE = (40.0, -60.0), (58.0, -45.0)
NEAR_LATE_S = {"n1": 0.004, "n2": -0.003, "n3": 0.009, "n4": 0.001, "n5": -0.002}
BESIDE_LATE_S = {"n1": -0.002, "n2": 0.006, "n3": 0.001, "n4": 0.007, "n5": 0.003}


def rounds_by_shooter(incident):
    return sorted(sum(s.shooter == k for s in incident.shots) for k in {s.shooter for s in incident.shots})


def test_two_shooters_beside_each_other_keep_their_own_rounds():
    one = shots(NEAR, [2.0, 2.9, 3.7, 4.4], NEAR_LATE_S)
    two = shots(BESIDE, [2.4, 3.2, 4.0], BESIDE_LATE_S)
    (incident,) = locate_incidents(one + two, poses(), AIR)
    assert (incident.rounds, incident.shooters) == (7, 2)
    assert rounds_by_shooter(incident) == [3, 4]


def test_no_pick_is_an_arrival_of_two_shots():
    picks = shots(NEAR, [2.0, 2.9, 3.7], NEAR_LATE_S) + shots(BESIDE, [2.4, 3.2], BESIDE_LATE_S)
    arrivals = [a.pick for i in locate_incidents(picks, poses(), AIR) for s in i.shots for a in s.arrivals]
    assert len(arrivals) == len(set(arrivals))


def test_turbulence_makes_no_second_shooter():
    rng = np.random.default_rng(3)
    times_s = np.cumsum(rng.uniform(0.3, 0.9, 10)) + 2.0
    picks = [heard(n, NEAR, float(t), NEAR_LATE_S[n] + rng.normal(0.0, 0.0015)) for t in times_s for n in NET]
    (incident,) = locate_incidents(picks, poses(), AIR)
    assert (incident.rounds, incident.shooters) == (10, 1)


def test_a_second_shooter_across_the_net_is_found_among_the_echoes_of_the_first():
    far = (-150.0, 120.0)
    first = shots(NEAR, [2.0, 2.8, 3.5, 4.1], NEAR_LATE_S)
    echoes = [
        heard(n, NEAR, t, d, 10.0)
        for t in (2.0, 2.8, 3.5, 4.1)
        for n, d in (("n1", 0.11), ("n2", 0.23), ("n4", 0.17), ("n5", 0.08))
    ]
    second = shots(far, [2.3, 3.25, 3.8], BESIDE_LATE_S, snr_db=17.0)
    incidents = locate_incidents(first + echoes + second, poses(), AIR)
    found = sorted((s.time_ns, FRAME.to_enu(s.position)[0] < -50.0) for i in incidents for s in i.shots)
    assert [is_far for _, is_far in found] == [False, True, False, True, False, True, False]


def test_a_wall_that_answers_every_round_is_no_second_shooter():
    times_s = [2.0, 2.7, 3.5, 4.1]
    wall = shots((70.0, 10.0), [t + 0.14 for t in times_s], BESIDE_LATE_S, snr_db=14.0)
    (incident,) = locate_incidents(shots(NEAR, times_s, NEAR_LATE_S) + wall, poses(), AIR)
    assert (incident.rounds, incident.shooters) == (4, 1)
