"""Picks files, version 1: what nodes said that they heard, without the sound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from appliance.errors import InputError
from appliance.model.air import UNKNOWN_AIR, Air
from appliance.model.instants import UtcNs
from appliance.model.picks import Phase, Pick, pick_id
from appliance.model.space import Geodetic, NodePose
from appliance.wire.documents import (
    FIELD_HELP,
    AirJson,
    Degrees,
    ElevationDeg,
    NodeId,
    PositionJson,
    Probability,
    SigmaDeg,
    SigmaNs,
    Source,
    TimeNs,
    convert,
    parse_json,
    require_version_1,
)
from appliance.wire.scenes import MAX_NODES, air_of

MAX_PICKS = 200_000
"""A thousand nodes, each with two hundred picks: more than an hour of a loud night."""
MAX_FILE_BYTES = 128 * 2**20
"""`MAX_PICKS` arrivals with every field, written with one number a line."""

MAX_POSITION_SPREAD_M = 5.0
"""A list may give one node slightly different positions (a GPS fix with each pulse); further apart it is two nodes."""
_M_PER_DEG = 111_320.0
"""Length of a degree of latitude, WGS-84, to 1 %."""


@dataclass(frozen=True, slots=True)
class PicksFile:
    """Picks in the order of time, the pose of each node that has some, and the air (`UNKNOWN_AIR` where not given)."""

    picks: tuple[Pick, ...]
    poses: dict[str, NodePose]
    air: Air


class _ArrivalJson(msgspec.Struct, frozen=True):
    node: NodeId
    time_ns: TimeNs
    sigma_ns: SigmaNs
    position: PositionJson
    bearing_deg: Degrees | None = None
    bearing_sigma_deg: SigmaDeg | None = None
    elevation_deg: ElevationDeg | None = None
    elevation_sigma_deg: SigmaDeg | None = None
    phase: Phase = Phase.UNKNOWN
    phase_probability: Probability | None = None
    level_db_spl: Annotated[float, msgspec.Meta(ge=-50.0, le=250.0)] | None = None
    snr_db: Annotated[float, msgspec.Meta(ge=-200.0, le=200.0)] | None = None
    gunshot_probability: Probability | None = None


class _PicksJson(msgspec.Struct, frozen=True):
    version: int
    arrivals: Annotated[list[_ArrivalJson], msgspec.Meta(max_length=MAX_PICKS)]
    air: AirJson | None = None


def decode_picks(data: bytes, source: str) -> PicksFile:
    """The picks in `data`; `source` is the file's name, for errors.

    Of two readings by one node within one microsecond the clearer is kept (real lists repeat pulses); of the
    positions of one node the one with the smallest sigma. Raises InputError naming file, arrival, field, value, remedy.
    """
    where = Source(source, {"arrivals": ("arrival of node", "node")})
    document = parse_json(data, source, max_bytes=MAX_FILE_BYTES)
    require_version_1(document, where)
    file = convert(document, _PicksJson, where)
    poses = _poses(file.arrivals, source)
    picks: dict[str, Pick] = {}
    for arrival in file.arrivals:
        pick = _pick(arrival, source)
        known = picks.get(pick.id)
        if known is None or _clarity(pick) > _clarity(known):
            picks[pick.id] = pick
    ordered = tuple(sorted(picks.values(), key=lambda p: (p.time_ns, p.node)))
    return PicksFile(ordered, poses, air_of(file.air) or UNKNOWN_AIR)


def _clarity(pick: Pick) -> tuple[float, float]:
    absent = -1_000.0
    return (
        absent if pick.snr_db is None else pick.snr_db,
        absent if pick.level_db_spl is None else pick.level_db_spl,
    )


def _pick(arrival: _ArrivalJson, source: str) -> Pick:
    if arrival.bearing_deg is not None and arrival.bearing_sigma_deg is None:
        thing = f"{source}, arrival of node {arrival.node} at {arrival.time_ns}, bearing_sigma_deg"
        raise InputError(thing, "is missing beside bearing_deg", FIELD_HELP["bearing_sigma_deg"])
    if arrival.elevation_deg is not None and arrival.elevation_sigma_deg is None:
        thing = f"{source}, arrival of node {arrival.node} at {arrival.time_ns}, elevation_sigma_deg"
        raise InputError(thing, "is missing beside elevation_deg", FIELD_HELP["elevation_sigma_deg"])
    return Pick(
        id=pick_id(arrival.time_ns, arrival.node),
        node=arrival.node,
        time_ns=UtcNs(arrival.time_ns),
        sigma_ns=arrival.sigma_ns,
        snr_db=arrival.snr_db,
        level_db_spl=arrival.level_db_spl,
        bearing_deg=None if arrival.bearing_deg is None else arrival.bearing_deg % 360.0,
        bearing_sigma_deg=None if arrival.bearing_deg is None else arrival.bearing_sigma_deg,
        elevation_deg=arrival.elevation_deg,
        elevation_sigma_deg=None if arrival.elevation_deg is None else arrival.elevation_sigma_deg,
        phase=arrival.phase,
        phase_probability=None if arrival.phase is Phase.UNKNOWN else arrival.phase_probability,
        gunshot_probability=arrival.gunshot_probability,
    )


def _poses(arrivals: Sequence[_ArrivalJson], source: str) -> dict[str, NodePose]:
    best: dict[str, PositionJson] = {}
    for arrival in arrivals:
        known = best.setdefault(arrival.node, arrival.position)
        if known == arrival.position:
            continue
        _require_near(known, arrival, source)
        if arrival.position.sigma_m < known.sigma_m:
            best[arrival.node] = arrival.position
    if len(best) > MAX_NODES:
        raise InputError(f"{source}, arrivals", f"name {len(best)} nodes", f"write picks of at most {MAX_NODES} nodes")
    return {node: NodePose(node, Geodetic(p.lat, p.lon, p.alt_m), p.sigma_m) for node, p in best.items()}


def _require_near(known: PositionJson, arrival: _ArrivalJson, source: str) -> None:
    """Refuse a node that is in two places. Longitudes are compared as if at the equator, which only errs to strict."""
    here = arrival.position
    offsets_m = ((here.lat - known.lat) * _M_PER_DEG, (here.lon - known.lon) * _M_PER_DEG, here.alt_m - known.alt_m)
    apart_m = max(abs(d) for d in offsets_m)
    if apart_m <= MAX_POSITION_SPREAD_M + 3.0 * max(known.sigma_m, here.sigma_m):
        return
    thing = f"{source}, arrival of node {arrival.node} at {arrival.time_ns}, position"
    problem = f"lies {apart_m:.0f} m from the position that another arrival gives for the same node"
    raise InputError(thing, problem, "give one node one position, or two nodes two names")
