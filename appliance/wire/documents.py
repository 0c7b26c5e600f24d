"""JSON documents from outside: parsed strictly, and refused with the file, the field, the value and a remedy.

The standard parser reads the text, because it takes NaN and Infinity in (they are then refused by field, not as
"malformed"); msgspec checks shape, types and ranges.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from appliance.errors import InputError
from appliance.model.instants import NS_PER_S

T = TypeVar("T")

MAX_SHOWN_CHARACTERS = 60
"""How much of a wrong value an error repeats: enough to find it, short enough for one line."""

LAST_YEAR_NS = 4_102_444_800 * NS_PER_S
"""2100-01-01T00:00:00Z; later times are mistakes (microseconds or a broken clock), as are those before 1970."""

NodeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
"""A node's name: it becomes part of file names, ids and pages, so nothing that any of them could misread."""
TimeNs = Annotated[int, msgspec.Meta(ge=0, lt=LAST_YEAR_NS)]
SigmaNs = Annotated[int, msgspec.Meta(ge=0, le=3_600 * NS_PER_S)]
Latitude = Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
Longitude = Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)]
AltitudeM = Annotated[float, msgspec.Meta(ge=-1_000.0, le=10_000.0)]
SigmaM = Annotated[float, msgspec.Meta(ge=0.0, le=10_000.0)]
Degrees = Annotated[float, msgspec.Meta(ge=-360.0, le=360.0)]
ElevationDeg = Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
SigmaDeg = Annotated[float, msgspec.Meta(ge=0.0, le=360.0)]
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
WindMps = Annotated[float, msgspec.Meta(ge=-100.0, le=100.0)]
TemperatureC = Annotated[float, msgspec.Meta(ge=-60.0, le=60.0)]

FIELD_HELP: Mapping[str, str] = {
    "version": "write 1, or use an Earshot that reads this version",
    "name": "write a name for people, at most 200 characters, or leave it out",
    "id": "write 1 to 64 of A-Z a-z 0-9 _ . - beginning with a letter or digit",
    "node": "write 1 to 64 of A-Z a-z 0-9 _ . - beginning with a letter or digit",
    "audio": "write the file's name relative to the scene's folder",
    "time_ns": "write whole nanoseconds of UTC since 1970, before the year 2100",
    "start_ns": "write whole nanoseconds of UTC since 1970, before the year 2100",
    "sigma_ns": "write whole nanoseconds, 0 to one hour",
    "clock_sigma_ns": "write whole nanoseconds, 0 to one hour",
    "sample_rate_error_ppm": "write parts per million, -10000 to 10000, or leave it out",
    "position": "write lat, lon (degrees), alt_m and sigma_m (metres)",
    "lat": "write the latitude in degrees, -90 to 90",
    "lon": "write the longitude in degrees, -180 to 180",
    "alt_m": "write the height in metres, -1000 to 10000",
    "sigma_m": "write the position's 1-sigma error in metres, 0 to 10000",
    "microphones_m": "write one [x, y, z] in metres per channel, 1 to 16 channels, each within 100 m",
    "heading_deg": "write degrees clockwise from true north, -360 to 360",
    "bearing_deg": "write degrees clockwise from true north, -360 to 360, or leave it out",
    "bearing_sigma_deg": "write the bearing's 1-sigma error in degrees, or leave the bearing out",
    "elevation_deg": "write degrees above the horizontal, -90 to 90, or leave it out",
    "elevation_sigma_deg": "write the elevation's 1-sigma error in degrees, or leave the elevation out",
    "phase": "write muzzle-blast, shock-wave, reflection or unknown, or leave it out",
    "phase_probability": "write a probability, 0 to 1, or leave it out",
    "level_db_spl": "write the peak level in dB SPL, -50 to 250, or leave it out",
    "snr_db": "write dB, -200 to 200, or leave it out",
    "gunshot_probability": "write a probability, 0 to 1, or leave it out",
    "confidence": "write a probability, 0 to 1",
    "temperature_c": "write degrees Celsius, -60 to 60, or leave out air as a whole",
    "wind_mps": "write [east, north] in metres per second, each within 100, or leave out air as a whole",
    "air": "write temperature_c and wind_mps, or leave it out",
    "nodes": "write a list of 1 to 1000 nodes",
    "arrivals": "write a list of at most 200000 arrivals",
}
"""What to do about each field, said after what is wrong with it."""

GENERAL_HELP = "write it as the format says"


class PositionJson(msgspec.Struct, frozen=True):
    """A surveyed position: WGS-84 degrees, height in metres, 1-sigma per axis in metres."""

    lat: Latitude
    lon: Longitude
    alt_m: AltitudeM
    sigma_m: SigmaM


class AirJson(msgspec.Struct, frozen=True):
    """What a node would have measured; wind is [east, north] and says where it blows to."""

    temperature_c: TemperatureC
    wind_mps: tuple[WindMps, WindMps]


class VersionJson(msgspec.Struct, frozen=True):
    """The part that every document has, whatever its version."""

    version: Literal[1]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a document came from, for errors.

    name:     the file, as the user wrote it
    entries:  list fields whose entries errors call by name: list field -> (word, field that holds the name)
    """

    name: str
    entries: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def parse_json(data: bytes, source: str, *, max_bytes: int) -> object:
    """The document as plain objects. Raises InputError for what is too large, not UTF-8, not JSON or has twin keys."""
    if len(data) > max_bytes:
        raise InputError(source, f"{len(data)} bytes, more than {max_bytes}", "split it into smaller files")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise InputError(source, f"not UTF-8: byte {e.start} is 0x{data[e.start]:02x}", "save it as UTF-8") from None
    try:
        parsed: object = json.loads(text, object_pairs_hook=_object_without_twins)
    except _TwinKeyError as e:
        raise InputError(source, f"the field {shown(e.key)} stands twice in one object", "keep one of them") from None
    except json.JSONDecodeError as e:
        problem = f"not JSON: {e.msg.lower()} at line {e.lineno}, column {e.colno}"
        raise InputError(source, problem, "correct it there, or write the file again") from None
    except RecursionError:
        raise InputError(source, "not JSON of this format: nested too deeply", "write the file again") from None
    except ValueError:
        raise InputError(source, "holds a number of thousands of digits", "write plain numbers") from None
    return parsed


def convert(document: object, shape: type[T], source: Source) -> T:
    """The document as `shape`; fields that it does not know are ignored. Raises InputError naming the first fault."""
    try:
        return msgspec.convert(document, shape, strict=True)
    except msgspec.ValidationError as e:
        raise _explain(str(e), document, source) from None


def require_version_1(document: object, source: Source) -> None:
    """Refuse another version before anything else of the document is looked at."""
    if isinstance(document, dict) and isinstance(document.get("version"), bool):
        raise InputError(f"{source.name}, version", f"is {shown(document['version'])}", FIELD_HELP["version"])
    convert(document, VersionJson, source)


def shown(value: object) -> str:
    """A value as JSON in ASCII, on one line and shortened, for an error."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 3] + "..."


class _TwinKeyError(Exception):
    """One JSON object has one key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _object_without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _TwinKeyError(key)
        seen.add(key)
    return result


_PATH = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")


def _explain(message: str, document: object, source: Source) -> InputError:
    """The message of msgspec as an error that names the entry, the field, the value and the remedy."""
    found = _PATH.search(message)
    what = message[: found.start()] if found else message
    steps = [name or index for name, index in _STEP.findall(found["path"])] if found else []
    owner, path, value = _walk(document, steps, source)
    missing = _MISSING.match(what)
    if missing:
        path = f"{path}.{missing['name']}" if path else missing["name"]
        return InputError(f"{owner}, {path}", "is missing", _help_for([*steps, missing["name"]]))
    thing = f"{owner}, {path}" if path else owner
    remedy = _help_for(steps)
    if remedy == GENERAL_HELP:
        return InputError(thing, f"is {shown(value)}, {_expectation(what)}", remedy)
    return InputError(thing, f"is {shown(value)}", remedy)


def _walk(document: object, steps: list[str], source: Source) -> tuple[str, str, object]:
    """The file with the named entry in it where there is one, the field's path below that, and the value there."""
    owner, path, value = source.name, "", document
    for before, step in zip(["", *steps], steps, strict=False):
        if step.isdigit() and isinstance(value, list):
            value = value[int(step)]
            entry = source.entries.get(before)
            if entry is None:
                path += f"[{step}]"
            else:
                owner, path = f"{owner}, {_entry_name(entry, int(step), value)}", ""
            continue
        if not isinstance(value, dict) or step not in value:
            break
        value = value[step]
        path = f"{path}.{step}" if path else step
    return owner, path, value


def _entry_name(entry: tuple[str, str], index: int, value: object) -> str:
    word, key = entry
    name = value.get(key) if isinstance(value, dict) else None
    return f"{word} {name}" if isinstance(name, str) and name.isprintable() and len(name) <= 64 else f"{word} [{index}]"


def _help_for(steps: list[str]) -> str:
    """The remedy of the innermost field that has one."""
    for step in reversed(steps):
        if step in FIELD_HELP:
            return FIELD_HELP[step]
    return GENERAL_HELP


def _expectation(what: str) -> str:
    return what.replace("`", "").replace("Expected", "expected", 1)
