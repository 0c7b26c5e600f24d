"""Place and source time from arrival times and bearings: maximum likelihood, late paths, uncertain air and height."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv, dpotrf, dpotri

from appliance.locate.ground import SOURCE_HEIGHT_SIGMA_M
from appliance.locate.paths import is_mixed, path_information, path_pull, path_sigmas_s
from appliance.locate.settings import LocateSettings
from appliance.model.air import Air
from appliance.physics.air import sound_speed_mps, sound_speed_sigma_mps
from appliance.physics.propagation import TravelTimes, travel_times

_STEPS = 16
"""Newton steps at most; most solves end after five."""
_DONE = 1e-3
"""A step below 1 mm (and 1 mm/s of air) ends the iteration; it is taken, and the next would be far smaller."""
_MAX_STEP_M = 40.0
"""A longer step has left the region where the travel times are nearly linear."""
_NEAR_M = 2.0
"""After a step shorter than this the density's own curvature is followed."""
_ROUGH_S, _ROUGH_DOF = 0.010, 4.0
"""Where kinds of arrivals are told apart afterwards, a first place comes from one wide kind with heavy tails."""
_NEAR_NODES_M = 1_000.0
"""1-sigma distance of a source from the middle of the nodes that heard it; as far as a shot is heard."""
_UNKNOWN = 1e-10
"""Precision of what no prior is held on: keeps the normal equations solvable and moves nothing."""
_BEARING_DOF = 4.0
"""Degrees of freedom of a bearing's Student tails: a reflection turns one in ten by three sigma."""


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

    With late or wrong arrivals as kinds of their own it is a first, rough one, for `lateness` to settle.

    Newton's method on (east, north, up, speed, wind, time) with analytic Jacobian; priors on height and air keep it
    solvable from a single arrival on.
    """
    held = prior_of(arrivals, float(start_m[2]), air)
    prior, precision = held.mean, held.precision
    scales_s = path_sigmas_s(arrivals.sigma_s, settings)
    dof = settings.path_tail_dof
    if is_mixed(settings):
        scales_s = (np.hypot(scales_s[0], _ROUGH_S), np.hypot(scales_s[1], _ROUGH_S))
        dof = _ROUGH_DOF
    bearings = _given_bearings(arrivals)
    state = prior.copy()
    state[:3] = start_m
    jacobian = np.ones((7, len(arrivals.time_s)))
    length_m = math.inf
    for k in range(_STEPS):
        travel = travel_times(state[:3], arrivals.enu_m, state[3], (state[4], state[5]))
        lag_s = arrivals.time_s - travel.time_s
        if k == 0:
            state[6] = _middle(lag_s)
        lag_s -= state[6]
        jacobian[:6] = travel.slopes
        pull, safe, own = path_pull(lag_s, scales_s, dof)
        normal = (jacobian * (own if length_m < _NEAR_M else safe)) @ jacobian.T + np.diag(precision)
        right = jacobian @ pull + precision * (prior - state)
        if bearings is not None:
            _add_bearings(normal, right, bearings, state)
        step = _solved(normal, right)
        length_m = math.hypot(step[0], step[1])
        if length_m > _MAX_STEP_M:
            step *= _MAX_STEP_M / length_m
        state += step
        if np.abs(step[:6]).max() < _DONE:
            break
    # The last step was so short that its linear prediction is exact.
    lag_s -= step @ jacobian
    information = path_information(lag_s, scales_s, dof)
    rest = np.diag(precision)
    if bearings is not None:
        _add_bearings(rest, right, bearings, state)
    flat = _inverse((jacobian * information) @ jacobian.T + rest)
    information /= 1.0 + information * height_variance_s2(travel, float(state[3]), float(flat[2, 2]))
    return Fix(
        place_m=state[:3].copy(),
        air_mps=state[3:6].copy(),
        time_s=float(state[6]),
        covariance=_inverse((jacobian * information) @ jacobian.T + rest),
        lag_s=lag_s,
        travel_s=arrivals.time_s - state[6] - lag_s,
    )


def height_variance_s2(travel: TravelTimes, speed_mps: float, height_m2: float) -> NDArray[np.float64]:
    """Variance of the times of near nodes that the source's uncertain height adds beyond its slope, shape (n,).

    Of a height with variance v (`height_m2`) the second-order term of the time, t'' (z² - v) / 2, has the variance
    (t'' v)² / 2.
    """
    steep = travel.slopes[2] * speed_mps
    bend = (1.0 - steep * steep) / (travel.time_s * speed_mps * speed_mps)
    variance: NDArray[np.float64] = 0.5 * (bend * height_m2) ** 2
    return variance


@dataclass(frozen=True, slots=True, eq=False)
class _Bearings:
    """Those nodes that gave a bearing: positions, shape (2, m), bearings and sigmas, shape (m,)."""

    place_m: NDArray[np.float64]
    bearing_rad: NDArray[np.float64]
    sigma_rad: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Mean and precision of (east, north, up, speed, wind east, wind north, time) before anything was heard."""

    mean: NDArray[np.float64]
    precision: NDArray[np.float64]


def prior_of(arrivals: Arrivals, height_m: float, air: Air) -> Prior:
    """What is held of a source that these nodes heard, near the height that the ground suggests, in this air."""
    speed_mps = sound_speed_mps(air.temperature_c)
    east_m, north_m = arrivals.enu_m[:, :2].sum(axis=0) / len(arrivals.enu_m)
    prior = np.array([east_m, north_m, height_m, speed_mps, air.wind_east_mps, air.wind_north_mps, 0.0])
    speed = max(sound_speed_sigma_mps(air), 0.05) ** -2
    wind = max(air.wind_sigma_mps, 0.05) ** -2
    near = _NEAR_NODES_M**-2
    return Prior(prior, np.array([near, near, SOURCE_HEIGHT_SIGMA_M**-2, speed, wind, wind, _UNKNOWN]))


def _middle(values: NDArray[np.float64]) -> float:
    """Median; numpy's own takes longer than a Newton step on so few."""
    ordered = np.sort(values)
    n = len(ordered)
    return float(0.5 * (ordered[(n - 1) // 2] + ordered[n // 2]))


def _solved(normal: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The solution of positive definite normal equations, straight from LAPACK."""
    step: NDArray[np.float64]
    _, step, failed = dposv(normal, right)
    return np.linalg.solve(normal, right) if failed else step


def _inverse(normal: NDArray[np.float64]) -> NDArray[np.float64]:
    factor, failed = dpotrf(normal, lower=1)
    inverse, also = dpotri(factor, lower=1) if not failed else (factor, failed)
    whole: NDArray[np.float64] = np.linalg.inv(normal) if also else np.tril(inverse) + np.tril(inverse, -1).T
    return whole


def _given_bearings(arrivals: Arrivals) -> _Bearings | None:
    has = np.isfinite(arrivals.bearing_rad)
    if not has.any():
        return None
    return _Bearings(arrivals.enu_m[has, :2].T, arrivals.bearing_rad[has], arrivals.bearing_sigma_rad[has])


def bearing_normal(arrivals: Arrivals, state: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the nodes' bearings add to the normal equations at `state`, shapes (7, 7) and (7,)."""
    normal, right = np.zeros((7, 7)), np.zeros(7)
    bearings = _given_bearings(arrivals)
    if bearings is not None:
        _add_bearings(normal, right, bearings, state)
    return normal, right


def _add_bearings(
    normal: NDArray[np.float64], right: NDArray[np.float64], bearings: _Bearings, state: NDArray[np.float64]
) -> None:
    """Add the nodes' bearings to the normal equations, in place; one that is many sigma off counts little."""
    east_m, north_m = state[:2, None] - bearings.place_m
    range2_m2 = np.maximum(east_m * east_m + north_m * north_m, 1.0)
    wrong = bearings.bearing_rad - np.arctan2(east_m, north_m)
    wrong = (wrong + np.pi) % (2.0 * np.pi) - np.pi
    slope = np.stack([north_m, -east_m]) / range2_m2
    z2 = (wrong / bearings.sigma_rad) ** 2
    weight = (_BEARING_DOF + 1.0) / (_BEARING_DOF + z2) / bearings.sigma_rad**2
    normal[:2, :2] += (slope * weight) @ slope.T
    right[:2] += slope @ (weight * wrong)
