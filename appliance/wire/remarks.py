"""Records of what people said, as the pages read them."""

from dataclasses import dataclass
from typing import Any

import msgspec

from appliance.ledger.records import Record
from appliance.wire.records import AcknowledgementBody, Remark, ReviewBody, decode_body


@dataclass(frozen=True, slots=True)
class Said:
    """A remark: the incident that it is about (empty: none), the unit or person whose newest one counts, and all of it.

    document: the body's fields; and `node`, `record` ("node:epoch:seq") and `written_ns` of its record
    """

    incident: str
    subject: str
    document: dict[str, Any]


def remark_of(record: Record) -> Said | None:
    """What a person said; None where the record is no remark that this software can read."""
    body = decode_body(record)
    if not isinstance(body, Remark):
        return None
    fields = {name: value for name, value in msgspec.structs.asdict(body).items() if name != "v"}
    place = {"node": record.node, "record": record_name(record), "written_ns": record.time_ns}
    document = {**fields, **place}
    if isinstance(body, AcknowledgementBody):
        return Said(body.incident, body.unit, document)
    if isinstance(body, ReviewBody):
        return Said(body.incident, body.by, document)
    return Said("", body.by, document)


def record_name(record: Record) -> str:
    """A record's place as text: "node:epoch:seq"."""
    return f"{record.node}:{record.epoch}:{record.seq}"
