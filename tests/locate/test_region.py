"""Two nodes give a region: narrow with bearings, long without, or a reason."""

import numpy as np
import pytest

from appliance.locate import locate_incidents
from appliance.model.incidents import Category
from appliance.model.picks import Pick, pick_id
from appliance.model.space import Geodetic, NodePose
from appliance.physics.air import sound_speed_mps
from appliance.physics.geodesy import LocalFrame
from tests.locate.nets import AIR

FRAME = LocalFrame(Geodetic(48.2, 16.37, 180.0))
EPOCH_NS = 1_783_134_720_000_000_000
NET = {"n1": (-120.0, 0.0), "n2": (120.0, 0.0)}
POSES = {n: NodePose(n, FRAME.to_geodetic(e, north, 6.0), 0.5) for n, (e, north) in NET.items()}


def heard(node, source, *, bearing_sigma_deg=None, wrong_deg=0.0, late_s=0.0):
    east_m, north_m = source[0] - NET[node][0], source[1] - NET[node][1]
    time_ns = EPOCH_NS + round((1.0 + late_s + np.hypot(east_m, north_m) / sound_speed_mps(15.0)) * 1e6) * 1000
    bearing_deg = None
    if bearing_sigma_deg is not None:
        bearing_deg = (np.degrees(np.arctan2(east_m, north_m)) + wrong_deg) % 360.0
    return Pick(
        pick_id(time_ns, node),
        node,
        time_ns,
        100_000,
        1_000,
        25.0,
        bearing_deg=bearing_deg,
        bearing_sigma_deg=bearing_sigma_deg,
        gunshot_probability=0.97,
    )


def inside(incident, source):
    east_m, north_m, _ = FRAME.to_enu(incident.position)
    turn = np.radians(incident.ellipse.bearing_deg)
    away = np.array([source[0] - east_m, source[1] - north_m])
    along, across = away @ [np.sin(turn), np.cos(turn)], away @ [np.cos(turn), -np.sin(turn)]
    return (along / incident.ellipse.major_m) ** 2 + (across / incident.ellipse.minor_m) ** 2 <= 1.0


@pytest.mark.parametrize("source", [(40.0, 150.0), (-30.0, -90.0), (200.0, 120.0)])
def test_two_arrays_give_a_region_that_holds_the_source(source):
    picks = [heard("n1", source, bearing_sigma_deg=3.0, wrong_deg=2.0), heard("n2", source, bearing_sigma_deg=3.0)]
    (incident,) = locate_incidents(picks, POSES, AIR)
    assert incident.category is Category.POSSIBLE_GUNFIRE
    assert inside(incident, source)
    assert incident.ellipse.major_m < 120.0
    assert "region" in incident.reason
    assert incident.bearing is None


def test_without_bearings_the_region_is_long_and_spans_both_sides():
    (incident,) = locate_incidents([heard(n, (20.0, 90.0)) for n in NET], POSES, AIR)
    assert incident.ellipse.major_m > 150.0
    assert inside(incident, (20.0, 90.0))
    assert inside(incident, (20.0, -90.0))


def test_two_sounds_that_no_shot_can_have_made_give_a_reason_and_no_region():
    picks = [heard("n1", (0.0, 60.0)), heard("n2", (0.0, 60.0), late_s=1.2)]
    (incident,) = locate_incidents(picks, POSES, AIR)
    assert incident.position is None
    assert "too far apart" in incident.reason


def test_one_node_has_no_region():
    (incident,) = locate_incidents([heard("n1", (0.0, 60.0), bearing_sigma_deg=3.0)], POSES, AIR)
    assert incident.position is None
    assert incident.reason.startswith("heard by 1 node")
    assert incident.bearing is not None
