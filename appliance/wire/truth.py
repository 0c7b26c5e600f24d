"""Truth files: `truth.json` beside a scene, what really happened. For benches and tests; no node ever reads one."""

from typing import Annotated

import msgspec

from appliance.wire.documents import AltitudeM, Latitude, Longitude, Source, TimeNs, convert, parse_json

MAX_TRUTH_BYTES = 16 * 2**20
"""A hundred thousand events."""

Word = Annotated[str, msgspec.Meta(max_length=200)]


class TruthShot(msgspec.Struct, frozen=True):
    """One discharge, at its source."""

    time_ns: TimeNs
    lat: Latitude
    lon: Longitude
    alt_m: AltitudeM = 0.0
    shooter: Word = "a"
    weapon: Word = ""


class TruthOther(msgspec.Struct, frozen=True):
    """One loud thing that is not gunfire, at its source."""

    time_ns: TimeNs
    lat: Latitude
    lon: Longitude
    kind: Word
    alt_m: AltitudeM | None = None


class Truth(msgspec.Struct, frozen=True):
    """What happened; `rounds` where more were fired than `shots` lists, `survey_sigma_m` where that is known."""

    shots: tuple[TruthShot, ...]
    other: tuple[TruthOther, ...] = ()
    rounds: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    survey_sigma_m: Annotated[float, msgspec.Meta(ge=0.0, le=1_000.0)] | None = None


def decode_truth(data: bytes, source: str) -> Truth:
    """The truth in `data`; `source` is the file's name, for errors. Raises InputError."""
    document = parse_json(data, source, max_bytes=MAX_TRUTH_BYTES)
    return convert(document, Truth, Source(source, {"shots": ("shot", "shooter"), "other": ("other", "kind")}))


def encode_truth(truth: Truth) -> bytes:
    """The truth as `truth.json`, indented, with a newline at the end; what is not known (None) is left out."""
    document = {name: value for name, value in msgspec.to_builtins(truth).items() if value is not None}
    document["other"] = [{k: v for k, v in other.items() if v is not None} for other in document["other"]]
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
