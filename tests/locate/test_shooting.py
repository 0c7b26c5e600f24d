"""Shooters, order and movement of whole incidents, from picks."""

import numpy as np
import pytest

from appliance.locate import locate_incidents
from appliance.locate.ground import NODE_HEIGHT_M
from appliance.model.picks import Pick, pick_id
from appliance.model.space import Geodetic, NodePose
from appliance.physics.air import sound_speed_mps
from appliance.physics.geodesy import LocalFrame
from tests.locate.nets import AIR, SIX_M

FRAME = LocalFrame(Geodetic(48.2, 16.37, 180.0))
EPOCH_NS = 1_783_134_720_000_000_000
POSES = {f"n{i}": NodePose(f"n{i}", FRAME.to_geodetic(*map(float, place)), 0.5) for i, place in enumerate(SIX_M)}


def fired(rounds, seed=1, scatter_s=0.0005):
    """Picks of rounds (time, east, north) that reach every node, its path some milliseconds late at random."""
    rng = np.random.default_rng(seed)
    late_s = np.abs(rng.normal(0.0, 0.004, len(SIX_M)))
    picks = []
    for time_s, east_m, north_m in rounds:
        for i, node_m in enumerate(SIX_M):
            range_m = np.linalg.norm(node_m - (east_m, north_m, SIX_M[:, 2].mean() - NODE_HEIGHT_M))
            at_s = time_s + range_m / sound_speed_mps(AIR.temperature_c) + late_s[i] + rng.normal(0.0, scatter_s)
            time_ns = EPOCH_NS + round(at_s * 1e6) * 1000
            picks.append(Pick(pick_id(time_ns, f"n{i}"), f"n{i}", time_ns, 100_000, 1_000, 25.0))
    return picks


def test_one_shooter_who_stands_is_one_and_no_movement_is_claimed():
    (incident,) = locate_incidents(fired([(1.0 + 0.4 * k, 60.0, -40.0) for k in range(5)]), POSES, AIR)
    assert (incident.rounds, incident.shooters) == (5, 1)
    assert incident.shooter_probabilities[1] > 0.95
    assert incident.first_shooter is None
    assert incident.movement.reason.startswith("cannot tell")


@pytest.mark.parametrize("apart_m", [150.0])
def test_two_shooters_are_told_apart_and_put_in_order(apart_m):
    first = [(1.0 + 0.5 * k, 60.0, -40.0) for k in range(4)]
    second = [(1.23 + 0.61 * k, 60.0 - apart_m, -40.0) for k in range(4)]
    (incident,) = locate_incidents(fired(first + second), POSES, AIR)
    assert incident.shooters == 2
    assert incident.rounds == 8
    assert incident.first_shooter.probability > 0.95
    truly_first = min(incident.shots, key=lambda s: s.time_ns)
    assert incident.first_shooter.shooter == truly_first.shooter == 1
    east_m = {s.shooter: FRAME.to_enu(s.position)[0] for s in incident.shots}
    assert east_m[1] - east_m[2] == pytest.approx(apart_m, abs=3.0)


def test_one_who_walks_while_firing_is_said_to_walk():
    rounds = [(1.0 + 0.5 * k, 60.0 + 1.5 * 0.5 * k, -40.0) for k in range(7)]
    (incident,) = locate_incidents(fired(rounds), POSES, AIR)
    assert incident.shooters == 1
    assert incident.movement.speed_mps == pytest.approx(1.5, abs=0.5)
    assert incident.movement.bearing_deg == pytest.approx(90.0, abs=25.0)
