"""Travel times of sound along straight paths in a steady wind, and how they change with place and air."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_RANGE_M = 0.1
"""Closer than this a direction has no meaning; ranges are kept above it."""


@dataclass(frozen=True, slots=True, eq=False)
class TravelTimes:
    """Travel times from one source to n nodes with their derivatives.

    time_s:      shape (n,)
    by_source:   d time / d source position, s/m, shape (n, 3)
    by_speed:    d time / d sound speed, s per m/s, shape (n,)
    by_wind:     d time / d wind (east, north), s per m/s, shape (n, 2)
    """

    time_s: NDArray[np.float64]
    by_source: NDArray[np.float64]
    by_speed: NDArray[np.float64]
    by_wind: NDArray[np.float64]


def travel_time_s(
    source_enu_m: NDArray[np.float64],
    node_enu_m: NDArray[np.float64],
    sound_speed_mps: float,
    wind_mps: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Travel time from sources to nodes; the last axis of both is (east, north, up), leading axes broadcast.

    To first order in wind over sound speed: range / (c + wind along the path), where the wind blows to `wind_mps`.
    """
    path_m = node_enu_m - source_enu_m
    range_m = np.maximum(np.sqrt(np.sum(path_m * path_m, axis=-1)), MIN_RANGE_M)
    along_mps = (path_m[..., 0] * wind_mps[0] + path_m[..., 1] * wind_mps[1]) / range_m
    time_s: NDArray[np.float64] = range_m / (sound_speed_mps + along_mps)
    return time_s


def travel_times(
    source_enu_m: NDArray[np.float64],
    nodes_enu_m: NDArray[np.float64],
    sound_speed_mps: float,
    wind_mps: tuple[float, float] = (0.0, 0.0),
) -> TravelTimes:
    """Travel times from one source, shape (3,), to nodes, shape (n, 3), with analytic derivatives."""
    path_m = nodes_enu_m - source_enu_m
    range_m = np.maximum(np.sqrt(np.sum(path_m * path_m, axis=1)), MIN_RANGE_M)
    unit = path_m / range_m[:, None]
    wind = np.array([wind_mps[0], wind_mps[1], 0.0])
    along_mps = unit @ wind
    effective_mps = sound_speed_mps + along_mps
    slowing = -range_m / effective_mps**2
    # The unit vector turns as the source moves: d(along)/d(source) = (along * unit - wind) / range.
    by_source = -unit / effective_mps[:, None] + (slowing / range_m)[:, None] * (along_mps[:, None] * unit - wind)
    return TravelTimes(
        time_s=range_m / effective_mps,
        by_source=by_source,
        by_speed=slowing,
        by_wind=slowing[:, None] * unit[:, :2],
    )
