"""The ways of sound through a town: over and around houses, off their walls. Everything in the town frame."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.model.air import Air
from appliance.physics.air import sound_speed_mps
from appliance.physics.attenuation import Floats
from appliance.physics.outdoors import DiffuseTail, SoundPath, street_tails
from appliance.scene.town import Town

MAX_ECHOES = 8
"""The strongest are kept; what is weaker is in the tail."""
SHADOWED_ECHO = 0.35
"""What a house in the way leaves of an echo: 9 dB less."""
MAX_ECHO_DETOUR_M = 160.0
"""Later echoes (0.5 s) are in the tail."""


@dataclass(frozen=True, slots=True)
class Trace:
    """How sound gets from one place to another: the direct way first, then echoes; and the diffuse rest."""

    paths: tuple[SoundPath, ...]
    tails: tuple[DiffuseTail, ...]


def trace(town: Town, source_m: Floats, array_m: Floats, air: Air, rng: np.random.Generator) -> Trace:
    """Paths from a source to an array (town frame, shape (3,)); delays count from the straight line's travel time."""
    speed_mps = sound_speed_mps(air.temperature_c)
    straight_m = max(float(np.linalg.norm(array_m - source_m)), 1.0)
    detour_m = edge_detour_m(town, source_m, array_m)
    heights_m = (max(float(source_m[2]), 0.3), max(float(array_m[2]), 0.3))
    direct = SoundPath(
        length_m=straight_m + detour_m,
        delay_s=detour_m / speed_mps,
        towards=_unit(town, source_m - array_m),
        detour_m=detour_m,
        heights_m=heights_m,
    )
    echoes = _echoes(town, source_m, array_m, straight_m, speed_mps, rng)
    return Trace((direct, *echoes), street_tails(rng))


def edge_detour_m(town: Town, source_m: Floats, array_m: Floats) -> float:
    """How much longer the way past the houses in the line is than the line itself; 0 where none is in it.

    The lesser of the taut string over all their roofs and of the sum of the ways past each by itself.
    """
    houses_m = town.houses_m[_blocks(town.houses_m, source_m[None], array_m[None])[0]]
    if len(houses_m) == 0:
        return 0.0
    each_m = sum(_house_detour_m(house_m, source_m, array_m) for house_m in houses_m)
    return min(each_m, _roofs_detour_m(houses_m, source_m, array_m))


def free_range_m(town: Town, from_m: Floats, aim: Floats, longest_m: float) -> float:
    """How far a straight line from `from_m` along the unit vector `aim` goes before it meets a house."""
    enter, leave = _crossings(town.houses_m, from_m[None], (from_m + aim * longest_m)[None])
    hit = (enter < leave) & (town.houses_m[:, 4] > from_m[2])
    return float(longest_m * np.min(enter[hit], initial=1.0))


def _crossings(houses_m: Floats, from_m: Floats, to_m: Floats) -> tuple[Floats, Floats]:
    """Shares of each line, shape (lines, 3) to (lines, 3), at which it enters and leaves each house's ground plan.

    Two arrays (lines, houses); it misses the house where enter >= leave.
    """
    step_m = to_m - from_m
    step_m = np.where(np.abs(step_m) < 1e-9, 1e-9, step_m)
    enter = np.zeros((len(from_m), len(houses_m)))
    leave = np.ones((len(from_m), len(houses_m)))
    for axis in (0, 1):
        a = (houses_m[None, :, axis] - from_m[:, axis, None]) / step_m[:, axis, None]
        b = (houses_m[None, :, axis + 2] - from_m[:, axis, None]) / step_m[:, axis, None]
        enter = np.maximum(enter, np.minimum(a, b))
        leave = np.minimum(leave, np.maximum(a, b))
    return enter, leave


def _blocks(houses_m: Floats, from_m: Floats, to_m: Floats) -> NDArray[np.bool_]:
    """Whether each house stands in each line, shape (lines, houses)."""
    enter, leave = _crossings(houses_m, from_m, to_m)
    rise_m = (to_m - from_m)[:, 2, None]
    lowest_m = from_m[:, 2, None] + np.minimum(rise_m * enter, rise_m * leave)
    inside: NDArray[np.bool_] = (leave - enter > 1e-6) & (lowest_m < houses_m[None, :, 4])
    return inside


def _house_detour_m(house_m: Floats, source_m: Floats, array_m: Floats) -> float:
    """The least of the ways over the roof of one house and around either side of it (by that side's worst corner)."""
    straight_m = float(np.linalg.norm(array_m - source_m))
    step_m = array_m - source_m
    ways_m = [straight_m + _roofs_detour_m(house_m[None], source_m, array_m)]
    west, south, east, north = house_m[:4]
    corners = np.array([(west, south), (east, south), (east, north), (west, north)])
    side = step_m[0] * (corners[:, 1] - source_m[1]) - step_m[1] * (corners[:, 0] - source_m[0])
    squared = max(float(step_m[0] ** 2 + step_m[1] ** 2), 1e-6)
    for one_side in (side > 0.0, side <= 0.0):
        shares = np.clip((corners[one_side] - source_m[:2]) @ step_m[:2] / squared, 0.0, 1.0)
        points = [np.array([*c, source_m[2] + step_m[2] * s]) for c, s in zip(corners[one_side], shares, strict=True)]
        if points:
            ways_m.append(_longest_m(points, source_m, array_m))
    return max(min(ways_m) - straight_m, 0.0)


def _roofs_detour_m(houses_m: Floats, source_m: Floats, array_m: Floats) -> float:
    """The taut string from source to array over the roofs' edges, less the straight line, in the vertical plane."""
    level_m = float(np.hypot(*(array_m - source_m)[:2]))
    enter, leave = (v[0] for v in _crossings(houses_m, source_m[None], array_m[None]))
    edges = [(float(s) * level_m, float(h)) for s, h in zip([*enter, *leave], [*houses_m[:, 4]] * 2, strict=True)]
    string: list[tuple[float, float]] = []
    for point in sorted([(0.0, float(source_m[2])), *edges, (level_m, float(array_m[2]))]):
        while len(string) > 1 and _is_below(string[-1], string[-2], point):
            string.pop()
        string.append(point)
    length_m = sum(float(np.hypot(b[0] - a[0], b[1] - a[1])) for a, b in itertools.pairwise(string))
    return max(length_m - float(np.linalg.norm(array_m - source_m)), 0.0)


def _is_below(point: tuple[float, float], left: tuple[float, float], right: tuple[float, float]) -> bool:
    """Whether a point lies on or under the line between two others."""
    return (point[1] - left[1]) * (right[0] - left[0]) <= (right[1] - left[1]) * (point[0] - left[0])


def _longest_m(edges_m: list[Floats], source_m: Floats, array_m: Floats) -> float:
    return max(float(np.linalg.norm(e - source_m) + np.linalg.norm(array_m - e)) for e in edges_m)


def _echoes(
    town: Town, source_m: Floats, array_m: Floats, straight_m: float, speed_mps: float, rng: np.random.Generator
) -> list[SoundPath]:
    """Mirror images of the source in the walls of houses; weaker where another house is in the way of either leg."""
    images, points, house_of = _images(town.houses_m, source_m, array_m)
    lengths_m = np.linalg.norm(array_m - images, axis=1)
    near = np.flatnonzero(lengths_m - straight_m < MAX_ECHO_DETOUR_M)
    near = near[np.argsort(lengths_m[near], kind="stable")][: 8 * MAX_ECHOES]
    if len(near) == 0:
        return []
    blocked = _blocks(town.houses_m, points[near], np.broadcast_to(array_m, (len(near), 3)))
    blocked |= _blocks(town.houses_m, np.broadcast_to(source_m, (len(near), 3)), points[near])
    blocked[np.arange(len(near)), house_of[near]] = False
    gains = rng.uniform(0.45, 0.85, len(near)) * np.where(blocked.any(axis=1), SHADOWED_ECHO, 1.0)
    strongest = np.argsort(-gains / lengths_m[near], kind="stable")[:MAX_ECHOES]
    return [
        SoundPath(
            length_m=float(lengths_m[near[i]]),
            delay_s=(float(lengths_m[near[i]]) - straight_m) / speed_mps,
            towards=_unit(town, points[near[i]] - array_m),
            gain=float(gains[i]),
        )
        for i in strongest
    ]


def _images(houses_m: Floats, source_m: Floats, array_m: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Of each wall that both can see: the image of the source, the point of reflection, the house's index."""
    images, points, owners = [], [], []
    for axis, column, outward in ((0, 0, -1.0), (0, 2, 1.0), (1, 1, -1.0), (1, 3, 1.0)):
        wall_m = houses_m[:, column]
        source_off_m, array_off_m = (source_m[axis] - wall_m) * outward, (array_m[axis] - wall_m) * outward
        outside = (source_off_m > 0.1) & (array_off_m > 0.1)
        share = source_off_m / np.where(outside, source_off_m + array_off_m, 1.0)
        point = source_m + share[:, None] * (array_m - source_m)
        point[:, axis] = wall_m
        other = 1 - axis
        within = (point[:, other] > houses_m[:, other]) & (point[:, other] < houses_m[:, other + 2])
        keep = np.flatnonzero(outside & within & (point[:, 2] < houses_m[:, 4]))
        image = np.tile(source_m, (len(keep), 1))
        image[:, axis] = 2.0 * wall_m[keep] - source_m[axis]
        images.append(image)
        points.append(point[keep])
        owners.append(keep)
    return np.concatenate(images), np.concatenate(points), np.concatenate(owners)


def _unit(town: Town, offset_m: Floats) -> tuple[float, float, float]:
    """The direction of an offset of the town frame, as a unit vector in ENU."""
    enu = town.to_enu(offset_m / max(float(np.linalg.norm(offset_m)), 1e-6))
    return float(enu[0]), float(enu[1]), float(enu[2])
