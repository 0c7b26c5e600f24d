"""What one located source says about the nodes that heard it, and those that should have: bounded, and all there is.

A sighting keeps the source's problem linearised at its fix, so that later the source and its air can be eliminated
again while nodes' positions, clocks and headings are asked about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.locate.associate import hearing_probability, mean_arrivals
from appliance.locate.settings import LocateSettings
from appliance.locate.solve import Arrivals, Fix, Prior, prior_of
from appliance.locate.sources import Source
from appliance.model.instants import UtcNs
from appliance.model.space import Geodetic, NodePose
from appliance.physics.geodesy import LocalFrame
from appliance.physics.propagation import travel_times

MAX_SIGHTINGS = 400
"""As many places as a net learns from; more change a node's estimate by less than a twentieth."""
_SAME_PLACE_M = 20.0
"""Shots from one place come along the same paths and say the same: the latest stands for all."""
_NEAR = 0.7
"""A node that hears a shot at its range with this probability should have."""
_READING_FLOOR_RAD = 0.0087
"""No bearing of a blast in a street is better than half a degree."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One located source as its nodes saw it; arrays have a column for each of `nodes`.

    lag_s:               observed minus predicted arrival, shape (n,)
    sigma_s:             1-sigma of it without the node's own errors: path, rounds, shape (n,)
    slopes:              of the predicted time over (east, north, up, speed, wind east, wind north, time), shape (7, n)
    turn_rad:            observed minus predicted bearing, nan where there is none, shape (n,)
    turn_sigma_rad:      1-sigma of it without the heading's, shape (n,)
    turn_slopes:         of the predicted bearing over (east, north), shape (2, n)
    precision, away:     prior precision of the seven, and how far the fix lies from the prior's mean, shape (7,)
    missed:              nodes near enough to have heard it that did not
    """

    time_ns: UtcNs
    place: Geodetic
    nodes: tuple[str, ...]
    lag_s: NDArray[np.float64]
    sigma_s: NDArray[np.float64]
    slopes: NDArray[np.float64]
    turn_rad: NDArray[np.float64]
    turn_sigma_rad: NDArray[np.float64]
    turn_slopes: NDArray[np.float64]
    precision: NDArray[np.float64]
    away: NDArray[np.float64]
    missed: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Who heard a source, beside its arrivals.

    sigma_s:             1-sigma of paths and rounds in their mean arrival times, shape (n,)
    heading_sigma_rad:   1-sigma of their stated headings, shape (n,)
    missed:              nodes that should have heard it too
    """

    nodes: tuple[str, ...]
    sigma_s: NDArray[np.float64]
    heading_sigma_rad: NDArray[np.float64]
    missed: tuple[str, ...] = ()


def sight(source: Source, poses: Mapping[str, NodePose], settings: LocateSettings) -> Sighting:
    """The sighting of a located source; `poses` are those of all nodes that were up."""
    hearing, fix = source.hearing, source.best.fix
    arrivals, nodes, _ = mean_arrivals(hearing, source.best.member, settings)
    n_rounds = (source.best.member[:, nodes] >= 0).sum(axis=0)
    path_s = 0.5 * (settings.path_sigma_s + settings.path_late_sigma_s)
    names = tuple(hearing.nodes[n] for n in nodes)
    heard = Heard(
        names,
        np.hypot(path_s, settings.round_sigma_s / np.sqrt(n_rounds)),
        np.radians([hearing.poses[n].heading_sigma_deg for n in nodes]),
        _missed(hearing.frame, fix.place_m, poses, names, settings),
    )
    time_ns = UtcNs(hearing.epoch_ns + round(fix.time_s * 1e6) * 1000)
    place = hearing.frame.to_geodetic(*(float(v) for v in fix.place_m))
    return linearise(fix, arrivals, heard, prior_of(arrivals, float(fix.place_m[2]), hearing.air), (time_ns, place))


def linearise(fix: Fix, arrivals: Arrivals, heard: Heard, prior: Prior, at: tuple[UtcNs, Geodetic]) -> Sighting:
    """The sighting of a fix that these arrivals gave under this prior; `at` is when and where it was."""
    wind = (float(fix.air_mps[1]), float(fix.air_mps[2]))
    travel = travel_times(fix.place_m, arrivals.enu_m, float(fix.air_mps[0]), wind)
    east_m, north_m = (fix.place_m[:2] - arrivals.enu_m[:, :2]).T
    turn = (arrivals.bearing_rad - np.arctan2(east_m, north_m) + np.pi) % (2.0 * np.pi) - np.pi
    reading2 = np.maximum(arrivals.bearing_sigma_rad**2 - heard.heading_sigma_rad**2, _READING_FLOOR_RAD**2)
    return Sighting(
        time_ns=at[0],
        place=at[1],
        nodes=heard.nodes,
        lag_s=arrivals.time_s - fix.time_s - travel.time_s,
        sigma_s=heard.sigma_s,
        slopes=np.vstack([travel.slopes, np.ones(len(heard.nodes))]),
        turn_rad=turn,
        turn_sigma_rad=np.sqrt(reading2),
        turn_slopes=np.stack([north_m, -east_m]) / np.maximum(east_m**2 + north_m**2, 1.0),
        precision=prior.precision,
        away=np.array([*fix.place_m, *fix.air_mps, fix.time_s]) - np.array([*prior.mean[:6], fix.time_s]),
        missed=heard.missed,
    )


def _missed(
    frame: LocalFrame,
    place_m: NDArray[np.float64],
    poses: Mapping[str, NodePose],
    heard: Sequence[str],
    settings: LocateSettings,
) -> tuple[str, ...]:
    silent = sorted(set(poses) - set(heard))
    if not silent:
        return ()
    away_m = frame.many_to_enu([poses[node].position for node in silent]) - place_m
    probable = hearing_probability(np.sqrt((away_m**2).sum(axis=1)), settings) >= _NEAR
    return tuple(node for node, near in zip(silent, probable, strict=True) if near)


def remember(history: Sequence[Sighting], sighting: Sighting) -> tuple[Sighting, ...]:
    """The history with one sighting more, by time: of one place only the latest, and at most `MAX_SIGHTINGS`."""
    frame = LocalFrame(sighting.place)
    kept = [s for s in history if float(np.hypot(*frame.to_enu(s.place)[:2])) > _SAME_PLACE_M]
    return tuple(sorted([*kept, sighting], key=lambda s: (s.time_ns, s.nodes))[-MAX_SIGHTINGS:])
