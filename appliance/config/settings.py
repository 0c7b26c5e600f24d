"""The settings of a node, and how a TOML file becomes them.

Every key is declared here and nowhere else: its type and bounds (`Meta`), its default and its help. A file is
checked whole: all errors come in one message, and an unknown key is an error with a suggestion.
"""

import difflib
import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from appliance.errors import InputError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Node and site names go into file names, mDNS names and certificates, so they are plain and short."""

Section = TypeVar("Section", bound=msgspec.Struct)


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who this node is."""

    id: Annotated[str, Meta(pattern=NAME_PATTERN, description="name of this node, unique on the site")] = "node-1"
    site: Annotated[str, Meta(pattern=NAME_PATTERN, description="name of the site that the node belongs to")] = "site"


class EarsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The microphone array."""

    source: Annotated[
        Literal["alsa", "stream", "disabled"],
        Meta(description="alsa: a sound card; stream: blocks from run/ears.sock (demo); disabled: none"),
    ] = "alsa"
    array: Annotated[
        Literal["auto", "respeaker", "uma-8", "uma-16", "generic"],
        Meta(
            description="kind of array; auto: a known one that is plugged in, else generic: as the next five keys say"
        ),
    ] = "auto"
    device: Annotated[str, Meta(max_length=128, description="generic array: its ALSA name")] = "default"
    sample_rate_hz: Annotated[
        int, Meta(ge=8_000, le=96_000, description="generic array: rate of the converter, Hz")
    ] = 16_000
    n_device_channels: Annotated[
        int, Meta(ge=0, le=32, description="generic array: channels of the device; 0: as many as are used")
    ] = 0
    channels: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=31)], ...],
        Meta(max_length=16, description="generic array: device's channel of each microphone, from 0; empty: in order"),
    ] = ()
    microphones_m: Annotated[
        tuple[tuple[float, float, float], ...],
        Meta(min_length=1, max_length=16, description="generic array: x right, y forward, z up of each one, metres"),
    ] = ((0.0, 0.0, 0.0),)
    sensitivity_dbspl: Annotated[
        Annotated[float, Meta(ge=60, le=220)] | None,
        Meta(
            description="peak sound pressure level at full scale, dB SPL; absent: the array's data sheet, or not known"
        ),
    ] = None
    latency_us: Annotated[
        Annotated[float, Meta(ge=-100_000, le=100_000)] | None,
        Meta(description="delay from pressure to time stamp, microseconds (earshot latency measures it); absent: none"),
    ] = None
    kept_s: Annotated[
        float, Meta(ge=2, le=60, description="sound kept in memory for clips around picks, seconds; never more than 60")
    ] = 20.0
    classifier: Annotated[
        str | None, Meta(max_length=1024, description="path of a TFLite model; absent: the one that came with Earshot")
    ] = None


class PlaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the node stands and where its array points."""

    source: Annotated[
        Literal["fixed", "gpsd", "disabled"], Meta(description="fixed: the values below; gpsd: a receiver")
    ] = "gpsd"
    lat_deg: Annotated[float, Meta(ge=-90, le=90, description="latitude, WGS-84 degrees")] = 0.0
    lon_deg: Annotated[float, Meta(ge=-180, le=180, description="longitude, WGS-84 degrees")] = 0.0
    alt_m: Annotated[float, Meta(ge=-1_000, le=10_000, description="height above the ellipsoid, metres")] = 0.0
    sigma_m: Annotated[float, Meta(gt=0, le=1_000, description="1-sigma error of the position per axis, metres")] = 3.0
    heading_deg: Annotated[float, Meta(ge=-360, le=360, description="bearing of the array's +y axis, degrees")] = 0.0
    heading_sigma_deg: Annotated[float, Meta(ge=0, le=180, description="its 1-sigma error, degrees")] = 5.0
    gpsd_port: Annotated[int, Meta(ge=1, le=65_535, description="port of gpsd on this machine")] = 2947


class ClockSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The system clock, which chrony keeps."""

    receiver: Annotated[
        bool, Meta(description="whether a GPS receiver with a pulse keeps the clock; false: chrony alone is asked")
    ] = True
    sigma_us: Annotated[
        Annotated[float, Meta(gt=0, le=1e9)] | None,
        Meta(
            description="1-sigma error of the clock entered by hand, microseconds; absent: chrony and receiver say it"
        ),
    ] = None


class AirSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The air around the node, where somebody measured it."""

    temperature_c: Annotated[
        Annotated[float, Meta(ge=-60, le=60)] | None,
        Meta(description="temperature, degrees Celsius; absent: not known"),
    ] = None
    temperature_sigma_c: Annotated[float, Meta(gt=0, le=30, description="its 1-sigma error")] = 2.0
    wind_east_mps: Annotated[float, Meta(ge=-60, le=60, description="wind towards the east, m/s")] = 0.0
    wind_north_mps: Annotated[float, Meta(ge=-60, le=60, description="wind towards the north, m/s")] = 0.0
    wind_sigma_mps: Annotated[float, Meta(ge=0, le=60, description="1-sigma error of each component, m/s")] = 3.0


class MeshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the node meets its peers."""

    interfaces: Annotated[
        tuple[str, ...], Meta(max_length=8, description="addresses to announce and listen on; empty: all")
    ] = ()
    port: Annotated[int, Meta(ge=0, le=65_535, description="TCP port for peers; 0: any free one")] = 7117
    peers: Annotated[tuple[str, ...], Meta(max_length=25, description="host:port of peers that mDNS can't find")] = ()


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The node's pages."""

    host: Annotated[
        str, Meta(max_length=255, description="address to serve on; 0.0.0.0: the whole LAN, over HTTPS")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="TCP port of the pages; 0: any free one")] = 8080
    max_clients: Annotated[
        int, Meta(ge=1, le=1_000, description="browsers with a live page at one time; one more gets 503")
    ] = 200
    open_loopback: Annotated[
        bool, Meta(description="who asks from this machine itself needs no log-in and may do everything; for the demo")
    ] = False
    open_metrics: Annotated[bool, Meta(description="monitoring may read /metrics without a log-in")] = False


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where alerts go beyond the pages."""

    webhook: Annotated[
        Annotated[str, Meta(max_length=1_000)] | None,
        Meta(description="http or https address that gets each alert as JSON; absent: none"),
    ] = None
    secret: Annotated[
        Annotated[str, Meta(min_length=16, max_length=200)] | None,
        Meta(description="signs what is sent there with HMAC-SHA256; absent: not signed"),
    ] = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one node."""

    node: NodeSettings = NodeSettings()
    ears: EarsSettings = EarsSettings()
    place: PlaceSettings = PlaceSettings()
    clock: ClockSettings = ClockSettings()
    air: AirSettings = AirSettings()
    mesh: MeshSettings = MeshSettings()
    web: WebSettings = WebSettings()
    alerts: AlertSettings = AlertSettings()


MAX_FILE_BYTES = 64 * 1024
"""A settings file is a page of text; more is a mistake or an attack."""


def load_settings(path: Path) -> Settings:
    """The settings in the TOML file `path`. Raises InputError with all that is wrong in it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(str(path), error.strerror or "can't be read", "name a readable settings file") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(str(path), f"is larger than {MAX_FILE_BYTES} bytes", "name a settings file")
    return parse_settings(data, str(path))


def parse_settings(data: bytes, source: str) -> Settings:
    """The settings in the TOML text `data`; `source` names it in errors. Raises InputError with all that is wrong."""
    try:
        # Windows editors add a byte-order mark and CRLF; both are harmless.
        document = tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(source, f"is not TOML: {error}", "mend the line named") from error
    errors: list[str] = []
    sections: dict[str, msgspec.Struct] = {}
    known = {field.name: field for field in msgspec.structs.fields(Settings)}
    for name, value in document.items():
        if name not in known:
            errors.append(f"[{name}] is no section{_suggestion(name, list(known))}")
        elif not isinstance(value, dict):
            errors.append(f"{name} = {value!r} stands outside a section")
        else:
            sections[name] = _section(known[name].type, name, value, errors)
    if errors:
        raise InputError(source, "; ".join(errors), "mend these and start again")
    return Settings(**sections)  # type: ignore[arg-type]  # each was built from the field's own type


def _section(section: type[Section], name: str, values: dict[str, Any], errors: list[str]) -> Section:
    """Build one section from its table, adding every problem to `errors`."""
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    good: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            errors.append(f"{name}.{key} is no setting{_suggestion(key, list(fields))}")
            continue
        if not _is_finite(value):
            errors.append(f"{name}.{key} = {value!r} is not a finite number")
            continue
        try:
            good[key] = msgspec.convert(value, fields[key].type)
        except msgspec.ValidationError as error:
            errors.append(f"{name}.{key} = {value!r}: {error}")
    return section(**good)


def _is_finite(value: object) -> bool:
    """Whether no number in `value` is NaN or infinite: TOML has words for both, and NaN slips through bounds."""
    if isinstance(value, list):
        return all(_is_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def _suggestion(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else f" (there are {', '.join(known)})"


def describe(settings: Settings) -> str:
    """The effective settings as a TOML text with a line of help above each key."""
    lines: list[str] = []
    for section in msgspec.structs.fields(Settings):
        lines.append(f"[{section.name}]")
        values = getattr(settings, section.name)
        for field in msgspec.structs.fields(type(values)):
            help_text = next((m.description for m in field.type.__metadata__ if m.description), "")
            value = getattr(values, field.name)
            lines.append(f"# {help_text}")
            text = "" if value is None else msgspec.json.encode(value).decode()
            lines.append(f"{field.name} = {text}" if text else f"# {field.name} =")
        lines.append("")
    return "\n".join(lines)
