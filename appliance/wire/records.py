"""What the bodies of records hold: the one table of kinds, and bytes to model and back.

A body is msgpack of one of the structs below with its version `v`. A kind or a version that this software does not
know is kept and replicated like any other record; `decode_body` returns `Unread` for it, and the mesh reports it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from appliance.ledger.records import EPOCH_KIND, Epoch, Hash, Held, NodeName, Record, Sequence, SignatureBytes
from appliance.ledger.revocation import MAX_STATEMENT_BYTES, REVOCATION_KIND
from appliance.locate.calibration import PoseChange, changed_pose
from appliance.model.air import Air
from appliance.model.classes import CLASSES, ClassProbabilities
from appliance.model.health import HealthCheck, HealthState
from appliance.model.instants import UtcNs
from appliance.model.picks import Phase, Pick, pick_id
from appliance.model.remarks import ReviewVerdict, UnitState
from appliance.model.space import Geodetic, NodePose
from appliance.wire.documents import (
    AltitudeM,
    Degrees,
    ElevationDeg,
    Latitude,
    Longitude,
    Probability,
    SigmaDeg,
    SigmaM,
    SigmaNs,
    TemperatureC,
    TimeNs,
    WindMps,
)
from appliance.wire.framing import one_line

Version = Annotated[int, Meta(ge=1, le=1_000)]
Decibels = Annotated[float, Meta(ge=-250.0, le=250.0)]
Url = Annotated[str, Meta(max_length=200, pattern=r"^(https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?)?\Z")]
"""A page's address, or nothing. No query and no user: it becomes a link on other nodes' pages."""
ShiftM = Annotated[float, Meta(ge=-100.0, le=100.0)]
"""Shots refine a survey; who was moved further is surveyed anew."""
Words = Annotated[str, Meta(max_length=200)]
WITNESS_HASH_BYTES = 16
"""128 bits: nobody finds a second record with the same."""
WitnessHash = Annotated[bytes, Meta(min_length=WITNESS_HASH_BYTES, max_length=WITNESS_HASH_BYTES)]
MAX_CHECKS = 20
"""A node has about six health checks; the page shows them all."""
PickName = Annotated[str, Meta(pattern=r"^\d{16}-[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
"""A pick's id, which is also how an incident is named."""
Label = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{1,64}\Z")]
"""A patrol unit or a person: one line as others will read it, without characters that reorder or hide text."""


class EpochBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first record of each start: where the epoch before ended (0 and 0: none is remembered), and the software."""

    previous_epoch: Held
    previous_seq: Held
    software: Annotated[str, Meta(max_length=64)]
    v: Version = 1


class PickBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pick; its node is the record's, and its id follows from time and node."""

    time_ns: TimeNs
    sigma_ns: SigmaNs
    clock_sigma_ns: SigmaNs = 0
    snr_db: Decibels | None = None
    level_db_spl: Decibels | None = None
    peak_dbfs: Decibels | None = None
    clipped: bool = False
    bearing_deg: Degrees | None = None
    bearing_sigma_deg: SigmaDeg | None = None
    elevation_deg: ElevationDeg | None = None
    elevation_sigma_deg: SigmaDeg | None = None
    phase: Phase = Phase.UNKNOWN
    phase_probability: Probability | None = None
    classes: Annotated[tuple[Probability, ...], Meta(min_length=len(CLASSES), max_length=len(CLASSES))] | None = None
    gunshot_probability: Probability | None = None
    v: Version = 1


class PoseBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the record's node stands and where its array points."""

    lat_deg: Latitude
    lon_deg: Longitude
    alt_m: AltitudeM
    sigma_m: SigmaM
    heading_deg: Degrees
    heading_sigma_deg: SigmaDeg
    v: Version = 1


class CalibrationBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What located shots make of the record's node's pose: holds for the pose `of` alone, until that is stated anew.

    east_m, north_m, turn_deg:  how far its position moves and its heading turns, clockwise
    sigma_m, heading_sigma_deg: 1-sigma of what is left
    sightings:                  places that it was learnt from
    """

    of: PoseBody
    east_m: ShiftM
    north_m: ShiftM
    turn_deg: Annotated[float, Meta(ge=-180.0, le=180.0)]
    sigma_m: SigmaM
    heading_sigma_deg: SigmaDeg
    sightings: Annotated[int, Meta(ge=1, le=100_000)]
    v: Version = 1


class AirBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The air as the record's node measured it."""

    temperature_c: TemperatureC
    wind_east_mps: WindMps
    wind_north_mps: WindMps
    temperature_sigma_c: Annotated[float, Meta(ge=0.0, le=100.0)]
    wind_sigma_mps: Annotated[float, Meta(ge=0.0, le=100.0)]
    v: Version = 1


class NodeBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the record's node says of itself: the address of its pages, the version it runs, and where it sends alerts.

    sinks: ways beyond the mesh that it has, by name; of the nodes that share one, one at a time sends
    """

    url: Url
    software: Annotated[str, Meta(max_length=64)]
    sinks: Annotated[tuple[Label, ...], Meta(max_length=8)] = ()
    v: Version = 1


class CheckBody(msgspec.Struct, frozen=True, array_like=True):
    """One health check."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]
    state: HealthState
    words: Words
    number: Annotated[float, Meta(ge=-1e15, le=1e15)] | None
    unit: Annotated[str, Meta(max_length=16)]
    since_ns: TimeNs
    remedy: Words


class HealthBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the record's node says of its own health; written when a state changes."""

    checks: Annotated[tuple[CheckBody, ...], Meta(max_length=MAX_CHECKS)]
    v: Version = 1


class AcknowledgementBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a patrol unit is with an incident, at `time_ns`; the newest record of a unit counts."""

    incident: PickName
    unit: Label
    state: UnitState
    time_ns: TimeNs
    by: Label = "unknown"
    v: Version = 1


class ReviewBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person's verdict on an incident; the newest of a person counts, and the older ones stay in the log."""

    incident: PickName
    verdict: ReviewVerdict
    time_ns: TimeNs
    note: Annotated[str, Meta(max_length=1_000)] = ""
    by: Label = "unknown"
    v: Version = 1


class ExerciseBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A test alert that pages show as an exercise; it is no incident and nothing counts it as one."""

    words: Words
    time_ns: TimeNs
    lat_deg: Latitude | None = None
    lon_deg: Longitude | None = None
    by: Label = "unknown"
    v: Version = 1


class RevocationBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node is taken out of the site: a statement of `ledger.revocation`, and the site's signature over its bytes."""

    statement: Annotated[bytes, Meta(max_length=MAX_STATEMENT_BYTES)]
    signature: SignatureBytes
    by: Label = "unknown"
    v: Version = 1


class ClipBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sound that the record's node kept of an incident, bound by its hash; with the clock and the pose at capture.

    sha256, n_bytes: of the FLAC file
    first_ns:        UTC of its first sample, with `clock_sigma_ns`
    rate_hz:         the converter's true rate; the file states it in whole hertz
    pose:            where the node stood, or None where it did not know
    """

    incident: PickName
    pick: PickName
    sha256: Hash
    n_bytes: Annotated[int, Meta(ge=1, lt=2**40)]
    first_ns: TimeNs
    clock_sigma_ns: SigmaNs
    rate_hz: Annotated[float, Meta(gt=0.0, le=100_000.0)]
    n_channels: Annotated[int, Meta(ge=1, le=16)]
    n_samples: Annotated[int, Meta(ge=1, lt=2**40)]
    pose: PoseBody | None = None
    v: Version = 1


class WitnessBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the record's node held the newest stream of each node: who cuts off an end can't cut off this as well.

    heads: node, epoch, sequence number, and the first `WITNESS_HASH_BYTES` of that record's hash
    """

    heads: Annotated[tuple[tuple[NodeName, Epoch, Sequence, WitnessHash], ...], Meta(max_length=64)]
    v: Version = 1


class IssuedBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record's node sent word of an incident beyond the mesh, to `sink`: what it was then, and its revision."""

    incident: PickName
    sink: Label
    state: Annotated[str, Meta(pattern=r"^[a-z][a-z-]{0,31}\Z")]
    revision: Annotated[int, Meta(ge=0, lt=2**53)]
    time_ns: TimeNs
    v: Version = 1


Remark = AcknowledgementBody | ReviewBody | ExerciseBody
"""What a person said on some node's page; `by` names who, as that node's log-in knows him."""

Body = (
    EpochBody
    | PickBody
    | PoseBody
    | CalibrationBody
    | AirBody
    | NodeBody
    | HealthBody
    | AcknowledgementBody
    | ReviewBody
    | ExerciseBody
    | RevocationBody
    | ClipBody
    | IssuedBody
    | WitnessBody
)


@dataclass(frozen=True, slots=True)
class RecordKind:
    """One row of the table of kinds: the body's shape and version, and what it is for.

    makes_incidents: incidents depend on it
    is_event:        it is said of an incident, and pages are told
    """

    body: type[Body]
    version: int
    makes_incidents: bool
    is_event: bool = False


KINDS: Final[Mapping[str, RecordKind]] = {
    EPOCH_KIND: RecordKind(EpochBody, 1, makes_incidents=False),
    "pick": RecordKind(PickBody, 1, makes_incidents=True),
    "pose": RecordKind(PoseBody, 1, makes_incidents=True),
    "calibration": RecordKind(CalibrationBody, 1, makes_incidents=True),
    "air": RecordKind(AirBody, 1, makes_incidents=True),
    "node": RecordKind(NodeBody, 1, makes_incidents=False),
    "health": RecordKind(HealthBody, 1, makes_incidents=False),
    REVOCATION_KIND: RecordKind(RevocationBody, 1, makes_incidents=False),
    "acknowledgement": RecordKind(AcknowledgementBody, 1, makes_incidents=False, is_event=True),
    "review": RecordKind(ReviewBody, 1, makes_incidents=False, is_event=True),
    "exercise": RecordKind(ExerciseBody, 1, makes_incidents=False, is_event=True),
    "witness": RecordKind(WitnessBody, 1, makes_incidents=False),
    "clip": RecordKind(ClipBody, 1, makes_incidents=False, is_event=True),
    "issued": RecordKind(IssuedBody, 1, makes_incidents=False, is_event=True),
}
"""Every kind of record there is. A new field with a default keeps the version; anything else raises it."""


def is_event(record: Record) -> bool:
    """Whether it is said of an incident, so that pages are told."""
    row = KINDS.get(record.kind)
    return row is not None and row.is_event


@dataclass(frozen=True, slots=True)
class Unread:
    """A body that this software makes nothing of, and why; `newer` if a newer version would."""

    reason: str
    newer: bool


class _Versioned(msgspec.Struct):
    v: Version = 1


def encode_body(body: Body) -> tuple[str, bytes]:
    """The kind of a body and its bytes."""
    kind = next(name for name, row in KINDS.items() if row.body is type(body))
    return kind, msgspec.msgpack.encode(body)


def decode_body(record: Record) -> Body | Unread:
    """The body of a record, checked field by field; every number is finite and within its bounds."""
    if record.body is None and record.kind in KINDS:
        return Unread("body was deleted by retention", newer=False)
    return read_body(record.kind, record.body or b"")


def read_body(kind: str, data: bytes) -> Body | Unread:
    """The body that `data` is of a record of `kind`, checked like `decode_body`."""
    row = KINDS.get(kind)
    if row is None:
        return Unread(f"kind {kind} is newer than this software", newer=True)
    try:
        version = msgspec.msgpack.decode(data, type=_Versioned).v
        if version > row.version:
            return Unread(f"version {version} of kind {kind} is newer than this software", newer=True)
        body: Body = msgspec.msgpack.decode(data, type=row.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Unread(f"{kind} body is malformed ({one_line(error)})", newer=False)
    return body


def record_schemas() -> dict[str, Any]:
    """JSON Schema of every kind of body, by kind."""
    return {kind: msgspec.json.schema(row.body) for kind, row in KINDS.items()}


def pick_to_body(pick: Pick) -> PickBody:
    """The part of a pick that its record does not say already."""
    return PickBody(
        time_ns=pick.time_ns,
        sigma_ns=pick.sigma_ns,
        clock_sigma_ns=pick.clock_sigma_ns,
        snr_db=pick.snr_db,
        level_db_spl=pick.level_db_spl,
        peak_dbfs=pick.peak_dbfs,
        clipped=pick.clipped,
        bearing_deg=pick.bearing_deg,
        bearing_sigma_deg=pick.bearing_sigma_deg,
        elevation_deg=pick.elevation_deg,
        elevation_sigma_deg=pick.elevation_sigma_deg,
        phase=pick.phase,
        phase_probability=pick.phase_probability,
        classes=pick.classes.values if pick.classes else None,
        gunshot_probability=pick.gunshot_probability,
    )


def pick_from_body(body: PickBody, node: str) -> Pick:
    """The pick that `node` read."""
    return Pick(
        id=pick_id(body.time_ns, node),
        node=node,
        time_ns=UtcNs(body.time_ns),
        sigma_ns=body.sigma_ns,
        clock_sigma_ns=body.clock_sigma_ns,
        snr_db=body.snr_db,
        level_db_spl=body.level_db_spl,
        peak_dbfs=body.peak_dbfs,
        clipped=body.clipped,
        bearing_deg=body.bearing_deg,
        bearing_sigma_deg=body.bearing_sigma_deg,
        elevation_deg=body.elevation_deg,
        elevation_sigma_deg=body.elevation_sigma_deg,
        phase=body.phase,
        phase_probability=body.phase_probability,
        classes=ClassProbabilities(body.classes) if body.classes else None,
        gunshot_probability=body.gunshot_probability,
    )


def pose_to_body(pose: NodePose) -> PoseBody:
    """A pose without its node, which the record names."""
    place = pose.position
    return PoseBody(place.lat_deg, place.lon_deg, place.alt_m, pose.sigma_m, pose.heading_deg, pose.heading_sigma_deg)


def pose_from_body(body: PoseBody, node: str) -> NodePose:
    """The pose of `node`."""
    place = Geodetic(body.lat_deg, body.lon_deg, body.alt_m)
    return NodePose(node, place, body.sigma_m, body.heading_deg, body.heading_sigma_deg)


def calibration_to_body(change: PoseChange, of: NodePose) -> CalibrationBody:
    """A change of the pose `of`, for the record of the node whose pose it is."""
    return CalibrationBody(
        of=pose_to_body(of),
        east_m=change.east_m,
        north_m=change.north_m,
        turn_deg=change.turn_deg,
        sigma_m=change.sigma_m,
        heading_sigma_deg=change.heading_sigma_deg,
        sightings=change.sightings,
    )


def calibrated_pose(pose: PoseBody, calibration: CalibrationBody | None, node: str) -> NodePose:
    """The pose of `node` with its calibration, where that was learnt against this very pose."""
    stated = pose_from_body(pose, node)
    if calibration is None or calibration.of != pose:
        return stated
    change = PoseChange(
        node,
        calibration.east_m,
        calibration.north_m,
        calibration.turn_deg,
        calibration.sigma_m,
        calibration.heading_sigma_deg,
        calibration.sightings,
    )
    return changed_pose(stated, change)


def air_to_body(air: Air) -> AirBody:
    """The air as a body."""
    return AirBody(
        air.temperature_c, air.wind_east_mps, air.wind_north_mps, air.temperature_sigma_c, air.wind_sigma_mps
    )


def air_from_body(body: AirBody) -> Air:
    """The air that a body states."""
    return Air(
        body.temperature_c, body.wind_east_mps, body.wind_north_mps, body.temperature_sigma_c, body.wind_sigma_mps
    )


def check_to_body(check: HealthCheck) -> CheckBody:
    """A health check as it goes over the wire; long words are cut."""
    return CheckBody(
        check.name, check.state, check.words[:200], check.number, check.unit, check.since_ns, check.remedy[:200]
    )


def check_from_body(body: CheckBody) -> HealthCheck:
    """The health check that a body states."""
    return HealthCheck(body.name, body.state, body.words, body.number, body.unit, UtcNs(body.since_ns), body.remedy)
