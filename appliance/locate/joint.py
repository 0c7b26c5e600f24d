"""What several sources' errors have in common: node positions and clocks, sound speed and wind.

Times of different sources at one node are wrong by the same clock, and by the same survey error as far as the sources
lie in the same direction. Marginalised here in covariance form: they are part of the arrivals' covariance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.ground import SOURCE_HEIGHT_SIGMA_M
from appliance.model.air import Air
from appliance.physics.air import sound_speed_sigma_mps
from appliance.physics.propagation import travel_times

_PATH_REACH_M = 25.0
"""Sources this far apart share a third of a path's delay: the width of a street and the houses along it."""
_OWN = 4
"""Unknowns of one source: east, north, up, time."""


@dataclass(frozen=True, slots=True, eq=False)
class JointNodes:
    """The nodes of a net: positions, shape (n, 3), 1-sigma of their survey per axis and of their clocks, shape (n,)."""

    enu_m: NDArray[np.float64]
    survey_sigma_m: NDArray[np.float64]
    clock_sigma_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class JointSource:
    """One solved source and which nodes heard it.

    place_m:   east, north, up
    air_mps:   sound speed, wind east, wind north
    nodes:     indices of the nodes that heard it, shape (m,)
    path_s:    1-sigma of its paths' delays, shape (m,)
    round_s:   1-sigma of reading and turbulence in its mean arrivals, shape (m,)
    """

    place_m: NDArray[np.float64]
    air_mps: NDArray[np.float64]
    nodes: NDArray[np.int64]
    path_s: NDArray[np.float64]
    round_s: NDArray[np.float64]


def joint_covariance(sources: Sequence[JointSource], net: JointNodes, air: Air) -> NDArray[np.float64]:
    """Covariance of (east, north, up, time) of all sources, one after the other, shape (4 S, 4 S)."""
    offsets = np.cumsum([0, *(len(s.nodes) for s in sources)])
    jacobian = np.zeros((int(offsets[-1]), _OWN * len(sources) + 3))
    by_place = np.empty((int(offsets[-1]), 3))
    for k, source in enumerate(sources):
        rows = slice(offsets[k], offsets[k + 1])
        wind = (float(source.air_mps[1]), float(source.air_mps[2]))
        travel = travel_times(source.place_m, net.enu_m[source.nodes], float(source.air_mps[0]), wind)
        jacobian[rows, _OWN * k : _OWN * k + 3] = by_place[rows] = travel.slopes[:3].T
        jacobian[rows, _OWN * k + 3] = 1.0
        jacobian[rows, -3:] = travel.slopes[3:].T
    information = np.linalg.inv(_arrival_covariance(sources, net, by_place))
    prior = np.zeros(jacobian.shape[1])
    prior[2 : _OWN * len(sources) : _OWN] = SOURCE_HEIGHT_SIGMA_M**-2
    prior[-3:] = [max(sound_speed_sigma_mps(air), 0.05) ** -2, *[max(air.wind_sigma_mps, 0.05) ** -2] * 2]
    normal = jacobian.T @ information @ jacobian + np.diag(np.maximum(prior, 1e-9))
    covariance: NDArray[np.float64] = np.linalg.inv(normal)[: _OWN * len(sources), : _OWN * len(sources)]
    return covariance


def _arrival_covariance(
    sources: Sequence[JointSource], net: JointNodes, by_place: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Covariance of all mean arrivals: blocks of shared node errors, paths that near sources share, own scatter.

    A node that stands elsewhere changes a travel time as a source would that was moved the other way.
    """
    node = np.concatenate([s.nodes for s in sources])
    owner = np.repeat(np.arange(len(sources)), [len(s.nodes) for s in sources])
    place_m = np.array([s.place_m for s in sources])
    apart_m = np.sqrt(((place_m[:, None] - place_m[None]) ** 2).sum(axis=2))[owner[:, None], owner[None]]
    path_s = np.concatenate([s.path_s for s in sources])
    same: NDArray[np.bool_] = node[:, None] == node[None]
    shared = (by_place @ by_place.T) * net.survey_sigma_m[node] ** 2 + net.clock_sigma_s[node] ** 2
    paths = np.outer(path_s, path_s) * np.exp(-apart_m / _PATH_REACH_M)
    own = np.diag(np.concatenate([s.round_s for s in sources]) ** 2)
    own += np.where(same, shared + paths, 0.0)
    return own
