"""Where a sound may have come from that only two nodes heard: a region, or the reason why there is none.

Two arrival times leave a branch of a hyperbola, bearings cut pieces out of it, and a shot that two nodes heard was near
them. All of it is weighed on a grid; the region is the ellipse of what is left.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.associate import hearing_probability
from appliance.locate.ground import source_height_m
from appliance.locate.hearing import Hearing
from appliance.locate.paths import path_log_density, path_sigmas_s
from appliance.locate.settings import LocateSettings
from appliance.locate.uncertainty import ellipse_95
from appliance.model.picks import Pick
from appliance.model.space import Ellipse, Geodetic
from appliance.physics.propagation import travel_time_s

_STEP_M = 12.0
"""Grid of places: a third of what path delays make of a hyperbola."""
_BEARING_DOF = 4.0
"""Degrees of freedom of a bearing's Student tails: a reflection turns one in ten by three sigma."""
_UNSAID_BEARING_DEG = 5.0
"""1-sigma of a bearing that states none."""
_WIDEST_M = 1_500.0
"""A wider region helps nobody to find it."""


@dataclass(frozen=True, slots=True)
class Region:
    """The middle of the likely places and their 95 % ellipse."""

    position: Geodetic
    ellipse: Ellipse


@dataclass(frozen=True, slots=True)
class NoRegion:
    """Why two nodes' picks give no region."""

    reason: str


def region_of_two(hearing: Hearing, one: Pick, other: Pick, settings: LocateSettings) -> Region | NoRegion:
    """The region from which both picks can be the direct sound of one shot."""
    nodes = [hearing.nodes.index(pick.node) for pick in (one, other)]
    enu_m = hearing.enu_m[nodes]
    apart_s = (other.time_ns - one.time_ns) * 1e-9
    most_s = float(np.linalg.norm(enu_m[1] - enu_m[0])) / hearing.sound_speed_mps
    if abs(apart_s) > most_s + 3.0 * settings.path_late_sigma_s:
        return NoRegion("two nodes heard sounds too far apart in time for one shot")
    places_m = _grid(enu_m, settings)
    travel_s = travel_time_s(places_m[:, None, :], enu_m[None], hearing.sound_speed_mps)
    lag_s = apart_s - (travel_s[:, 1] - travel_s[:, 0])
    # Both paths may be late: the difference is as uncertain on either side.
    early_s, late_s = path_sigmas_s(hearing.sigma_s[nodes], settings)
    sigma_s = np.full(len(lag_s), np.hypot(np.hypot(*early_s), np.hypot(*late_s)) / np.sqrt(2.0))
    score = path_log_density(lag_s, sigma_s, sigma_s, settings)
    range_m = np.sqrt(((places_m[:, None, :] - enu_m[None]) ** 2).sum(axis=2))
    score += np.log(hearing_probability(range_m, settings)).sum(axis=1)
    score -= range_m.min(axis=1) / settings.nearest_node_m
    for k, pick in enumerate((one, other)):
        score += _bearing_score(places_m - enu_m[k], pick)
    return _summary(hearing, places_m, score)


def _grid(enu_m: NDArray[np.float64], settings: LocateSettings) -> NDArray[np.float64]:
    low_m = enu_m[:, :2].min(axis=0) - settings.hearing_range_m
    high_m = enu_m[:, :2].max(axis=0) + settings.hearing_range_m
    step_m = max(_STEP_M, float(np.prod(high_m - low_m) / settings.max_grid_points) ** 0.5)
    east_m, north_m = (np.arange(low_m[i], high_m[i], step_m) for i in (0, 1))
    flat = np.stack([a.ravel() for a in np.meshgrid(east_m, north_m, indexing="ij")], axis=1)
    return np.column_stack([flat, source_height_m(flat, enu_m)])


def _bearing_score(away_m: NDArray[np.float64], pick: Pick) -> NDArray[np.float64]:
    """Log density of the pick's bearing at each place, shape (m,); 0 where it has none."""
    if pick.bearing_deg is None:
        return np.zeros(len(away_m))
    wrong = np.radians(pick.bearing_deg) - np.arctan2(away_m[:, 0], away_m[:, 1])
    wrong = (wrong + np.pi) % (2.0 * np.pi) - np.pi
    z = wrong / np.radians(pick.bearing_sigma_deg or _UNSAID_BEARING_DEG)
    score: NDArray[np.float64] = -0.5 * (_BEARING_DOF + 1.0) * np.log1p(z * z / _BEARING_DOF)
    return score


def _summary(hearing: Hearing, places_m: NDArray[np.float64], score: NDArray[np.float64]) -> Region | NoRegion:
    weight = np.exp(score - score.max())
    weight /= weight.sum()
    middle_m = weight @ places_m
    away_m = (places_m - middle_m)[:, :2]
    ellipse = ellipse_95((away_m * weight[:, None]).T @ away_m)
    if ellipse.major_m > _WIDEST_M:
        return NoRegion(f"two nodes heard it, from anywhere within {round(ellipse.major_m, -2):.0f} m")
    exact = hearing.frame.to_geodetic(*(float(v) for v in middle_m))
    return Region(Geodetic(round(exact.lat_deg, 7), round(exact.lon_deg, 7), round(exact.alt_m, 1)), ellipse)
