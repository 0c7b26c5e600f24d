"""From a place to an address: street and cross street, beat and zone, named places; and files that hold nonsense."""

import json

import pytest

from appliance.errors import InputError
from web.gazetteer import Gazetteer, read_places, read_streets, read_zones

LAT, LON = 35.0844, -106.6504


def place(fakes, east_m, north_m):
    return fakes.place(east_m, north_m)


def collection(*features):
    return json.dumps({"type": "FeatureCollection", "features": list(features)}).encode()


def feature(shape, coordinates, **properties):
    return {"type": "Feature", "properties": properties, "geometry": {"type": shape, "coordinates": coordinates}}


@pytest.fixture(scope="module")
def grid(fakes):
    """Two streets that cross at the origin, and one that runs 200 m north of it."""

    def line(*points):
        return [list(fakes.place(x, y)[::-1]) for x, y in points]

    return collection(
        feature("LineString", line((-500, 0), (500, 0)), name="Elm Road"),
        feature("LineString", line((0, -500), (0, 500)), name="Central Avenue"),
        feature("MultiLineString", [line((-500, 200), (500, 200))], name="Fir Road"),
        feature("LineString", line((-500, 5), (500, 5)), other="no name"),
    )


@pytest.mark.parametrize(
    ("at_m", "street", "cross"),
    [
        ((60, 8), "Elm Road", "Central Avenue"),
        ((12, 90), "Central Avenue", "Elm Road"),
        ((12, 130), "Central Avenue", "Fir Road"),
        ((60, 210), "Fir Road", "Central Avenue"),
        ((480, -20), "Elm Road", "Fir Road"),
        ((300, -140), "Elm Road", "Fir Road"),
        ((300, -160), None, None),
    ],
)
def test_the_nearest_street_and_what_crosses_it_nearest(fakes, grid, at_m, street, cross):
    address = Gazetteer(read_streets(grid, "streets")).address(*fakes.place(*at_m))
    assert (address.street, address.cross) == (street, cross)


def test_streets_may_come_as_csv(fakes, grid):
    rows = ["name,lat,lon"]
    for name, points in {"Elm Road": [(-500, 0), (500, 0)], "Central Avenue": [(0, -500), (0, 500)]}.items():
        rows += [f"{name},{lat},{lon}" for lat, lon in (fakes.place(*point) for point in points)]
    address = Gazetteer(read_streets("\r\n".join(rows).encode("utf-8-sig"), "streets")).address(*fakes.place(60, 8))
    assert (address.street, address.cross) == ("Elm Road", "Central Avenue")


def test_a_place_lies_in_the_zones_around_it_and_not_in_their_holes(fakes):
    def ring(radius_m):
        corners = ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
        return [list(fakes.place(x * radius_m, y * radius_m)[::-1]) for x, y in corners]

    zones = read_zones(
        collection(
            feature("Polygon", [ring(400), ring(50)], name="12", kind="beat"),
            feature("MultiPolygon", [[ring(1_000)]], name="North-west"),
        ),
        "zones",
    )
    gazetteer = Gazetteer(zones=zones)
    assert gazetteer.address(*fakes.place(100, 0)).zones == {"beat": "12", "zone": "North-west"}
    assert gazetteer.address(*fakes.place(0, 0)).zones == {"zone": "North-west"}
    assert gazetteer.address(*fakes.place(2_000, 0)).zones == {}


def test_without_streets_there_is_distance_and_direction_from_a_named_place(fakes):
    lat, lon = fakes.place(-300, 0)
    places = read_places(f"name,lat,lon\nCity Hall,{lat},{lon}\nAirport,35.3,-106.6\n".encode(), "places")
    address = Gazetteer(places=places).address(*fakes.place(0, 300))
    assert address.near == "City Hall"
    assert address.near_m == pytest.approx(424.3, abs=1.5)
    assert address.near_bearing_deg == pytest.approx(45.0, abs=0.3)


@pytest.mark.parametrize("read", [read_streets, read_zones, read_places])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"name;lat;lon\nElm;1;2\n",
        b"name,lat,lon\nElm,91,0\n",
        b"name,lat,lon\nElm,nan,0\n",
        b'{"type": "FeatureCollection", "features": []}',
        collection(feature("LineString", [["a", 1]], name="Elm")),
        collection(feature("Polygon", 7, name="Elm")),
        collection(feature("Point", [1e9, 0], name="Elm")),
        collection(feature("MultiPolygon", [[[[181, 0], [0, 0]]]], name="Elm")),
    ],
)
def test_a_file_that_can_not_be_used_is_refused_with_its_name(read, data):
    with pytest.raises(InputError, match="given"):
        read(data, "given")
