"""Where rounds were relative to each other: node, path and air errors are common to all of them and drop out.

Against one reference (a place, and each node's delay as some rounds had it) a round's arrival times only differ by how
far the round was from that place, by its source time, and by turbulence and reading. So a round's displacement is known
to some decimetres where its place on the map is known to metres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.settings import LocateSettings
from appliance.physics.propagation import MIN_RANGE_M, travel_time_s

_STEPS = 8
"""Alternations of displacement and time of each round with the delay of each node that all rounds share."""
_DOF = 8.0
"""Degrees of freedom of the Student tails of round-to-round scatter: now and then a member is no direct sound."""
_REACH_M = 60.0
"""1-sigma of how far rounds lie from their reference: keeps rounds with three arrivals in the neighbourhood."""
_PRIOR_ROUNDS = 4.0
"""Residuals that the scatter of the settings counts for, beside those of the rounds themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A solved place that rounds are compared with.

    place_m:   east, north, up
    air_mps:   sound speed and wind (east, north)
    lag_s:     each node's delay as the place's own rounds had it, nan where it heard none, shape (n,)
    """

    place_m: NDArray[np.float64]
    air_mps: NDArray[np.float64]
    lag_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RelativeRounds:
    """K rounds relative to each other.

    offset_m:    horizontal displacement from the reference's place, shape (K, 2)
    time_s:      source times, shape (K,)
    covariance:  of (east, north, time) without what all rounds share, shape (K, 3, 3)
    scatter_s:   1-sigma of an arrival from round to round that the covariances were made with
    """

    offset_m: NDArray[np.float64]
    time_s: NDArray[np.float64]
    covariance: NDArray[np.float64]
    scatter_s: float


def relate_rounds(
    arrival_s: NDArray[np.float64], enu_m: NDArray[np.float64], reference: Reference, settings: LocateSettings
) -> RelativeRounds:
    """Displacements of rounds from their arrival times, shape (K, n), nan where a node did not hear a round.

    `enu_m` are the nodes' positions, shape (n, 3). A round needs one node that the reference knows.
    """
    known = np.isfinite(arrival_s) & np.isfinite(reference.lag_s)
    wind = (float(reference.air_mps[1]), float(reference.air_mps[2]))
    times_s = np.where(known, np.nan_to_num(arrival_s) - np.nan_to_num(reference.lag_s), 0.0)
    # A node that heard one round only has its delay from that round, and tells nothing of how it differs from others.
    n_rounds, n_heard = len(known), known.sum(axis=0)
    worth = known * ((n_heard - 1) / np.maximum(n_heard, 1) * n_rounds / max(n_rounds - 1, 1))
    state = np.zeros((len(arrival_s), 3))
    scatter_s = settings.round_sigma_s
    for step in range(_STEPS):
        rest_s, jacobian = _rest(state, times_s, enu_m, reference, wind)
        if step == 0:
            state[:, 2] = _row_medians(rest_s, known)
            rest_s -= state[:, 2:]
        weight = worth * (_DOF + 1.0) / (_DOF + (rest_s / scatter_s) ** 2)
        # Rounds that missed a node must not be compared by a delay that other rounds' subsets of nodes have bent.
        lag_s = (weight * rest_s).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9)
        times_s -= known * lag_s
        rest_s -= known * lag_s
        scatter_s = _scatter(rest_s, weight, settings)
        state += _steps(jacobian, weight / scatter_s**2, rest_s, state)
    expected = worth * ((_DOF + 1.0) / (_DOF + 3.0))
    normal = _normal(jacobian, np.minimum(expected, weight) / scatter_s**2)
    return RelativeRounds(state[:, :2], state[:, 2], np.linalg.inv(normal), scatter_s)


def _rest(
    state: NDArray[np.float64],
    times_s: NDArray[np.float64],
    enu_m: NDArray[np.float64],
    reference: Reference,
    wind_mps: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Observed minus predicted times, shape (K, n), and their slopes over (east, north, time), shape (K, n, 3)."""
    places_m = reference.place_m + np.column_stack([state[:, :2], np.zeros(len(state))])
    speed_mps = float(reference.air_mps[0])
    travel_s = travel_time_s(places_m[:, None, :], enu_m[None], speed_mps, wind_mps)
    # The wind's part of the slopes is a hundredth of theirs, and only of the steps: the times are exact.
    range_m = np.maximum(travel_s * speed_mps, MIN_RANGE_M)
    jacobian = np.ones((*times_s.shape, 3))
    jacobian[:, :, :2] = (places_m[:, None, :2] - enu_m[None, :, :2]) / (range_m * speed_mps)[:, :, None]
    return times_s - travel_s - state[:, 2:], jacobian


def _row_medians(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median of the known values of each row."""
    return np.array([float(np.median(row[has])) for row, has in zip(values, known, strict=True)])


def _scatter(rest_s: NDArray[np.float64], weight: NDArray[np.float64], settings: LocateSettings) -> float:
    """1-sigma from round to round: what the rounds show beyond their three unknowns each, and what is expected."""
    heard = (weight > 0.0).sum(axis=1)
    spare = float(np.maximum(heard - 3, 0).sum())
    square_s2 = float((weight * rest_s**2)[heard > 3].sum())
    return float(np.sqrt((_PRIOR_ROUNDS * settings.round_sigma_s**2 + square_s2) / (_PRIOR_ROUNDS + spare)))


def _normal(jacobian: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    normal: NDArray[np.float64] = (jacobian * weight[:, :, None]).transpose(0, 2, 1) @ jacobian
    normal += np.diag([_REACH_M**-2, _REACH_M**-2, 1e-9])
    return normal


def _steps(
    jacobian: NDArray[np.float64], weight: NDArray[np.float64], rest_s: NDArray[np.float64], state: NDArray[np.float64]
) -> NDArray[np.float64]:
    right = ((jacobian * weight[:, :, None]).transpose(0, 2, 1) @ rest_s[:, :, None])[:, :, 0]
    right -= state * np.array([_REACH_M**-2, _REACH_M**-2, 0.0])
    step: NDArray[np.float64] = np.linalg.solve(_normal(jacobian, weight), right[:, :, None])[:, :, 0]
    return step
