"""Which arrivals of a solved shot came late or are wrong, and what not being sure of it makes of its place.

Given who was late, times are Gaussian about the straight path: a late one with mean and variance of its exponential
delay, a wrong one with those of the window. The place is then a weighted sum over the likely ways in which it can have
been: the likeliest way and those that differ from it at one or two nodes.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.locate.paths import path_sigmas_s
from appliance.locate.settings import LocateSettings
from appliance.locate.solve import Arrivals, Fix, Prior, bearing_normal, height_variance_s2
from appliance.physics.propagation import travel_times

_ROUNDS = 6
"""Alternations of linearising and choosing; they end when the likeliest way stays the same."""
_STILL_M = 0.05
"""A mean that moved less than this needs no new linearisation."""
_MAX_STEP_M = 40.0
"""A longer step has left the region where the travel times are nearly linear."""
_PAIR_NODES = 16
"""With more arrivals than this only single nodes change their kind: geometry then bears the rest."""
_IN_SIGHT, _LATE, _KINDS = 0, 1, 3


@dataclass(frozen=True, slots=True, eq=False)
class _Kinds:
    """Log share, mean delay and variance beyond the core's, of arrivals in sight, late and wrong; shape (3,)."""

    log_share: NDArray[np.float64]
    mean_s: NDArray[np.float64]
    variance_s2: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    """The problem linearised at a state (east, north, up, speed, wind, time); bearings and priors are in the last two.

    lag_s, early_s:  observed minus predicted times and their core's sigma, shape (n,)
    jacobian:        slopes of the predicted times, shape (7, n)
    normal, right:   normal equations of all but the times, shapes (7, 7) and (7,)
    """

    lag_s: NDArray[np.float64]
    early_s: NDArray[np.float64]
    jacobian: NDArray[np.float64]
    normal: NDArray[np.float64]
    right: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """Probability of each way, and step and covariance of the state given it; shapes (h,), (h, 7), (h, 7, 7)."""

    probability: NDArray[np.float64]
    step: NDArray[np.float64]
    covariance: NDArray[np.float64]


def settle_lateness(fix: Fix, arrivals: Arrivals, prior: Prior, settings: LocateSettings) -> Fix:
    """The fix with mean and covariance over the ways in which its arrivals may have been late or wrong."""
    kinds = _kinds(settings)
    state = np.array([*fix.place_m, *fix.air_mps, fix.time_s])
    base = np.full(len(arrivals.time_s), _IN_SIGHT)
    for _ in range(_ROUNDS):
        linear = _linearise(state, arrivals, prior, float(fix.covariance[2, 2]), settings)
        choices = _neighbours(base)
        ways = _weigh(choices, linear, kinds)
        best = int(np.argmax(ways.probability))
        mean = ways.probability @ ways.step
        if best == 0 and np.hypot(mean[0], mean[1]) < _STILL_M:
            break
        base = choices[best]
        step = mean if best == 0 else ways.step[best]
        state = state + step * min(1.0, _MAX_STEP_M / max(float(np.hypot(step[0], step[1])), 1e-9))
    apart = ways.step - mean
    covariance = np.einsum("h,hij->ij", ways.probability, ways.covariance)
    covariance += (apart * ways.probability[:, None]).T @ apart
    lag_s = linear.lag_s - mean @ linear.jacobian
    state = state + mean
    return replace(
        fix,
        place_m=state[:3],
        air_mps=state[3:6],
        time_s=float(state[6]),
        covariance=covariance,
        lag_s=lag_s,
        travel_s=arrivals.time_s - state[6] - lag_s,
    )


def _kinds(settings: LocateSettings) -> _Kinds:
    low_s, high_s = settings.path_window_s
    shares = np.array([1.0 - settings.late_share - settings.wrong_share, settings.late_share, settings.wrong_share])
    return _Kinds(
        log_share=np.log(np.maximum(shares, 1e-12)),
        mean_s=np.array([0.0, settings.late_scale_s, 0.5 * (low_s + high_s)]),
        variance_s2=np.array([0.0, settings.late_scale_s**2, (high_s - low_s) ** 2 / 12.0]),
    )


def _linearise(
    state: NDArray[np.float64], arrivals: Arrivals, prior: Prior, height_m2: float, settings: LocateSettings
) -> _Linear:
    travel = travel_times(state[:3], arrivals.enu_m, state[3], (state[4], state[5]))
    normal, right = bearing_normal(arrivals, state)
    early_s, _ = path_sigmas_s(arrivals.sigma_s, settings)
    return _Linear(
        lag_s=arrivals.time_s - state[6] - travel.time_s,
        early_s=np.sqrt(early_s**2 + height_variance_s2(travel, float(state[3]), height_m2)),
        jacobian=np.vstack([travel.slopes, np.ones(len(travel.time_s))]),
        normal=normal + np.diag(prior.precision),
        right=right + prior.precision * (prior.mean - state),
    )


def _neighbours(base: NDArray[np.int64]) -> NDArray[np.int64]:
    """Kinds of all arrivals: the base way first, then those that differ at one node, or at two by lateness."""
    n = len(base)
    ways = [base]
    for node in range(n):
        for kind in range(_KINDS):
            if kind != base[node]:
                way = base.copy()
                way[node] = kind
                ways.append(way)
    flipped = np.where(base == _IN_SIGHT, _LATE, _IN_SIGHT)
    for one in range(n if n <= _PAIR_NODES else 0):
        for other in range(one):
            way = base.copy()
            way[one], way[other] = flipped[one], flipped[other]
            ways.append(way)
    return np.array(ways)


def _weigh(choices: NDArray[np.int64], linear: _Linear, kinds: _Kinds) -> _Ways:
    weight = 1.0 / (linear.early_s**2 + kinds.variance_s2[choices])
    lag_s = linear.lag_s - kinds.mean_s[choices]
    normal = (linear.jacobian[None] * weight[:, None, :]) @ linear.jacobian.T + linear.normal
    right = (weight * lag_s) @ linear.jacobian.T + linear.right
    covariance = np.linalg.inv(normal)
    step = (covariance @ right[:, :, None])[:, :, 0]
    log_odds = (
        kinds.log_share[choices].sum(axis=1)
        + 0.5 * np.log(weight).sum(axis=1)
        - 0.5 * (weight * lag_s * lag_s).sum(axis=1)
        + 0.5 * (right * step).sum(axis=1)
        - 0.5 * np.linalg.slogdet(normal)[1]
    )
    odds = np.exp(log_odds - log_odds.max())
    return _Ways(odds / odds.sum(), step, covariance)
