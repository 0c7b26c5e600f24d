"""Picks in, incidents out, on small made-up nets where the truth is known."""

import dataclasses

import numpy as np
import pytest

from appliance.locate import locate_incidents
from appliance.model.incidents import Category
from tests.locate.picked import AIR, EPOCH_NS, FRAME, NET, error_m, heard, poses, shots


def test_one_shot_heard_by_five_nodes_is_located_and_timed():
    (incident,) = locate_incidents(shots((60.0, -40.0), [2.0]), poses(), AIR)
    assert incident.category is Category.GUNFIRE
    assert incident.heard_by == tuple(NET)
    assert error_m(incident, (60.0, -40.0)) < 1.0
    assert incident.time_ns == pytest.approx(EPOCH_NS + 2_000_000_000, abs=5_000_000)
    assert incident.rounds == 1


def test_three_rounds_are_one_incident_of_one_shooter():
    (incident,) = locate_incidents(shots((60.0, -40.0), [2.0, 2.4, 2.9]), poses(), AIR)
    assert (incident.rounds, incident.shooters) == (3, 1)
    gaps_s = np.diff([s.time_ns for s in incident.shots]) / 1e9
    np.testing.assert_allclose(gaps_s, [0.4, 0.5], atol=0.002)


def test_echoes_late_paths_and_noise_move_nothing():
    source = (-90.0, 70.0)
    clean = shots(source, [2.0, 2.6, 3.1], {"n2": 0.025, "n4": 0.004})
    echoes = [
        heard(n, source, t, d, 9.0) for t in (2.0, 2.6, 3.1) for n, d in (("n1", 0.12), ("n3", 0.3), ("n5", 0.07))
    ]
    rng = np.random.default_rng(5)
    noise = [
        dataclasses.replace(p, snr_db=float(3.0 + rng.exponential(2.0)))
        for p in (heard(n, source, float(t)) for n in NET for t in rng.uniform(0.0, 6.0, 6))
    ]
    (incident,) = locate_incidents(clean + echoes + noise, poses(), AIR)
    assert incident.rounds == 3
    assert error_m(incident, source) < 6.0


def test_the_order_of_picks_and_repeats_change_nothing():
    picks = [*shots((60.0, -40.0), [2.0, 2.4], {"n3": 0.01}), heard("n2", (0.0, 0.0), 1.5, snr_db=6.0)]
    first = locate_incidents(picks, poses(), AIR)
    rng = np.random.default_rng(1)
    for _ in range(5):
        shuffled = [picks[i] for i in rng.permutation(len(picks))] + picks[:3]
        assert locate_incidents(shuffled, poses(), AIR) == first


def test_the_id_is_the_smallest_member_and_the_others_are_aliases():
    picks = shots((60.0, -40.0), [2.0])
    (incident,) = locate_incidents(picks, poses(), AIR)
    assert incident.id == min(p.id for p in picks)
    assert {incident.id, *incident.aliases} == {p.id for p in picks}


def test_noise_alone_makes_no_incident():
    rng = np.random.default_rng(11)
    picks = [
        heard(n, (0.0, 0.0), float(t), snr_db=float(3.0 + rng.exponential(2.5)))
        for n in NET
        for t in rng.uniform(0.0, 120.0, 60)
    ]
    assert locate_incidents(picks, poses(), AIR) == ()


def test_two_sources_far_apart_at_once_are_both_found():
    near, far = (-150.0, -100.0), (160.0, 120.0)
    incidents = locate_incidents(shots(near, [2.0, 2.5]) + shots(far, [2.21, 2.83]), poses(), AIR)
    found = [s for i in incidents for s in i.shots]
    assert len(found) == 4
    east_m = sorted(FRAME.to_enu(s.position)[0] for s in found)
    np.testing.assert_allclose(east_m, [-150.0, -150.0, 160.0, 160.0], atol=3.0)


def test_a_node_with_a_bad_clock_stays_out_of_the_fix():
    picks = shots((60.0, -40.0), [2.0])
    bad = dataclasses.replace(picks[0], time_ns=picks[0].time_ns + 40_000_000, clock_sigma_ns=20_000_000)
    (incident,) = locate_incidents([bad, *picks[1:]], poses(), AIR)
    assert "n1" not in incident.heard_by
    assert error_m(incident, (60.0, -40.0)) < 1.0


def test_one_node_alone_is_at_most_possible_gunfire_with_its_bearing():
    pick = heard("n1", (0.0, 0.0), 1.0, bearing_deg=212.0, bearing_sigma_deg=3.0, gunshot_probability=0.95)
    (incident,) = locate_incidents([pick], poses(), AIR)
    assert incident.category is Category.POSSIBLE_GUNFIRE
    assert incident.position is None
    assert incident.reason
    assert (incident.bearing.node, incident.bearing.bearing_deg) == ("n1", 212.0)


def test_one_node_with_a_doubtful_sound_makes_no_incident():
    assert locate_incidents([heard("n1", (0.0, 0.0), 1.0, gunshot_probability=0.3)], poses(), AIR) == ()


def test_sounds_that_no_classifier_takes_for_gunfire_are_not_gunfire():
    (incident,) = locate_incidents(shots((60.0, -40.0), [2.0], gunshot_probability=0.05), poses(), AIR)
    assert incident.category is Category.OTHER
