"""Node positions, clocks and headings from located shots: one least-squares problem over the whole history.

Every sighting's own unknowns (place, height, air, time) are eliminated, so that only the nodes' errors are left, with
the survey's sigma as their prior. What sound cannot see (a common shift and turn of the whole net) stays at the prior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.sightings import Sighting
from appliance.model.space import Geodetic, NodePose
from appliance.physics.geodesy import LocalFrame

EAST, NORTH, CLOCK, HEADING = range(4)
OF_NODE = 4
"""Unknowns of one node: shift east and north (m), clock late by (s), heading to be turned by (rad)."""
MAX_NODES = 64
"""A LAN mesh has 25; bounds the normal equations to 256 by 256."""
_DOF = 4.0
"""Degrees of freedom of the Student tails of paths and bearings."""
_SWEEPS = 6
"""Reweightings; weights settle within a few."""
_CLOCK_SIGMA_S = 2e-6
"""What a clock held by a pulse per second is worth."""
_UNSAID_HEADING_DEG = 2.5
"""1-sigma of a heading whose pose says nothing of it."""
_MIN_SIGHTINGS = 20
"""Places that a node must have heard before its pose is touched."""
_WORTH = 0.8
"""A change is proposed where it leaves at most this part of the survey's sigma."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeErrors:
    """Estimated errors of nodes: `nodes` sorted, four unknowns each, one node after the other.

    mean:        shape (4 n,)
    covariance:  shape (4 n, 4 n)
    prior:       prior precision that went in, shape (4 n,)
    heard:       sightings of each node, shape (n,)
    """

    nodes: tuple[str, ...]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    prior: NDArray[np.float64]
    heard: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PoseChange:
    """A node's pose as its located shots would have it.

    east_m, north_m:    how far its position should move
    turn_deg:           how far its heading should turn, clockwise
    sigma_m, heading_sigma_deg: what is left, 1-sigma
    sightings:          places that it was learnt from
    """

    node: str
    east_m: float
    north_m: float
    turn_deg: float
    sigma_m: float
    heading_sigma_deg: float
    sightings: int


def estimate_errors(
    history: Sequence[Sighting], poses: Mapping[str, NodePose], freed: Mapping[tuple[str, int], float] | None = None
) -> NodeErrors:
    """Errors of the nodes that the history speaks of, against `poses`, by iteratively reweighted least squares.

    `freed` holds other 1-sigmas (m, s, rad) for unknowns (node, which) that are not held to what they should be.
    """
    nodes = _nodes(history, poses)
    prior = _prior(nodes, poses, freed or {})
    index = {node: i for i, node in enumerate(nodes)}
    mean = np.zeros(OF_NODE * len(nodes))
    covariance = np.diag(1.0 / prior)
    for _ in range(_SWEEPS):
        normal, right = np.diag(prior), np.zeros(len(mean))
        for sighting in history:
            _add(normal, right, sighting, index, (mean, np.diag(covariance)))
        covariance = np.linalg.inv(normal)
        mean = covariance @ right
    heard = np.array([sum(node in s.nodes for s in history) for node in nodes], dtype=np.int64)
    return NodeErrors(nodes, mean, covariance, prior, heard)


def if_free(errors: NodeErrors, unknown: int, free_sigma: float) -> tuple[float, float]:
    """Mean and sigma of one unknown if it were held to `free_sigma` only: a change of one prior, in closed form."""
    less = errors.prior[unknown] - free_sigma**-2.0
    variance = errors.covariance[unknown, unknown]
    grown = max(1.0 - less * variance, 1e-9)
    return float(errors.mean[unknown] / grown), float(np.sqrt(variance / grown))


def propose_changes(errors: NodeErrors, poses: Mapping[str, NodePose]) -> tuple[PoseChange, ...]:
    """Poses that located shots make clearly better than their survey, within the survey's sigma by construction."""
    changes = []
    for i, node in enumerate(errors.nodes):
        own = slice(OF_NODE * i, OF_NODE * (i + 1))
        sigma = np.sqrt(np.diag(errors.covariance)[own])
        sigma_m = float(np.hypot(sigma[EAST], sigma[NORTH]) / np.sqrt(2.0))
        pose = poses[node]
        heading_deg = pose.heading_sigma_deg or _UNSAID_HEADING_DEG
        turned = float(np.degrees(sigma[HEADING])) < _WORTH * heading_deg
        if errors.heard[i] < _MIN_SIGHTINGS or not (sigma_m < _WORTH * pose.sigma_m or turned):
            continue
        mean = errors.mean[own]
        changes.append(
            PoseChange(
                node,
                round(float(mean[EAST]), 2),
                round(float(mean[NORTH]), 2),
                round(float(np.degrees(mean[HEADING])), 2) if turned else 0.0,
                round(min(sigma_m, pose.sigma_m), 2),
                round(min(float(np.degrees(sigma[HEADING])), heading_deg), 2),
                int(errors.heard[i]),
            )
        )
    return tuple(changes)


def changed_pose(pose: NodePose, change: PoseChange) -> NodePose:
    """The pose after a change, to a centimetre, so that every node makes the same of it."""
    moved = LocalFrame(pose.position).to_geodetic(change.east_m, change.north_m, 0.0)
    return NodePose(
        pose.node,
        Geodetic(round(moved.lat_deg, 7), round(moved.lon_deg, 7), pose.position.alt_m),
        change.sigma_m,
        round((pose.heading_deg + change.turn_deg) % 360.0, 2) % 360.0,
        change.heading_sigma_deg,
    )


def _nodes(history: Sequence[Sighting], poses: Mapping[str, NodePose]) -> tuple[str, ...]:
    """Nodes with a pose that the history speaks of; the ones heard most where there are too many."""
    count: dict[str, int] = {}
    for sighting in history:
        for node in sighting.nodes:
            count[node] = count.get(node, 0) + 1
    known = sorted((node for node in count if node in poses), key=lambda node: (-count[node], node))
    return tuple(sorted(known[:MAX_NODES]))


def _prior(
    nodes: Sequence[str], poses: Mapping[str, NodePose], freed: Mapping[tuple[str, int], float]
) -> NDArray[np.float64]:
    sigma = np.empty((len(nodes), OF_NODE))
    for i, node in enumerate(nodes):
        pose = poses[node]
        heading_rad = np.radians(pose.heading_sigma_deg or _UNSAID_HEADING_DEG)
        sigma[i] = [max(pose.sigma_m, 0.01), max(pose.sigma_m, 0.01), _CLOCK_SIGMA_S, heading_rad]
        for which in range(OF_NODE):
            sigma[i, which] = freed.get((node, which), sigma[i, which])
    return sigma.ravel() ** -2.0


def _add(
    normal: NDArray[np.float64],
    right: NDArray[np.float64],
    sighting: Sighting,
    index: Mapping[str, int],
    known: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """Add one sighting to the nodes' normal equations, in place, its own unknowns eliminated.

    `known` are mean and variance of the nodes' unknowns so far: what they may still be off by is no misfit.
    """
    mean, variance = known
    columns = np.array([n for n, node in enumerate(sighting.nodes) if node in index])
    if len(columns) < 2:
        return
    at = OF_NODE * np.array([index[sighting.nodes[n]] for n in columns])
    rows, of_nodes, of_source, sigma = _rows(sighting, columns)
    unknowns = (at[:, None] + np.arange(OF_NODE)).ravel()
    rest = rows - of_nodes @ mean[unknowns]
    own = of_source.T / sigma**2
    held, drawn = np.diag(sighting.precision), sighting.precision * sighting.away
    # Residuals beside what the source itself can still take up tell how far in the tail a row lies.
    taken = np.linalg.solve(own @ of_source + held, own @ rest - drawn)
    z2 = (rest - of_source @ taken) ** 2 / (sigma**2 + of_nodes**2 @ variance[unknowns])
    weight = (_DOF + 1.0) / (_DOF + z2) / sigma**2
    own = of_source.T * weight
    eliminated = np.linalg.inv(own @ of_source + held)
    cross = own @ of_nodes
    normal[np.ix_(unknowns, unknowns)] += (of_nodes.T * weight) @ of_nodes - cross.T @ eliminated @ cross
    right[unknowns] += (of_nodes.T * weight) @ rows - cross.T @ eliminated @ (own @ rows - drawn)


def _rows(
    sighting: Sighting, columns: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Residuals of times and bearings, their slopes over the nodes' and the source's unknowns, and their sigmas.

    A node that stands elsewhere changes a prediction as a source would that was moved the other way; a clock that is
    late makes arrivals late; an array that should be turned clockwise gives bearings that are too small.
    """
    n = len(columns)
    turned = np.flatnonzero(np.isfinite(sighting.turn_rad[columns]))
    rows = np.concatenate([sighting.lag_s[columns], sighting.turn_rad[columns][turned]])
    sigma = np.concatenate([sighting.sigma_s[columns], sighting.turn_sigma_rad[columns][turned]])
    of_nodes = np.zeros((len(rows), OF_NODE * n))
    of_source = np.zeros((len(rows), len(sighting.precision)))
    of_source[:n] = sighting.slopes[:, columns].T
    of_source[n:, :2] = sighting.turn_slopes[:, columns[turned]].T
    for row, column in enumerate([*range(n), *turned]):
        at = OF_NODE * column
        of_nodes[row, at : at + 2] = -of_source[row, :2]
        of_nodes[row, at + (CLOCK if row < n else HEADING)] = 1.0 if row < n else -1.0
    return rows, of_nodes, of_source, sigma
