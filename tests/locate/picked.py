"""Picks of shots over a small net where the truth is known, for tests of association."""

import numpy as np

from appliance.model.air import Air
from appliance.model.picks import Pick, pick_id
from appliance.model.space import Geodetic, NodePose
from appliance.physics.air import sound_speed_mps
from appliance.physics.geodesy import LocalFrame

FRAME = LocalFrame(Geodetic(48.2, 16.37, 180.0))
AIR = Air(temperature_c=12.0, temperature_sigma_c=2.0, wind_sigma_mps=1.0)
EPOCH_NS = 1_783_134_720_000_000_000
NET = {
    "n1": (-180.0, -150.0),
    "n2": (210.0, -170.0),
    "n3": (190.0, 200.0),
    "n4": (-200.0, 180.0),
    "n5": (10.0, 20.0),
}


def poses(net=NET):
    return {n: NodePose(n, FRAME.to_geodetic(e, north, 6.0), 0.5) for n, (e, north) in net.items()}


def heard(node, source, time_s, delay_s=0.0, snr_db=25.0, net=NET, **more):
    range_m = float(np.hypot(net[node][0] - source[0], net[node][1] - source[1]))
    time_ns = EPOCH_NS + round((time_s + range_m / sound_speed_mps(12.0) + delay_s) * 1e6) * 1000
    return Pick(pick_id(time_ns, node), node, time_ns, 100_000, 1_000, snr_db, **more)


def shots(source, times_s, delays_s=None, nodes=tuple(NET), **more):
    delays_s = delays_s or {}
    return [heard(n, source, t, delays_s.get(n, 0.0), **more) for t in times_s for n in nodes]


def error_m(incident, source):
    east_m, north_m, _ = FRAME.to_enu(incident.position)
    return float(np.hypot(east_m - source[0], north_m - source[1]))
