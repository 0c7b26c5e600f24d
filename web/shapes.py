"""What requests may carry: bodies checked field by field, and the queries that lists understand."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import Meta

from appliance.model.remarks import ReviewVerdict, UnitState

PLAIN = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+\Z"
"""One line as others will read it, without characters that reorder or hide text."""
Unit = Annotated[str, Meta(min_length=1, max_length=32, pattern=PLAIN)]


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A press of a car's button; `time_ns` is when it was pressed, by the node's time, and makes a repeat harmless."""

    unit: Unit
    state: UnitState
    time_ns: int


class Review(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's verdict."""

    verdict: ReviewVerdict
    note: Annotated[str, Meta(max_length=1_000)] = ""


class Exercise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A test alert: what it says, and maybe where it is said to be."""

    words: Annotated[str, Meta(min_length=1, max_length=200, pattern=PLAIN)]
    lat_deg: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon_deg: Annotated[float, Meta(ge=-180, le=180)] | None = None


BODIES: Mapping[str, type[msgspec.Struct]] = MappingProxyType(
    {"remarks.acknowledge": Acknowledgement, "remarks.review": Review, "remarks.exercise": Exercise}
)
QUERIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "api.incidents": {"limit": "at most so many, 1 to 1000", "since": "only what changed after this cursor"},
        "api.rejections": {"limit": "at most so many, 1 to 1000"},
        "live.events": {"since": "the cursor to read on from, where no Last-Event-ID is sent"},
    }
)
