"""Whether a shooter moved while firing, how fast and where to, from rounds relative to each other."""

import math

import numpy as np
from numpy.typing import NDArray

from appliance.locate.relative import RelativeRounds
from appliance.model.incidents import Movement

_CERTAIN = 13.8
"""Chi-square of two degrees of freedom that chance exceeds once in a thousand: -2 ln 0.001."""
_MAX_SPEED_MPS = 60.0
"""Faster than a car is no movement but two places."""
_MIN_SPAN_S = 0.5
"""Over less time a step and a turn of the muzzle look like a run."""


def movement_of(rounds: RelativeRounds, which: NDArray[np.bool_]) -> Movement:
    """Velocity of one shooter whose rounds are marked in `which`, or why it is not known."""
    count = int(which.sum())
    if count < 2:
        return Movement(reason="cannot tell: one round has no movement")
    time_s = rounds.time_s[which]
    if time_s.max() - time_s.min() < _MIN_SPAN_S:
        return Movement(reason="cannot tell: the rounds came within half a second")
    velocity_mps, covariance = fit_velocity(time_s, rounds.offset_m[which], rounds.covariance[which, :2, :2])
    speed_mps = float(np.hypot(*velocity_mps))
    direction = velocity_mps / max(speed_mps, 1e-9)
    sigma_mps = float(np.sqrt(direction @ covariance @ direction))
    significance = float(velocity_mps @ np.linalg.solve(covariance, velocity_mps))
    if significance < _CERTAIN:
        return Movement(reason=f"cannot tell: {speed_mps:.1f} ± {sigma_mps:.1f} m/s is within what chance offers")
    if speed_mps > _MAX_SPEED_MPS:
        return Movement(reason=f"cannot tell: {speed_mps:.0f} m/s is no movement of a shooter")
    bearing_deg = math.degrees(math.atan2(velocity_mps[0], velocity_mps[1])) % 360.0
    return Movement(round(speed_mps, 2), round(bearing_deg, 1) % 360.0, round(max(sigma_mps, 0.01), 2))


def fit_velocity(
    time_s: NDArray[np.float64], offset_m: NDArray[np.float64], covariance_m2: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steady velocity (east, north) through places at times, and its covariance: weighted least squares.

    Shapes (K,), (K, 2), (K, 2, 2); the covariance grows with a misfit beyond what the places' own explain.
    """
    since_s = time_s - time_s.mean()
    design = np.zeros((len(since_s), 2, 4))
    design[:, 0, 0] = design[:, 1, 1] = 1.0
    design[:, 0, 2] = design[:, 1, 3] = since_s
    weight = np.linalg.inv(covariance_m2)
    normal = np.einsum("kia,kij,kjb->ab", design, weight, design)
    right = np.einsum("kia,kij,kj->a", design, weight, offset_m)
    covariance = np.linalg.inv(normal)
    fitted = covariance @ right
    rest_m = offset_m - design @ fitted
    spare = max(2 * len(since_s) - 4, 0)
    misfit = float(np.einsum("ki,kij,kj->", rest_m, weight, rest_m)) / spare if spare else 1.0
    return fitted[2:], covariance[2:, 2:] * max(misfit, 1.0)
