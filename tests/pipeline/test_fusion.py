"""Fusion says what the localiser says of the picks it holds, and only what is new."""

import numpy as np
import pytest

from appliance.locate import locate_incidents
from appliance.model.air import Air
from appliance.model.picks import Pick, pick_id
from appliance.model.space import Geodetic, NodePose
from appliance.physics.air import sound_speed_mps
from appliance.physics.geodesy import LocalFrame
from appliance.pipeline.fusion import Fusion, FusionSettings

FRAME = LocalFrame(Geodetic(48.2, 16.37, 180.0))
AIR = Air(temperature_c=12.0, temperature_sigma_c=2.0, wind_sigma_mps=1.0)
EPOCH_NS = 1_783_134_720_000_000_000
NET = {"n1": (-180.0, -150.0), "n2": (210.0, -170.0), "n3": (190.0, 200.0), "n4": (-200.0, 180.0), "n5": (10.0, 20.0)}
POSES = {n: NodePose(n, FRAME.to_geodetic(e, north, 6.0), 0.5) for n, (e, north) in NET.items()}


def shot(source, time_s, nodes=tuple(NET)):
    picks = []
    for node in nodes:
        range_m = float(np.hypot(NET[node][0] - source[0], NET[node][1] - source[1]))
        time_ns = EPOCH_NS + round((time_s + range_m / sound_speed_mps(12.0)) * 1e6) * 1000
        picks.append(Pick(pick_id(time_ns, node), node, time_ns, 100_000, 1_000, 25.0))
    return sorted(picks, key=lambda p: p.id)


def fusion(**settings):
    machine = Fusion(FusionSettings(**settings))
    for pose in POSES.values():
        machine.set_pose(pose)
    machine.set_air(AIR)
    return machine


def at_s(time_s):
    return EPOCH_NS + round(time_s * 1e9)


def test_an_incident_comes_with_the_third_node_and_improves_after():
    machine = fusion()
    revisions = []
    for pick in shot((60.0, -40.0), 1.0):
        machine.add_pick(pick)
        revisions.append(machine.update(at_s(3.0)))
    counts = [len(incidents[0].heard_by) for incidents in revisions if incidents]
    assert counts[-1] == 5
    assert counts == sorted(counts)
    numbers = [incidents[0].revision for incidents in revisions if incidents]
    assert numbers == sorted(set(numbers))


def test_nothing_new_means_nothing_said():
    machine = fusion()
    for pick in shot((60.0, -40.0), 1.0):
        machine.add_pick(pick)
    assert len(machine.update(at_s(3.0))) == 1
    assert machine.update(at_s(4.0)) == ()
    machine.add_pick(shot((60.0, -40.0), 1.0)[0])
    assert machine.update(at_s(5.0)) == ()


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_delivery_ends_with_what_the_localiser_says(seed):
    picks = shot((60.0, -40.0), 1.0) + shot((60.0, -40.0), 1.5) + shot((-100.0, 80.0), 40.0)
    machine = fusion()
    for i in np.random.default_rng(seed).permutation(len(picks)):
        machine.add_pick(picks[i])
        machine.update(at_s(45.0))
    assert machine.incidents() == locate_incidents(picks, POSES, AIR)


def test_an_old_episode_is_not_told_again_when_another_begins():
    machine = fusion()
    for pick in shot((60.0, -40.0), 1.0):
        machine.add_pick(pick)
    machine.update(at_s(3.0))
    for pick in shot((-100.0, 80.0), 40.0):
        machine.add_pick(pick)
    (second,) = machine.update(at_s(42.0))
    assert second.time_ns > at_s(39.0)
    assert len(machine.incidents()) == 2


def test_incidents_stay_when_their_picks_have_left():
    machine = fusion(keep_s=60.0)
    for pick in shot((60.0, -40.0), 1.0):
        machine.add_pick(pick)
    machine.update(at_s(3.0))
    for pick in shot((-100.0, 80.0), 200.0):
        machine.add_pick(pick)
    assert len(machine.update(at_s(202.0))) == 1
    assert len(machine.incidents()) == 2


def test_a_flood_of_picks_is_bounded_and_the_newest_shot_still_found():
    machine = fusion(max_picks=200)
    rng = np.random.default_rng(3)
    for time_s in np.sort(rng.uniform(0.0, 300.0, 1000)):
        time_ns = at_s(float(time_s))
        machine.add_pick(Pick(pick_id(time_ns, "n1"), "n1", time_ns, 100_000, 1_000, 4.0))
    for pick in shot((60.0, -40.0), 299.0):
        machine.add_pick(pick)
    assert len(machine.update(at_s(302.0))) == 1
    assert machine.n_picks <= 200


def test_a_corrected_pose_moves_the_incident():
    machine = fusion()
    for pick in shot((60.0, -40.0), 1.0):
        machine.add_pick(pick)
    (before,) = machine.update(at_s(3.0))
    for node, (east_m, north_m) in NET.items():
        machine.set_pose(NodePose(node, FRAME.to_geodetic(east_m + 30.0, north_m, 6.0), 0.5))
    (after,) = machine.update(at_s(4.0))
    moved_m = FRAME.to_enu(after.position)[0] - FRAME.to_enu(before.position)[0]
    assert moved_m == pytest.approx(30.0, abs=0.1)
