"""Records that are said of incidents (by people, of clips, of alerts sent), as the pages read them."""

from dataclasses import dataclass
from typing import Any

import msgspec

from appliance.ledger.records import Record
from appliance.wire.records import AcknowledgementBody, ClipBody, IssuedBody, PoseBody, Remark, ReviewBody, decode_body


@dataclass(frozen=True, slots=True)
class Said:
    """A remark: the incident that it is about (empty: none), whose or what it is, and all of it.

    subject:  the unit, person, pick or sink of which the newest remark counts

    document: the body's fields; and `node`, `record` ("node:epoch:seq") and `written_ns` of its record
    """

    incident: str
    subject: str
    document: dict[str, Any]


def remark_of(record: Record) -> Said | None:
    """What is said of an incident; None where the record is no remark that this software can read."""
    body = decode_body(record)
    if not isinstance(body, Remark | ClipBody | IssuedBody):
        return None
    fields = {name: value for name, value in msgspec.structs.asdict(body).items() if name != "v"}
    if isinstance(body, ClipBody):
        fields |= {"time_ns": body.first_ns, "sha256": body.sha256.hex(), "pose": _plain(body.pose)}
    place = {"node": record.node, "record": record_name(record), "written_ns": record.time_ns}
    document = {**fields, **place}
    if isinstance(body, AcknowledgementBody):
        return Said(body.incident, body.unit, document)
    if isinstance(body, ReviewBody):
        return Said(body.incident, body.by, document)
    if isinstance(body, ClipBody):
        return Said(body.incident, body.pick, document)
    if isinstance(body, IssuedBody):
        return Said(body.incident, body.sink, document)
    return Said("", body.by, document)


def _plain(pose: PoseBody | None) -> dict[str, float] | None:
    return None if pose is None else {k: v for k, v in msgspec.structs.asdict(pose).items() if k != "v"}


def record_name(record: Record) -> str:
    """A record's place as text: "node:epoch:seq"."""
    return f"{record.node}:{record.epoch}:{record.seq}"
