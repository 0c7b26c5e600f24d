"""Place and source time from arrival times and bearings: maximum likelihood, late paths, uncertain air and height."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.ground import SOURCE_HEIGHT_SIGMA_M
from appliance.locate.settings import LocateSettings
from appliance.model.air import Air
from appliance.physics.air import sound_speed_mps, sound_speed_sigma_mps
from appliance.physics.propagation import travel_times

_STEPS = 12
"""Gauss-Newton steps at most; most solves end after five."""
_DONE = 1e-4
"""A step below 0.1 mm (and 0.1 mm/s of air) ends the iteration."""
_MAX_STEP_M = 40.0
"""A longer step has left the region where the travel times are nearly linear."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """One arrival time per node, and bearings where arrays gave them.

    enu_m:              node positions, shape (n, 3)
    time_s:             arrival times, shape (n,)
    sigma_s:            1-sigma of a time apart from its path: reading, node position, clock; shape (n,)
    bearing_rad:        clockwise from north, nan where there is none, shape (n,)
    bearing_sigma_rad:  with the array's heading error, shape (n,)
    """

    enu_m: NDArray[np.float64]
    time_s: NDArray[np.float64]
    sigma_s: NDArray[np.float64]
    bearing_rad: NDArray[np.float64]
    bearing_sigma_rad: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fix:
    """A solved place.

    place_m:        east, north, up
    air_mps:        sound speed and wind (east, north) that the solution settled on
    time_s:         source time
    covariance:     of (east, north, up, speed, wind east, wind north, time), shape (7, 7), nuisances inside
    lag_s:          observed minus predicted arrival, shape (n,)
    travel_s:       predicted travel times, shape (n,)
    """

    place_m: NDArray[np.float64]
    air_mps: NDArray[np.float64]
    time_s: float
    covariance: NDArray[np.float64]
    lag_s: NDArray[np.float64]
    travel_s: NDArray[np.float64]


def solve(arrivals: Arrivals, start_m: NDArray[np.float64], air: Air, settings: LocateSettings) -> Fix:
    """The likeliest place near `start_m` (east, north, up; its height is also the prior's).

    Iteratively reweighted least squares on (east, north, up, speed, wind, time) with analytic Jacobian; priors on
    height and air keep it solvable from a single arrival on.
    """
    prior = np.array(
        [0.0, 0.0, start_m[2], sound_speed_mps(air.temperature_c), air.wind_east_mps, air.wind_north_mps, 0.0]
    )
    precision = np.array(
        [
            1e-10,
            1e-10,
            SOURCE_HEIGHT_SIGMA_M**-2,
            max(sound_speed_sigma_mps(air), 0.05) ** -2,
            max(air.wind_sigma_mps, 0.05) ** -2,
            max(air.wind_sigma_mps, 0.05) ** -2,
            1e-10,
        ]
    )
    state = prior.copy()
    state[:3] = start_m
    early_s, late_s = path_sigmas_s(arrivals.sigma_s, settings)
    travel = travel_times(state[:3], arrivals.enu_m, state[3], (state[4], state[5]))
    state[6] = np.median(arrivals.time_s - travel.time_s)
    for _ in range(_STEPS):
        travel = travel_times(state[:3], arrivals.enu_m, state[3], (state[4], state[5]))
        lag_s = arrivals.time_s - state[6] - travel.time_s
        jacobian = np.column_stack([travel.by_source, travel.by_speed, travel.by_wind, np.ones(len(lag_s))])
        weights = path_weight(lag_s, early_s, late_s, settings)
        normal = _normal(jacobian, weights, precision)
        right = jacobian.T @ (weights * lag_s) + precision * (prior - state)
        _add_bearings(normal, right, arrivals, state, settings)
        step = np.linalg.solve(normal, right)
        length_m = float(np.hypot(step[0], step[1]))
        if length_m > _MAX_STEP_M:
            step *= _MAX_STEP_M / length_m
        state += step
        if np.max(np.abs(step[:6])) < _DONE:
            break
    travel = travel_times(state[:3], arrivals.enu_m, state[3], (state[4], state[5]))
    lag_s = arrivals.time_s - state[6] - travel.time_s
    return Fix(
        place_m=state[:3].copy(),
        air_mps=state[3:6].copy(),
        time_s=float(state[6]),
        covariance=_covariance(arrivals, state, precision, settings),
        lag_s=lag_s,
        travel_s=travel.time_s,
    )


def path_sigmas_s(
    sigma_s: NDArray[np.float64], settings: LocateSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scales of the early and the late side of a path's delay, with what else an arrival time is uncertain by."""
    return np.hypot(sigma_s, settings.path_sigma_s), np.hypot(sigma_s, settings.path_late_sigma_s)


def path_log_density(
    lag_s: NDArray[np.float64], early_s: NDArray[np.float64], late_s: NDArray[np.float64], settings: LocateSettings
) -> NDArray[np.float64]:
    """Log density per second of a path's delay: Student tails, two scales joined at zero.

    The constant is that of the Gaussian core; for 4 degrees of freedom Student's differs from it by 0.06.
    """
    z2 = (lag_s / np.where(lag_s > 0.0, late_s, early_s)) ** 2
    dof = settings.path_tail_dof
    density: NDArray[np.float64] = -0.5 * (dof + 1.0) * np.log1p(z2 / dof) - np.log(1.2533 * (early_s + late_s))
    return density


def path_weight(
    lag_s: NDArray[np.float64], early_s: NDArray[np.float64], late_s: NDArray[np.float64], settings: LocateSettings
) -> NDArray[np.float64]:
    """Weight of a squared lag, 1/s²: minus the slope of `path_log_density` over the lag."""
    scale = np.where(lag_s > 0.0, late_s, early_s)
    dof = settings.path_tail_dof
    weight: NDArray[np.float64] = (dof + 1.0) / (dof + (lag_s / scale) ** 2) / scale**2
    return weight


def _normal(
    jacobian: NDArray[np.float64], weights: NDArray[np.float64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    information: NDArray[np.float64] = np.einsum("ni,n,nj->ij", jacobian, weights, jacobian)
    information[np.diag_indices(len(precision))] += precision
    return information


def _add_bearings(
    normal: NDArray[np.float64],
    right: NDArray[np.float64],
    arrivals: Arrivals,
    state: NDArray[np.float64],
    settings: LocateSettings,
) -> None:
    """Add the nodes' bearings to the normal equations, in place; one that is many sigma off counts little."""
    has = np.isfinite(arrivals.bearing_rad)
    if not has.any():
        return
    offset_m = state[:2] - arrivals.enu_m[has, :2]
    range2_m2 = np.maximum(np.sum(offset_m * offset_m, axis=1), 1.0)
    wrong = arrivals.bearing_rad[has] - np.arctan2(offset_m[:, 0], offset_m[:, 1])
    wrong = (wrong + np.pi) % (2.0 * np.pi) - np.pi
    slope = np.column_stack([offset_m[:, 1], -offset_m[:, 0]]) / range2_m2[:, None]
    sigma = arrivals.bearing_sigma_rad[has]
    dof = settings.path_tail_dof
    weight = (dof + 1.0) / (dof + (wrong / sigma) ** 2) / sigma**2
    normal[:2, :2] += slope.T @ (weight[:, None] * slope)
    right[:2] += slope.T @ (weight * wrong)


def _covariance(
    arrivals: Arrivals, state: NDArray[np.float64], precision: NDArray[np.float64], settings: LocateSettings
) -> NDArray[np.float64]:
    """Inverse of the expected information at the solution; arrivals far in the tail inform as little as they weigh."""
    travel = travel_times(state[:3], arrivals.enu_m, state[3], (state[4], state[5]))
    lag_s = arrivals.time_s - state[6] - travel.time_s
    early_s, late_s = path_sigmas_s(arrivals.sigma_s, settings)
    # Late and early scale average; expected information of Student's t is (dof + 1) / (dof + 3) of the Gaussian's.
    dof = settings.path_tail_dof
    expected = (dof + 1.0) / (dof + 3.0) / (0.5 * (early_s + late_s)) ** 2
    weights = np.minimum(expected, path_weight(lag_s, early_s, late_s, settings))
    jacobian = np.column_stack([travel.by_source, travel.by_speed, travel.by_wind, np.ones(len(lag_s))])
    normal = _normal(jacobian, weights, precision)
    _add_bearings(normal, np.zeros(len(state)), arrivals, state, settings)
    covariance: NDArray[np.float64] = np.linalg.inv(normal)
    return covariance
