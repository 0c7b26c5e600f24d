"""Scenes: `scene.json`, version 1. What several nodes heard over the same stretch of time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from appliance.errors import InputError
from appliance.model.air import Air
from appliance.model.audio import MAX_CHANNELS, ArrayGeometry
from appliance.model.instants import UtcNs
from appliance.model.space import Geodetic, NodePose
from appliance.wire.documents import (
    FIELD_HELP,
    AirJson,
    Degrees,
    NodeId,
    PositionJson,
    SigmaNs,
    Source,
    TimeNs,
    convert,
    parse_json,
    require_version_1,
    shown,
)

MAX_NODES = 1_000
"""A mesh is 25 nodes; cities are larger, but a thousand in one file is a mistake."""
MAX_SCENE_BYTES = 8 * 2**20
"""A thousand nodes of sixteen microphones, written with one number a line."""

MEASURED_TEMPERATURE_SIGMA_C = 1.0
MEASURED_WIND_SIGMA_MPS = 1.5
"""What a node's thermometer, or the next weather station, is worth over a neighbourhood."""
STATED_HEADING_SIGMA_DEG = 2.5
"""What a heading is worth whose error the format has no field for: a compass, or a sight line to a landmark."""

_PLAIN_PATH = re.compile(r"[^/\\:\x00-\x1f\x7f]+(?:/[^/\\:\x00-\x1f\x7f]+)*\Z")


@dataclass(frozen=True, slots=True)
class SceneNode:
    """One node of a scene.

    audio:                 name of its sound file, relative to the scene's folder and never outside it
    start_ns:              UTC of the file's first sample
    clock_sigma_ns:        1-sigma error of start_ns that the node believes
    sample_rate_error_ppm: correction the node knows of; positive: its converter runs fast
    """

    id: str
    audio: str
    start_ns: UtcNs
    clock_sigma_ns: int
    sample_rate_error_ppm: float
    pose: NodePose
    geometry: ArrayGeometry


@dataclass(frozen=True, slots=True)
class Scene:
    """What `scene.json` says; `air` is None where it says nothing of it."""

    name: str
    air: Air | None
    nodes: tuple[SceneNode, ...]


CoordinateM = Annotated[float, msgspec.Meta(ge=-100.0, le=100.0)]
Ppm = Annotated[float, msgspec.Meta(ge=-10_000.0, le=10_000.0)]
Microphones = Annotated[
    list[tuple[CoordinateM, CoordinateM, CoordinateM]], msgspec.Meta(min_length=1, max_length=MAX_CHANNELS)
]


class _NodeJson(msgspec.Struct, frozen=True):
    id: NodeId
    audio: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    start_ns: TimeNs
    clock_sigma_ns: SigmaNs
    position: PositionJson
    microphones_m: Microphones
    heading_deg: Degrees
    sample_rate_error_ppm: Ppm = 0.0


class _SceneJson(msgspec.Struct, frozen=True):
    version: int
    nodes: Annotated[list[_NodeJson], msgspec.Meta(min_length=1, max_length=MAX_NODES)]
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    air: AirJson | None = None


def decode_scene(data: bytes, source: str) -> Scene:
    """The scene in `data`; `source` is the file's name, for errors.

    Fields that the format doesn't know are ignored. Raises InputError naming file, node, field, value and remedy.
    """
    where = Source(source, {"nodes": ("node", "id")})
    document = parse_json(data, source, max_bytes=MAX_SCENE_BYTES)
    require_version_1(document, where)
    scene = convert(document, _SceneJson, where)
    if not scene.name.isprintable():
        raise InputError(
            f"{source}, name", f"is {shown(scene.name)}, with characters that can't be shown", FIELD_HELP["name"]
        )
    _require_distinct(scene.nodes, source)
    return Scene(scene.name, air_of(scene.air), tuple(_node(n, source) for n in scene.nodes))


def encode_scene(scene: Scene) -> bytes:
    """The scene as `scene.json`, indented, with a newline at the end."""
    document = _SceneJson(
        version=1, nodes=[_node_json(n) for n in scene.nodes], name=scene.name, air=_air_json(scene.air)
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def air_of(air: AirJson | None) -> Air | None:
    """The measured air with what such a measurement is worth."""
    if air is None:
        return None
    east, north = air.wind_mps
    return Air(air.temperature_c, east, north, MEASURED_TEMPERATURE_SIGMA_C, MEASURED_WIND_SIGMA_MPS)


def _air_json(air: Air | None) -> AirJson | None:
    return None if air is None else AirJson(air.temperature_c, (air.wind_east_mps, air.wind_north_mps))


def _require_distinct(nodes: Sequence[_NodeJson], source: str) -> None:
    seen: set[str] = set()
    for node in nodes:
        if node.id in seen:
            raise InputError(f"{source}, node {node.id}, id", "belongs to two nodes", "give each node its own id")
        seen.add(node.id)


def _node(node: _NodeJson, source: str) -> SceneNode:
    if not _PLAIN_PATH.match(node.audio) or {".", ".."} & set(node.audio.split("/")):
        thing = f"{source}, node {node.id}, audio"
        raise InputError(thing, f"is {shown(node.audio)}, which is no file of the scene's folder", FIELD_HELP["audio"])
    p = node.position
    place = Geodetic(p.lat, p.lon, p.alt_m)
    pose = NodePose(node.id, place, p.sigma_m, node.heading_deg % 360.0, STATED_HEADING_SIGMA_DEG)
    return SceneNode(
        id=node.id,
        audio=node.audio,
        start_ns=UtcNs(node.start_ns),
        clock_sigma_ns=node.clock_sigma_ns,
        sample_rate_error_ppm=node.sample_rate_error_ppm,
        pose=pose,
        geometry=ArrayGeometry(tuple(node.microphones_m)),
    )


def _node_json(node: SceneNode) -> _NodeJson:
    place = node.pose.position
    return _NodeJson(
        id=node.id,
        audio=node.audio,
        start_ns=node.start_ns,
        clock_sigma_ns=node.clock_sigma_ns,
        position=PositionJson(place.lat_deg, place.lon_deg, place.alt_m, node.pose.sigma_m),
        microphones_m=list(node.geometry.microphones_m),
        heading_deg=node.pose.heading_deg,
        sample_rate_error_ppm=node.sample_rate_error_ppm,
    )
