"""Travel times of sound along straight paths in a steady wind, and how they change with place and air."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_RANGE_M = 0.1
"""Closer than this a direction has no meaning; ranges are kept above it."""


@dataclass(frozen=True, slots=True, eq=False)
class TravelTimes:
    """Travel times from one source to n nodes with their derivatives.

    time_s:    shape (n,)
    slopes:    d time / d (source east, north, up; sound speed; wind east, north), s/m and s per m/s, shape (6, n)
    """

    time_s: NDArray[np.float64]
    slopes: NDArray[np.float64]


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
    """Travel times from one source, shape (3,), to nodes, shape (n, 3), with analytic derivatives.

    Written for few nodes: by rows, and with as few array operations as it takes.
    """
    east_mps, north_mps = wind_mps
    unit = nodes_enu_m.T - source_enu_m[:, None]
    square_m2 = unit * unit
    range_m = np.maximum(np.sqrt(square_m2[0] + square_m2[1] + square_m2[2]), MIN_RANGE_M)
    unit /= range_m
    along_mps = east_mps * unit[0] + north_mps * unit[1]
    slowness = 1.0 / (sound_speed_mps + along_mps)
    time_s = range_m * slowness
    square = slowness * slowness
    slopes = np.empty((6, len(time_s)))
    # The unit vector turns as the source moves: d(along)/d(source) = (along * unit - wind) / range.
    np.multiply(unit, -(slowness + along_mps * square), out=slopes[:3])
    slopes[0] += east_mps * square
    slopes[1] += north_mps * square
    slopes[3] = -time_s * slowness
    np.multiply(unit[:2], slopes[3], out=slopes[4:])
    return TravelTimes(time_s, slopes)
