"""Other places that the same arrival times fit: three nodes have two, four in an unlucky shape nearly so."""

import numpy as np
from numpy.typing import NDArray

from appliance.locate.paths import path_log_density, path_sigmas_s
from appliance.locate.settings import LocateSettings
from appliance.locate.solve import Arrivals
from appliance.physics.propagation import travel_time_s

_WORSE_BY = 10.0
"""A place whose arrivals are less likely than the best by more than e^10 is no rival."""
_LIMIT = 4


def mirror_places(
    arrivals: Arrivals,
    places_m: NDArray[np.float64],
    step_m: float,
    sound_speed_mps: float,
    settings: LocateSettings,
) -> NDArray[np.float64]:
    """Places of a grid (east, north, up; `step_m` apart) where the times are locally likeliest, shape (m, 3)."""
    travel_s = travel_time_s(places_m[:, None, :], arrivals.enu_m[None], sound_speed_mps)
    source_s = arrivals.time_s - travel_s
    early_s, late_s = path_sigmas_s(np.hypot(arrivals.sigma_s, 0.3 * step_m / sound_speed_mps), settings)
    lag_s = source_s - np.median(source_s, axis=1)[:, None]
    likelihood = path_log_density(lag_s, early_s, late_s, settings).sum(axis=1)
    left = np.round(likelihood * 1e3)
    floor = left.max() - 1e3 * _WORSE_BY
    chosen: list[int] = []
    while len(chosen) < _LIMIT:
        best = int(np.argmax(left))
        if left[best] < floor:
            break
        chosen.append(best)
        left[np.hypot(*(places_m[:, :2] - places_m[best, :2]).T) < 5.0 * step_m] = -np.inf
    return places_m[chosen]
