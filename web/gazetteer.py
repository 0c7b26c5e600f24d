"""From a place to words: street and cross street, beat and zone, or distance from a named place. No I/O.

Distances are planar, in metres about the place asked for: within a town that is exact to centimetres.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from appliance.errors import InputError

MAX_STREET_M = 150.0
"""A place further from every street than that has no street."""
MAX_CROSS_M = 300.0
MAX_NAMED_M = 20_000.0
MAX_FEATURES = 200_000
MAX_POINTS = 2_000_000
MAX_NAME_CHARS = 80

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Position = Annotated[list[float], Meta(min_length=2, max_length=4)]


class _Geometry(msgspec.Struct):
    type: str
    coordinates: Any = None


class _Feature(msgspec.Struct):
    type: Literal["Feature"]
    geometry: _Geometry | None
    properties: dict[str, Any] | None = None


class _Collection(msgspec.Struct):
    type: Literal["FeatureCollection"]
    features: Annotated[list[_Feature], Meta(max_length=MAX_FEATURES)]


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """Segments of named streets: ends in degrees, shape (n, 2, 2) as (lat, lon), and the index of each one's name."""

    names: tuple[str, ...] = ()
    ends_deg: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2, 2)))
    name_of: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """A named area: what kind of one (`beat`, `zone`, …) and its rings in degrees, shape (n, 2) as (lat, lon)."""

    kind: str
    name: str
    rings_deg: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A point that people know by name."""

    name: str
    lat_deg: float
    lon_deg: float


@dataclass(frozen=True, slots=True)
class Address:
    """What is known of a place; None where nothing near enough is.

    near_m, near_bearing_deg: from the named place to the place that was asked for
    """

    street: str | None = None
    cross: str | None = None
    zones: Mapping[str, str] = field(default_factory=dict)
    near: str | None = None
    near_m: float = 0.0
    near_bearing_deg: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Gazetteer:
    """All that the owner gave of streets, zones and places."""

    streets: Streets = field(default_factory=Streets)
    zones: tuple[Zone, ...] = ()
    places: tuple[NamedPlace, ...] = ()

    def address(self, lat_deg: float, lon_deg: float) -> Address:
        """The address of a place."""
        street, cross = _street(self.streets, lat_deg, lon_deg)
        zones = {zone.kind: zone.name for zone in self.zones if _holds(zone, lat_deg, lon_deg)}
        near = _nearest(self.places, lat_deg, lon_deg)
        if near is None:
            return Address(street, cross, zones)
        name, metres, bearing_deg = near
        return Address(street, cross, zones, name, metres, bearing_deg)


def read_streets(data: bytes, source: str) -> Streets:
    """Streets from GeoJSON lines with a `name`, or CSV with name, lat, lon: rows of one name make a line.

    Raises InputError.
    """
    lines = list(_csv_lines(data, source) if _is_csv(data) else _geojson_lines(data, source))
    names = sorted({name for name, _ in lines})
    index = {name: i for i, name in enumerate(names)}
    ends = [np.stack([points[:-1], points[1:]], axis=1) for _, points in lines if len(points) > 1]
    owners = [np.full(len(points) - 1, index[name]) for name, points in lines if len(points) > 1]
    if not ends:
        raise InputError(source, "holds no line with a name", "give lines with the property name, or CSV name,lat,lon")
    return Streets(tuple(names), np.concatenate(ends), np.concatenate(owners))


def read_zones(data: bytes, source: str) -> tuple[Zone, ...]:
    """Zones from GeoJSON polygons with `name` and maybe `kind` (`beat`, `zone`, …). Raises InputError."""
    zones = []
    for feature in _features(data, source):
        properties, geometry = feature.properties or {}, feature.geometry
        if geometry is None or geometry.type not in ("Polygon", "MultiPolygon"):
            continue
        polygons = [geometry.coordinates] if geometry.type == "Polygon" else geometry.coordinates
        rings = tuple(_points(ring, source) for polygon in _list(polygons, source) for ring in _list(polygon, source))
        zones.append(Zone(_word(properties.get("kind"), "zone"), _word(properties.get("name"), "?"), rings))
    if not zones:
        raise InputError(source, "holds no polygon", "give polygons with the properties name and kind")
    return tuple(zones)


def read_places(data: bytes, source: str) -> tuple[NamedPlace, ...]:
    """Named places from GeoJSON points with a `name`, or CSV with name, lat, lon. Raises InputError."""
    if _is_csv(data):
        found = [NamedPlace(name, lat, lon) for name, lat, lon in _csv_rows(data, source)]
    else:
        found = []
        for feature in _features(data, source):
            name = _word((feature.properties or {}).get("name"), "")
            if name and feature.geometry is not None and feature.geometry.type == "Point":
                lat, lon = _points([feature.geometry.coordinates], source)[0]
                found.append(NamedPlace(name, float(lat), float(lon)))
    if not found:
        raise InputError(source, "holds no point with a name", "give points with a name, or CSV name,lat,lon")
    return tuple(found)


def _street(streets: Streets, lat_deg: float, lon_deg: float) -> tuple[str | None, str | None]:
    """The nearest street, and the nearest other one to the point of it that is nearest."""
    if not len(streets.ends_deg):
        return None, None
    ends_m = _to_metres(streets.ends_deg, lat_deg, lon_deg)
    distances_m, feet_m = _to_segments(ends_m, np.zeros(2))
    best = int(np.argmin(distances_m))
    if distances_m[best] > MAX_STREET_M:
        return None, None
    owner = streets.name_of[best]
    across_m, _ = _to_segments(ends_m, feet_m[best])
    across_m[streets.name_of == owner] = np.inf
    cross = int(np.argmin(across_m))
    has_cross = across_m[cross] <= MAX_CROSS_M
    return streets.names[owner], streets.names[streets.name_of[cross]] if has_cross else None


def _to_segments(
    ends_m: NDArray[np.float64], point_m: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of a point to each segment, and the nearest point of each."""
    start, along = ends_m[:, 0], ends_m[:, 1] - ends_m[:, 0]
    length2 = np.maximum((along**2).sum(axis=1), 1e-9)
    share = np.clip(((point_m - start) * along).sum(axis=1) / length2, 0.0, 1.0)
    feet = start + share[:, None] * along
    return np.hypot(*(feet - point_m).T), feet


def _holds(zone: Zone, lat_deg: float, lon_deg: float) -> bool:
    """Whether an odd number of the rings' edges lies east of the place."""
    n_crossed = 0
    for ring in zone.rings_deg:
        a, b = ring[:-1], ring[1:]
        spans = (a[:, 0] > lat_deg) != (b[:, 0] > lat_deg)
        rise = np.where(spans, b[:, 0] - a[:, 0], 1.0)
        lon = a[:, 1] + (lat_deg - a[:, 0]) / rise * (b[:, 1] - a[:, 1])
        n_crossed += int((spans & (lon > lon_deg)).sum())
    return n_crossed % 2 == 1


def _nearest(places: Sequence[NamedPlace], lat_deg: float, lon_deg: float) -> tuple[str, float, float] | None:
    if not places:
        return None
    points = np.array([[place.lat_deg, place.lon_deg] for place in places])
    offsets_m = -_to_metres(points, lat_deg, lon_deg)
    distances_m = np.hypot(*offsets_m.T)
    best = int(np.argmin(distances_m))
    if distances_m[best] > MAX_NAMED_M:
        return None
    east_m, north_m = offsets_m[best]
    return places[best].name, float(distances_m[best]), float(np.degrees(np.arctan2(east_m, north_m)) % 360.0)


def _to_metres(points_deg: NDArray[np.float64], lat_deg: float, lon_deg: float) -> NDArray[np.float64]:
    """East and north of the place, metres; `points_deg` (…, 2) as (lat, lon).

    Lengths of a degree on WGS-84: series of the US National Geospatial-Intelligence Agency, good to centimetres.
    """
    phi = np.radians(lat_deg)
    north_m = 111_132.92 - 559.82 * np.cos(2 * phi) + 1.175 * np.cos(4 * phi)
    east_m = 111_412.84 * np.cos(phi) - 93.5 * np.cos(3 * phi)
    east = (points_deg[..., 1] - lon_deg) * east_m
    north = (points_deg[..., 0] - lat_deg) * north_m
    return np.stack([east, north], axis=-1)


def _features(data: bytes, source: str) -> list[_Feature]:
    try:
        return msgspec.json.decode(data, type=_Collection).features
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(source, f"is no GeoJSON feature collection: {error}", "give one, or CSV") from error


def _geojson_lines(data: bytes, source: str) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for feature in _features(data, source):
        name, geometry = _word((feature.properties or {}).get("name"), ""), feature.geometry
        if not name or geometry is None or geometry.type not in ("LineString", "MultiLineString"):
            continue
        parts = [geometry.coordinates] if geometry.type == "LineString" else geometry.coordinates
        for part in _list(parts, source):
            yield name, _points(part, source)


def _csv_lines(data: bytes, source: str) -> Iterator[tuple[str, NDArray[np.float64]]]:
    points: list[tuple[float, float]] = []
    current = ""
    for name, lat, lon in _csv_rows(data, source):
        if name != current and points:
            yield current, np.array(points)
            points = []
        current = name
        points.append((lat, lon))
    if points:
        yield current, np.array(points)


def _csv_rows(data: bytes, source: str) -> Iterator[tuple[str, float, float]]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
        for row in reader:
            name, lat, lon = row["name"], float(row["lat"]), float(row["lon"])
            if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0 and name):
                raise InputError(source, f"line {reader.line_num}: {lat}, {lon} is no place", "mend the line")
            yield name[:MAX_NAME_CHARS], lat, lon
    except (KeyError, TypeError, ValueError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(source, f"is no CSV with name, lat, lon: {error}", "give these columns") from error


def _points(ring: object, source: str) -> NDArray[np.float64]:
    """Positions (longitude first, RFC 7946) as (lat, lon), shape (n, 2). Raises InputError."""
    try:
        positions = msgspec.convert(ring, type=Annotated[list[Position], Meta(max_length=MAX_POINTS)])
    except msgspec.ValidationError as error:
        raise InputError(source, f"has coordinates that are none: {error}", "mend the file") from error
    points = np.array([[p[1], p[0]] for p in positions], dtype=np.float64).reshape(-1, 2)
    if not (np.isfinite(points).all() and (abs(points[:, 0]) <= 90.0).all() and (abs(points[:, 1]) <= 180.0).all()):
        raise InputError(source, "has coordinates outside of the Earth", "give longitude and latitude in degrees")
    return points


def _list(value: object, source: str) -> list[object]:
    if not isinstance(value, list):
        raise InputError(source, "has coordinates that are no list", "mend the file")
    return value


def _word(value: object, default: str) -> str:
    return value[:MAX_NAME_CHARS] if isinstance(value, str) and value.strip() else default


def _is_csv(data: bytes) -> bool:
    return not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
