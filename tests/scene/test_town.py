"""The town that does not exist, and its map."""

import numpy as np
import pytest

from appliance.scene.town import ORIGIN, STREET_WIDTH_M, Town, make_town, town_geojson


@pytest.fixture(scope="module")
def town() -> Town:
    return make_town(300.0, np.random.default_rng(4))


def test_the_same_seed_builds_the_same_town() -> None:
    one, same, other = (make_town(200.0, np.random.default_rng(seed)).houses_m for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_it_reaches_as_far_as_asked_and_has_houses_all_over(town: Town) -> None:
    assert np.abs(town.crossings_m).max(axis=0)[0] >= 270.0
    assert np.abs(town.crossings_m).max(axis=0)[1] >= 270.0
    for west in (-300.0, 0.0):
        for south in (-300.0, 0.0):
            houses = town.houses_m
            here = (houses[:, 0] > west) & (houses[:, 0] < west + 300) & (houses[:, 1] > south)
            assert np.count_nonzero(here & (houses[:, 1] < south + 300)) > 20


def test_no_house_stands_in_a_street_or_in_another(town: Town) -> None:
    houses = town.houses_m
    assert (houses[:, 2] - houses[:, 0] > 5.0).all()
    assert (houses[:, 3] - houses[:, 1] > 5.0).all()
    for street in town.streets:
        axis = 0 if street.from_m[0] == street.to_m[0] else 1
        middle_m = street.from_m[axis]
        clear = (houses[:, axis] > middle_m + STREET_WIDTH_M / 2) | (
            houses[:, axis + 2] < middle_m - STREET_WIDTH_M / 2
        )
        assert clear.all()
    for i, house in enumerate(houses):
        rest = np.delete(houses, i, axis=0)
        apart = (rest[:, 0] > house[2]) | (rest[:, 2] < house[0]) | (rest[:, 1] > house[3]) | (rest[:, 3] < house[1])
        assert apart.all()


def test_its_avenues_run_14_degrees_east_of_north(town: Town) -> None:
    north = town.to_enu(np.array([0.0, 100.0, 7.0]))
    np.testing.assert_allclose(north, [24.192, 97.030, 7.0], atol=1e-3)
    np.testing.assert_allclose(town.from_enu(north), [0.0, 100.0, 7.0], atol=1e-9)


def test_the_map_names_each_street_once_and_lies_around_the_origin(town: Town) -> None:
    document = town_geojson(town)
    features = document["features"]
    assert document["type"] == "FeatureCollection"
    assert isinstance(features, list)
    kinds = [f["properties"]["kind"] for f in features]
    assert {"park", "building", "street"} == set(kinds)
    assert kinds.index("street") > kinds.index("building") > kinds.index("park")
    names = [f["properties"]["name"] for f in features if f["properties"]["kind"] == "street"]
    assert len(names) == len(set(names)) == len(town.streets)
    for feature in features:
        shape = feature["geometry"]
        ring = shape["coordinates"][0] if shape["type"] == "Polygon" else shape["coordinates"]
        assert shape["type"] != "Polygon" or ring[0] == ring[-1]
        # 0.01 degrees are 1.1 km north and 1.0 km east at this latitude.
        assert all(abs(lon - ORIGIN.lon_deg) < 0.01 and abs(lat - ORIGIN.lat_deg) < 0.01 for lon, lat in ring)


def test_a_large_town_has_enough_names() -> None:
    town = make_town(2_600.0, np.random.default_rng(1))
    names = [street.name for street in town.streets]
    assert len(names) == len(set(names))
