"""How an arrival differs from range over sound speed: the density of a path's delay, its slope and its information.

Three kinds of arrival, in shares that the settings give:

* in sight, or nearly: a core of two scales joined at zero, with Student tails;
* late, round a building: the early scale's Gaussian plus an exponential delay, never early;
* wrong: a clock, or a sound that is no part of this shot; any delay within the window.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from appliance.locate.settings import LocateSettings

_LEAST_WEIGHT = 0.2
"""Part of its weight that an arrival keeps in Newton's steps where its density curves the other way."""


def path_sigmas_s(
    sigma_s: NDArray[np.float64], settings: LocateSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scales of the early and the late side of a path's delay, with what else an arrival time is uncertain by."""
    return np.hypot(sigma_s, settings.path_sigma_s), np.hypot(sigma_s, settings.path_late_sigma_s)


def path_log_density(
    lag_s: NDArray[np.float64], early_s: NDArray[np.float64], late_s: NDArray[np.float64], settings: LocateSettings
) -> NDArray[np.float64]:
    """Log density per second of a path's delay.

    The core's constant is that of a Gaussian; for 4 degrees of freedom Student's differs from it by 0.06.
    """
    core = _core_log_density(lag_s, early_s, late_s, settings.path_tail_dof)
    if not is_mixed(settings):
        return core
    parts = _parts(core, lag_s, early_s, settings)
    total: NDArray[np.float64] = np.logaddexp(np.logaddexp(parts[0], parts[1]), parts[2])
    return total


def path_pull(
    lag_s: NDArray[np.float64], scales_s: tuple[NDArray[np.float64], NDArray[np.float64]], dof: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Minus the slope of the core's log density over the lag, 1/s, and two curvatures, 1/s².

    With the first a step never overshoots; the second is the density's own, kept positive: near the solution it is
    faster. `scales_s` are early and late scale.
    """
    early_s, late_s = scales_s
    scale_s = np.where(lag_s > 0.0, late_s, early_s)
    z = lag_s / scale_s
    z2 = z * z
    tail = dof + z2
    weight = (dof + 1.0) / (tail * scale_s * scale_s)
    return weight * lag_s, weight, weight * np.maximum((dof - z2) / tail, _LEAST_WEIGHT)


def path_information(
    lag_s: NDArray[np.float64], scales_s: tuple[NDArray[np.float64], NDArray[np.float64]], dof: float
) -> NDArray[np.float64]:
    """What each arrival tells about the place, 1/s²: on the average of its kind, and less where it lies in a tail.

    Student's t with d degrees of freedom has (d + 1) / (d + 3) of a Gaussian's Fisher information; early and late
    scale average.
    """
    early_s, late_s = scales_s
    expected: NDArray[np.float64] = (dof + 1.0) / (dof + 3.0) / (0.5 * (early_s + late_s)) ** 2
    scale_s = np.where(lag_s > 0.0, late_s, early_s)
    weight = (dof + 1.0) / (dof * scale_s * scale_s + lag_s * lag_s)
    return np.minimum(expected, weight)


def is_mixed(settings: LocateSettings) -> bool:
    """Whether late or wrong arrivals are kinds of their own, apart from the core's tails."""
    return settings.late_share > 0.0 or settings.wrong_share > 0.0


def _core_log_density(
    lag_s: NDArray[np.float64], early_s: NDArray[np.float64], late_s: NDArray[np.float64], dof: float
) -> NDArray[np.float64]:
    z2 = (lag_s / np.where(lag_s > 0.0, late_s, early_s)) ** 2
    density: NDArray[np.float64] = -0.5 * (dof + 1.0) * np.log1p(z2 / dof) - np.log(1.2533 * (early_s + late_s))
    return density


def _parts(
    core: NDArray[np.float64], lag_s: NDArray[np.float64], early_s: NDArray[np.float64], settings: LocateSettings
) -> NDArray[np.float64]:
    """Log of share times density of core, late and wrong, stacked in front of the lags' shape."""
    scale_s = settings.late_scale_s
    late = (
        0.5 * (early_s / scale_s) ** 2
        - lag_s / scale_s
        + log_ndtr(lag_s / early_s - early_s / scale_s)
        - np.log(scale_s)
    )
    window_s = settings.path_window_s[1] - settings.path_window_s[0]
    shares = settings.late_share, settings.wrong_share
    return np.stack(
        [
            core + np.log1p(-sum(shares)),
            late + np.log(max(shares[0], 1e-300)),
            np.full_like(core, np.log(max(shares[1], 1e-300) / window_s)),
        ]
    )
