"""Ways of sound around houses, worked out by hand for one house."""

import numpy as np
import pytest

from appliance.model.air import Air
from appliance.scene.town import Town
from appliance.scene.tracing import edge_detour_m, free_range_m, trace

AIR = Air(15.0)  # 340.3 m/s


def town_of(*houses: tuple[float, float, float, float, float]) -> Town:
    return Town((), (), np.array(houses, dtype=np.float64).reshape(-1, 5), np.zeros((1, 3)))


def at(*place: float) -> np.ndarray:
    return np.array(place)


LONG_WALL = (-200.0, 40.0, 200.0, 60.0, 12.0)


def test_nothing_in_the_way_is_no_detour() -> None:
    assert edge_detour_m(town_of(), at(0, 0, 2), at(0, 100, 2)) == 0.0
    assert edge_detour_m(town_of((10.0, 40.0, 30.0, 60.0, 12.0)), at(0, 0, 2), at(0, 100, 2)) == 0.0
    assert edge_detour_m(town_of(LONG_WALL), at(0, 0, 20), at(0, 100, 20)) == 0.0


def test_a_long_house_is_passed_over_its_roof() -> None:
    # 2 m to 12 m over 40 m, 20 m along the roof, down again: 2 sqrt(1600 + 100) + 20 - 100.
    assert edge_detour_m(town_of(LONG_WALL), at(0, 0, 2), at(0, 100, 2)) == pytest.approx(2.4621, abs=1e-3)


def test_a_tower_is_passed_around_its_nearer_side() -> None:
    # Its east side is 4 m off the line, 40 and 60 m along; the worst corner: sqrt(1600 + 16) + sqrt(3600 + 16) - 100.
    tower = (-30.0, 40.0, 4.0, 60.0, 90.0)
    assert edge_detour_m(town_of(tower), at(0, 0, 2), at(0, 100, 2)) == pytest.approx(0.333, abs=0.01)


def test_a_row_of_houses_is_passed_over_the_highest_by_a_taut_string() -> None:
    low, high = (-200.0, 30.0, 200.0, 31.0, 6.0), (-200.0, 50.0, 200.0, 51.0, 20.0)
    # The string touches the high roof only: 2 m to 20 m over 50 m, 1 m of roof, 49 m down: 53.14 + 1 + 52.20 - 100.
    assert edge_detour_m(town_of(low, high), at(0, 0, 2), at(0, 100, 2)) == pytest.approx(6.34, abs=0.02)


def test_the_direct_path_is_late_and_long_by_its_detour_and_points_to_the_source() -> None:
    traced = trace(town_of(LONG_WALL), at(0, 0, 2), at(0, 100, 2), AIR, np.random.default_rng(1))
    direct = traced.paths[0]
    assert direct.length_m == pytest.approx(100.0 + direct.detour_m)
    assert direct.delay_s == pytest.approx(direct.detour_m / 340.27, rel=1e-4)
    # South in the town frame is 194 degrees.
    assert np.degrees(np.arctan2(direct.towards[0], direct.towards[1])) % 360.0 == pytest.approx(194.0)


def test_a_wall_beside_the_line_echoes_from_its_mirror_image() -> None:
    # A wall at x = 30: the image lies at x = 60, the echo's way is sqrt(80^2 + 60^2) = 100 m against 80 m.
    house = (30.0, -50.0, 50.0, 150.0, 10.0)
    traced = trace(town_of(house), at(0, 0, 2), at(0, 80, 2), AIR, np.random.default_rng(1))
    assert len(traced.paths) == 2
    echo = traced.paths[1]
    assert echo.length_m == pytest.approx(100.0)
    assert echo.delay_s == pytest.approx(20.0 / 340.27, rel=1e-4)
    assert 0.4 < echo.gain < 0.9
    # From the array the point of reflection lies at (30, -40): bearing 143.13 in the town, 157.13 on the map.
    assert np.degrees(np.arctan2(echo.towards[0], echo.towards[1])) % 360.0 == pytest.approx(157.13, abs=0.01)


def test_a_wall_too_low_to_be_hit_does_not_echo() -> None:
    house = (30.0, -50.0, 50.0, 150.0, 10.0)
    assert len(trace(town_of(house), at(0, 0, 14), at(0, 80, 14), AIR, np.random.default_rng(1)).paths) == 1


def test_a_house_in_the_way_weakens_an_echo() -> None:
    house, hut = (30.0, -50.0, 50.0, 150.0, 10.0), (10.0, 10.0, 12.0, 20.0, 9.0)
    free, shadowed = (
        trace(town_of(*houses), at(0, 0, 2), at(0, 80, 2), AIR, np.random.default_rng(1)).paths
        for houses in ((house,), (house, hut))
    )
    gain = next(p.gain for p in shadowed[1:] if p.length_m == pytest.approx(100.0))
    assert gain < 0.6 * free[1].gain


def test_a_bullet_flies_until_it_meets_a_house() -> None:
    east = at(1.0, 0.0, 0.0)
    assert free_range_m(town_of((30.0, -5.0, 40.0, 5.0, 8.0)), at(0, 0, 1.5), east, 500.0) == pytest.approx(30.0)
    assert free_range_m(town_of((30.0, 5.0, 40.0, 9.0, 8.0)), at(0, 0, 1.5), east, 500.0) == 500.0
