"""Nets, sources and arrivals for tests of the solver, from seeds."""

import numpy as np

from appliance.locate.ground import SOURCE_HEIGHT_SIGMA_M
from appliance.locate.solve import Arrivals
from appliance.model.air import Air
from appliance.physics.air import sound_speed_mps
from appliance.physics.propagation import travel_time_s

AIR = Air(temperature_c=15.0, temperature_sigma_c=1.0, wind_sigma_mps=1.5)
RING_M = np.array(
    [[-200.0, -180.0, 6.0], [190.0, -200.0, 7.0], [210.0, 190.0, 5.0], [-190.0, 200.0, 6.0], [20.0, -10.0, 8.0]]
)
SIX_M = np.vstack([RING_M, [5.0, 260.0, 6.0]])


def heard(
    nodes_m,
    source_m,
    delay_s=0.0,
    *,
    sigma_s=0.001,
    bearing_sigma_rad=None,
    air=AIR,
):
    """Exact arrivals of a source at time 0, each late by `delay_s`; bearings too where a sigma is given."""
    source_m = np.asarray(source_m, dtype=float)
    wind = (air.wind_east_mps, air.wind_north_mps)
    time_s = travel_time_s(source_m, nodes_m, sound_speed_mps(air.temperature_c), wind) + delay_s
    n = len(nodes_m)
    bearing = np.full(n, np.nan)
    sigma = np.full(n, np.nan)
    if bearing_sigma_rad is not None:
        bearing = np.arctan2(source_m[0] - nodes_m[:, 0], source_m[1] - nodes_m[:, 1])
        sigma = np.full(n, bearing_sigma_rad)
    return Arrivals(nodes_m, time_s, np.full(n, sigma_s), bearing, sigma)


def sigmas_off(fix, source_m):
    """Squared distance of the truth from the fix in sigmas, horizontally."""
    error_m = fix.place_m[:2] - np.asarray(source_m)[:2]
    return float(error_m @ np.linalg.solve(fix.covariance[:2, :2], error_m))


def drawn(nodes_m, source_m, delay_s, rng, sigma_s=0.003):
    """Arrivals as `heard` has them, of a source whose height and air are off by what is allowed for."""
    true = Air(
        AIR.temperature_c + rng.normal(0.0, AIR.temperature_sigma_c),
        rng.normal(0.0, AIR.wind_sigma_mps),
        rng.normal(0.0, AIR.wind_sigma_mps),
    )
    place_m = np.array([source_m[0], source_m[1], source_m[2] + rng.normal(0.0, SOURCE_HEIGHT_SIGMA_M)])
    return heard(nodes_m, place_m, delay_s, sigma_s=sigma_s, air=true)
