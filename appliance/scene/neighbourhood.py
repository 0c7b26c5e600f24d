"""The demo's neighbourhood: nodes on poles and roofs of a town that does not exist, and its restless nights.

Gunfire of several sorts comes every 20 to 30 s, the first after 5 s; fireworks, thunder, doors, traffic, dogs and
voices come between.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from appliance.errors import InputError
from appliance.model.audio import ArrayGeometry
from appliance.model.space import NodePose
from appliance.physics.attenuation import Floats
from appliance.physics.geodesy import LocalFrame
from appliance.scene.emissions import DISTURBANCES, GUNFIRE, Emission, disturbance, gunfire
from appliance.scene.rendering import ArraySite, Renderer
from appliance.scene.simulation import SimulatedWorld, WorldSettings
from appliance.scene.town import ORIGIN, Town, make_town, town_geojson

MAX_NODES = 25
"""A mesh on one network."""

FIRST_GUNFIRE_S = 5.0
GUNFIRE_GAP_S = (20.0, 30.0)
DISTURBANCE_AFTER_S = (9.0, 13.0)
"""A disturbance comes this long after gunfire begins, when its rounds are over."""

POLE_M = 6.0
ROOF_MAST_M = 2.0
TOWN_MARGIN_M = 150.0

RING_OF_FOUR = ArrayGeometry(((0.0, 0.032, 0.0), (0.032, 0.0, 0.0), (0.0, -0.032, 0.0), (-0.032, 0.0, 0.0)))
"""Four microphones on a circle of 32 mm: the usual small USB array."""
SINGLE_MICROPHONE = ArrayGeometry(((0.0, 0.0, 0.0),))


@dataclass(frozen=True, slots=True)
class NetSettings:
    """How nodes are placed, and how well they know their places."""

    n_nodes: int = 5
    spacing_m: float = 250.0
    geometry: ArrayGeometry = RING_OF_FOUR
    position_sigma_m: float = 0.7
    heading_sigma_deg: float = 2.0


def make_neighbourhood(
    *, seed: int, start_ns: int, net: NetSettings | None = None, settings: WorldSettings | None = None
) -> tuple[SimulatedWorld, dict[str, object]]:
    """The demo's endless world and its map as GeoJSON. Raises InputError for a number of nodes outside 1 to 25."""
    net = net or NetSettings()
    settings = settings or WorldSettings()
    rng = np.random.default_rng([seed, 1])
    town, sites = make_net(net, rng)
    reach_m = reach_of(sites)
    renderer = Renderer(town, settings.air, float(settings.sample_rate_hz), seed)
    schedule = endless_schedule(town, reach_m, np.random.default_rng([seed, 2]))
    world = SimulatedWorld(renderer, sites, schedule, settings, start_ns=start_ns, seed=seed)
    return world, town_geojson(town)


def make_net(net: NetSettings, rng: np.random.Generator) -> tuple[Town, list[tuple[ArraySite, NodePose]]]:
    """A town with room for the nodes, and the nodes: where each array is, and where it believes to be."""
    if not 1 <= net.n_nodes <= MAX_NODES:
        problem = f"is {net.n_nodes}"
        raise InputError("the number of nodes", problem, f"choose 1 to {MAX_NODES}")
    wanted_m = _lattice(net.n_nodes, net.spacing_m)
    town = make_town(float(np.abs(wanted_m).max(initial=0.0)) + TOWN_MARGIN_M, rng)
    sites = []
    for i, spot_m in enumerate(wanted_m):
        place_m = town.to_enu(_perch(town, spot_m, rng))
        sites.append(_site(f"n{i + 1}", place_m, net, rng))
    return town, sites


def reach_of(sites: list[tuple[ArraySite, NodePose]]) -> float:
    """How far from the middle things happen: within the net and a little beyond."""
    furthest_m = max(math.hypot(site.place_m[0], site.place_m[1]) for site, _ in sites)
    return max(120.0, furthest_m * 0.9)


def endless_schedule(town: Town, reach_m: float, rng: np.random.Generator) -> Iterator[Emission]:
    """Emissions in order of time, for ever: every sort of gunfire comes once before any comes again."""
    time_s = FIRST_GUNFIRE_S
    bangs, noises = _rounds(["string"], list(GUNFIRE), rng), _rounds([], list(DISTURBANCES), rng)
    carried: list[Emission] = []
    while True:
        gap_s = float(rng.uniform(*GUNFIRE_GAP_S))
        coming = _at(gunfire(town, next(bangs), reach_m, rng), time_s)
        coming += _at(disturbance(town, next(noises), reach_m, rng), time_s + float(rng.uniform(*DISTURBANCE_AFTER_S)))
        time_s += gap_s
        carried = sorted([*carried, *coming], key=lambda e: e.time_s)
        yield from (e for e in carried if e.time_s < time_s)
        carried = [e for e in carried if e.time_s >= time_s]


def _rounds(first: list[str], sorts: list[str], rng: np.random.Generator) -> Iterator[str]:
    """`first`, then all sorts in random order, again and again."""
    yield from first
    while True:
        for i in rng.permutation(len(sorts)):
            yield sorts[int(i)]


def _at(emissions: list[Emission], start_s: float) -> list[Emission]:
    return [replace(e, time_s=e.time_s + start_s) for e in emissions]


def _lattice(n: int, spacing_m: float) -> Floats:
    """The n points of a triangular lattice nearest to the middle of one of its triangles, town frame, shape (n, 2)."""
    span = math.ceil(math.sqrt(n)) + 2
    points = np.array(
        [
            (spacing_m * (i + 0.5 * (j % 2) - 0.5), spacing_m * (j * math.sqrt(0.75) - math.sqrt(1.0 / 12.0)))
            for j in range(-span, span + 1)
            for i in range(-span, span + 1)
        ]
    )
    order = np.argsort(np.round(np.hypot(points[:, 0], points[:, 1]), 6), kind="stable")
    nearest: Floats = points[order[:n]]
    return nearest


def _perch(town: Town, spot_m: Floats, rng: np.random.Generator) -> Floats:
    """A pole at the nearest crossing, or a mast on the nearest roof, whichever the dice say."""
    if rng.random() < 0.5 and len(town.houses_m):
        centres = (town.houses_m[:, :2] + town.houses_m[:, 2:4]) / 2.0
        house = town.houses_m[int(np.argmin(np.hypot(*(centres - spot_m).T)))]
        return np.array([(house[0] + house[2]) / 2.0, (house[1] + house[3]) / 2.0, house[4] + ROOF_MAST_M])
    crossing = town.crossings_m[int(np.argmin(np.hypot(*(town.crossings_m[:, :2] - spot_m).T)))]
    corner: Floats = crossing + np.array([*rng.choice([-6.0, 6.0], 2), POLE_M])
    return corner


def _site(node: str, place_m: Floats, net: NetSettings, rng: np.random.Generator) -> tuple[ArraySite, NodePose]:
    heading_deg = float(rng.uniform(0.0, 360.0))
    site = ArraySite(node, (float(place_m[0]), float(place_m[1]), float(place_m[2])), heading_deg, net.geometry)
    believed_m = place_m + rng.normal(0.0, net.position_sigma_m, 3)
    pose = NodePose(
        node=node,
        position=LocalFrame(ORIGIN).to_geodetic(*(float(v) for v in believed_m)),
        sigma_m=net.position_sigma_m,
        heading_deg=(heading_deg + float(rng.normal(0.0, net.heading_sigma_deg))) % 360.0,
        heading_sigma_deg=net.heading_sigma_deg,
    )
    return site, pose
