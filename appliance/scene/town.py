"""Newmere, a town that does not exist: streets, houses and parks made from a seed, for simulated scenes and their map.

It lies in the Tanezrouft, the emptiest part of the Sahara, so that nobody can take its incidents for real ones.
The town frame is metres, x and y along its streets, z up from the ground; it is turned against ENU.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from appliance.model.space import Geodetic
from appliance.physics.attenuation import Floats
from appliance.physics.geodesy import LocalFrame

ORIGIN = Geodetic(23.9, 0.9, 300.0)
"""The middle of the town: sand, 100 km from the next track."""
GROUND_ALT_M = 300.0
TURN_DEG = 14.0
"""Bearing of the town's y axis: its avenues don't quite run north."""

STREET_WIDTH_M = 14.0

House = tuple[float, float, float, float, float]
"""West, south, east, north and height of a box."""

# fmt: off
_FIRST = (
    "Heron", "Larch", "Quarry", "Mill", "Aspen", "Kestrel", "Tanner", "Orchard", "Fennel", "Harbour", "Cooper",
    "Linden", "Saddler", "Thistle", "Weaver", "Alder", "Brook", "Chandler", "Damson", "Ember", "Falcon", "Garnet",
    "Hazel", "Ivory", "Juniper", "Kiln", "Lantern", "Meadow", "Nettle", "Osier", "Plover", "Quince", "Rowan",
    "Sable", "Teasel", "Umber", "Vesper", "Willow", "Yarrow", "Zinnia",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Street:
    """A straight street in the town frame."""

    name: str
    from_m: tuple[float, float]
    to_m: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Block:
    """Ground between four streets: (west, south, east, north) in the town frame, metres."""

    bounds_m: tuple[float, float, float, float]
    is_park: bool


@dataclass(frozen=True, slots=True, eq=False)
class Town:
    """Streets, blocks, and houses as boxes: rows of (west, south, east, north, height), town frame, metres."""

    streets: tuple[Street, ...]
    blocks: tuple[Block, ...]
    houses_m: Floats
    crossings_m: Floats

    def to_enu(self, town_m: Floats) -> Floats:
        """Points of the town frame, shape (..., 3), as ENU around `ORIGIN`."""
        return _turn(town_m, math.radians(TURN_DEG))

    def from_enu(self, enu_m: Floats) -> Floats:
        """Points in ENU around `ORIGIN`, shape (..., 3), in the town frame."""
        return _turn(enu_m, -math.radians(TURN_DEG))


def make_town(half_width_m: float, rng: np.random.Generator) -> Town:
    """A town that reaches at least `half_width_m` from its middle in each direction."""
    columns, rows = _lines(half_width_m, 104.0, rng), _lines(half_width_m, 82.0, rng)
    names = list(rng.permutation(_FIRST))
    streets = [Street(_name(names, i, "Street"), (x, rows[0]), (x, rows[-1])) for i, x in enumerate(columns)]
    streets += [Street(_name(names, -1 - i, "Avenue"), (columns[0], y), (columns[-1], y)) for i, y in enumerate(rows)]
    blocks: list[Block] = []
    houses: list[House] = []
    margin_m = STREET_WIDTH_M / 2.0
    for west, east in itertools.pairwise(columns):
        for south, north in itertools.pairwise(rows):
            bounds = (west + margin_m, south + margin_m, east - margin_m, north - margin_m)
            is_park = bool(rng.random() < 0.1)
            blocks.append(Block(bounds, is_park))
            if not is_park:
                houses += _houses(bounds, rng)
    crossings = np.array([(x, y, 0.0) for x in columns for y in rows])
    return Town(tuple(streets), tuple(blocks), np.array(houses).reshape(-1, 5), crossings)


def town_geojson(town: Town) -> dict[str, object]:
    """The town for a map: parks and houses as polygons, streets as named lines, WGS-84, bottom layer first."""
    frame = LocalFrame(ORIGIN)

    def degrees(points: list[tuple[float, float]]) -> list[list[float]]:
        enu_m = town.to_enu(np.array([(x, y, 0.0) for x, y in points]))
        places = [frame.to_geodetic(*(float(v) for v in p)) for p in enu_m]
        return [[round(p.lon_deg, 7), round(p.lat_deg, 7)] for p in places]

    features = [_polygon("park", degrees(_ring(b.bounds_m)), {}) for b in town.blocks if b.is_park]
    features += [
        _polygon("building", degrees(_ring((w, s, e, n))), {"height_m": round(float(height), 1)})
        for w, s, e, n, height in town.houses_m
    ]
    features += [
        {
            "type": "Feature",
            "properties": {"kind": "street", "name": street.name},
            "geometry": {"type": "LineString", "coordinates": degrees([street.from_m, street.to_m])},
        }
        for street in town.streets
    ]
    return {"type": "FeatureCollection", "features": features}


def degrees_of(place_m: tuple[float, float, float]) -> tuple[float, float, float]:
    """Latitude and longitude in degrees and altitude in metres of a place in ENU around `ORIGIN`."""
    place = LocalFrame(ORIGIN).to_geodetic(*place_m)
    return place.lat_deg, place.lon_deg, place.alt_m


def _turn(points_m: Floats, angle_rad: float) -> Floats:
    """Turn about the vertical, clockwise seen from above."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    turned: Floats = points_m @ np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return turned


def _lines(half_width_m: float, spacing_m: float, rng: np.random.Generator) -> list[float]:
    """Where parallel streets run: about `spacing_m` apart, uneven by a tenth."""
    n = 2 * math.ceil(half_width_m / spacing_m) + 1
    gaps_m = spacing_m * rng.uniform(0.9, 1.1, n - 1)
    at_m = np.concatenate([[0.0], np.cumsum(gaps_m)])
    return [float(v) for v in at_m - at_m[n // 2]]


def _name(names: list[str], index: int, kind: str) -> str:
    first = names[index % len(names)]
    return f"{first} {kind}" if abs(index) < len(names) else f"{first} {kind} {1 + abs(index) // len(names)}"


def _houses(bounds_m: tuple[float, float, float, float], rng: np.random.Generator) -> list[House]:
    """Two rows of houses of 12 to 26 m with gaps, mostly 5 to 9 m high, one in six higher."""
    west, south, east, north = bounds_m
    middle_m = (south + north) / 2.0
    houses: list[House] = []
    for low, high in ((south + 3.0, middle_m - 8.0), (middle_m + 8.0, north - 3.0)):
        x = west + rng.uniform(2.0, 6.0)
        while x + 12.0 < east - 2.0:
            width_m = min(float(rng.uniform(12.0, 26.0)), east - 2.0 - x)
            height_m = rng.uniform(10.0, 18.0) if rng.random() < 1.0 / 6.0 else rng.uniform(5.0, 9.0)
            south_m, north_m = low + float(rng.uniform(0.0, 4.0)), high - float(rng.uniform(0.0, 4.0))
            houses.append((float(x), south_m, float(x + width_m), north_m, float(height_m)))
            x += width_m + rng.uniform(3.0, 9.0)
    return houses


def _ring(bounds_m: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    west, south, east, north = (float(v) for v in bounds_m)
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def _polygon(kind: str, ring: list[list[float]], more: dict[str, object]) -> dict[str, object]:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": {"kind": kind, **more}, "geometry": geometry}
