"""Bad nodes by name, with the evidence: clocks, positions and headings that shots contradict, and deaf nodes.

Each node's clock, position and heading is freed in turn from what it is held to be. Where the shots then want it
somewhere else, surely and by an amount that matters, that is the fault; the worst is freed and the rest judged anew.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from appliance.locate.calibration import CLOCK, EAST, HEADING, NORTH, OF_NODE, NodeErrors, estimate_errors, if_free
from appliance.locate.sightings import Sighting
from appliance.model.space import NodePose

_SURE = 16.0
"""Chi-square from which a fault is named: four sigma, for every node is asked about three faults."""
_MIN_SIGHTINGS = 8
"""Places that must speak; fewer could share a building."""
_MAX_FAULTS = 4
"""With more the net, not a node, is at fault."""
_CLOCK_FREE_S, _CLOCK_MATTERS_S = 0.100, 0.003
"""A broken clock may be off by the window of association; 3 ms is a metre of sound."""
_PLACE_FREE_M, _PLACE_MATTERS_M = 30.0, 3.0
"""A node may have been moved to the next pole; beyond that its arrivals fit nothing."""
_HEADING_FREE_RAD, _HEADING_MATTERS_RAD = math.pi, math.radians(5.0)
"""An array may point anywhere."""
_BEYOND = 3.0
"""An error within so many sigmas of what is stated is no fault but what was to be expected."""
_HEARS = 0.8
"""A healthy node hears this share of the shots near it."""
_DEAF = 1e-4
"""Probability of as many misses from a healthy node, below which it is called deaf."""


class Ailment(enum.StrEnum):
    """What is wrong with a node."""

    CLOCK = "clock"
    POSITION = "position"
    HEADING = "heading"
    DEAF = "deaf"


@dataclass(frozen=True, slots=True)
class NodeFault:
    """A bad node: what ails it, by how much and how surely, and the evidence in words for people.

    amount, sigma:  seconds late, metres, or degrees clockwise by which it should be turned; share missed when deaf
    shots:          located places that say so
    """

    node: str
    ailment: Ailment
    amount: float
    sigma: float
    shots: int
    words: str


def find_faults(history: Sequence[Sighting], poses: Mapping[str, NodePose]) -> tuple[NodeFault, ...]:
    """Faults that the history proves, the surest first, deaf nodes last."""
    found: list[NodeFault] = []
    freed: dict[tuple[str, int], float] = {}
    while len(found) < _MAX_FAULTS:
        errors = estimate_errors(history, poses, freed)
        fault = _worst(errors, {f.node for f in found})
        if fault is None:
            break
        found.append(fault)
        freed.update(_freed(fault))
    return (*found, *_deaf(history))


def _worst(errors: NodeErrors, named: set[str]) -> NodeFault | None:
    """The surest fault of a node not yet named, or None."""
    best: tuple[float, NodeFault] | None = None
    for i, node in enumerate(errors.nodes):
        if node in named or errors.heard[i] < _MIN_SIGHTINGS:
            continue
        for sureness, fault in (_clock(errors, i), _heading(errors, i), _position(errors, i)):
            if sureness > _SURE and (best is None or sureness > best[0]):
                best = (sureness, fault)
    return None if best is None else best[1]


def _clock(errors: NodeErrors, i: int) -> tuple[float, NodeFault]:
    late_s, sigma_s = if_free(errors, OF_NODE * i + CLOCK, _CLOCK_FREE_S)
    way = "late" if late_s > 0.0 else "early"
    shots = int(errors.heard[i])
    words = f"clock {way} by {abs(late_s) * 1e3:.0f} ± {sigma_s * 1e3:.1f} ms over {shots} shots"
    fault = NodeFault(errors.nodes[i], Ailment.CLOCK, late_s, sigma_s, shots, words)
    return _sureness(late_s, sigma_s, _CLOCK_MATTERS_S), fault


def _heading(errors: NodeErrors, i: int) -> tuple[float, NodeFault]:
    turn_rad, sigma_rad = if_free(errors, OF_NODE * i + HEADING, _HEADING_FREE_RAD)
    turn_deg, sigma_deg = math.degrees(turn_rad), math.degrees(sigma_rad)
    way = "clockwise" if turn_deg > 0.0 else "anticlockwise"
    shots = int(errors.heard[i])
    words = f"array points {abs(turn_deg):.0f} ± {sigma_deg:.1f}° further {way} than stated, over {shots} shots"
    fault = NodeFault(errors.nodes[i], Ailment.HEADING, turn_deg, sigma_deg, shots, words)
    stated_rad = float(errors.prior[OF_NODE * i + HEADING]) ** -0.5
    return _sureness(turn_rad, sigma_rad, max(_HEADING_MATTERS_RAD, _BEYOND * stated_rad)), fault


def _position(errors: NodeErrors, i: int) -> tuple[float, NodeFault]:
    own = OF_NODE * i + np.array([EAST, NORTH])
    covariance = errors.covariance[np.ix_(own, own)]
    information = np.linalg.inv(covariance)
    freed = information - np.diag(errors.prior[own] - _PLACE_FREE_M**-2.0)
    spread = np.linalg.inv(freed)
    shift_m = spread @ information @ errors.mean[own]
    away_m = float(np.hypot(*shift_m))
    direction = shift_m / max(away_m, 1e-9)
    sigma_m = float(np.sqrt(direction @ spread @ direction))
    shots = int(errors.heard[i])
    bearing_deg = math.degrees(math.atan2(shift_m[0], shift_m[1])) % 360.0
    words = f"stands {away_m:.1f} ± {sigma_m:.1f} m off, towards {bearing_deg:.0f}°, over {shots} shots"
    fault = NodeFault(errors.nodes[i], Ailment.POSITION, away_m, sigma_m, shots, words)
    survey_m = float(errors.prior[own[0]]) ** -0.5
    # Two unknowns find more by chance than one.
    return _sureness(away_m, sigma_m, max(_PLACE_MATTERS_M, _BEYOND * survey_m)) - 4.0, fault


def _sureness(amount: float, sigma: float, matters: float) -> float:
    """Chi-square of an amount that matters; 0 of one that does not."""
    return (amount / sigma) ** 2 if abs(amount) > matters else 0.0


def _freed(fault: NodeFault) -> dict[tuple[str, int], float]:
    if fault.ailment is Ailment.CLOCK:
        return {(fault.node, CLOCK): _CLOCK_FREE_S}
    if fault.ailment is Ailment.HEADING:
        return {(fault.node, HEADING): _HEADING_FREE_RAD}
    return {(fault.node, EAST): _PLACE_FREE_M, (fault.node, NORTH): _PLACE_FREE_M}


def _deaf(history: Sequence[Sighting]) -> list[NodeFault]:
    """Nodes that missed more shots near them than a healthy one would."""
    heard: dict[str, int] = {}
    missed: dict[str, int] = {}
    for sighting in history:
        for node in sighting.nodes:
            heard[node] = heard.get(node, 0) + 1
        for node in sighting.missed:
            missed[node] = missed.get(node, 0) + 1
    found = []
    for node, misses in sorted(missed.items()):
        near = misses + heard.get(node, 0)
        if near >= _MIN_SIGHTINGS and _as_many_misses(misses, near) < _DEAF:
            share = misses / near
            sigma = math.sqrt(max(share * (1.0 - share), 0.01) / near)
            words = f"deaf: missed {misses} of {near} shots that it should have heard"
            found.append(NodeFault(node, Ailment.DEAF, share, sigma, near, words))
    return found


def _as_many_misses(misses: int, near: int) -> float:
    """Probability that a healthy node misses at least as many."""
    return sum(math.comb(near, k) * (1.0 - _HEARS) ** k * _HEARS ** (near - k) for k in range(misses, near + 1))
