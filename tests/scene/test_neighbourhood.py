"""The demo's neighbourhood: its net, its restless night, its map."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from appliance.errors import InputError
from appliance.physics.geodesy import LocalFrame
from appliance.scene.emissions import DISTURBANCES, Emission
from appliance.scene.neighbourhood import NetSettings, endless_schedule, make_neighbourhood, make_net, reach_of
from appliance.scene.town import ORIGIN, make_town


def night(seed: int, seconds: float) -> list[Emission]:
    rng = np.random.default_rng(seed)
    schedule = endless_schedule(make_town(400.0, rng), 250.0, rng)
    return list(itertools.takewhile(lambda e: e.time_s < seconds, schedule))


def beginnings(emissions: Sequence[Emission]) -> list[float]:
    """When each incident of gunfire begins: shots with more than 7 s of quiet before them."""
    times = [e.time_s for e in emissions if e.kind == "shot"]
    return [t for before, t in zip([-100.0, *times], times, strict=False) if t - before > 7.0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gunfire_comes_first_after_5_s_and_then_every_20_to_30_s(seed: int) -> None:
    times_s = beginnings(night(seed, 600.0))
    assert times_s[0] == 5.0
    gaps_s = np.diff(times_s)
    assert gaps_s.min() >= 20.0 - 1e-9
    assert gaps_s.max() <= 30.0 + 1e-9


def test_the_night_is_in_order_of_time_and_brings_all_sorts() -> None:
    emissions = night(1, 600.0)
    times_s = [e.time_s for e in emissions]
    assert times_s == sorted(times_s)
    assert {e.kind for e in emissions} == {"shot", "firework", "thunder", "impact", "vehicle", "dog", "voice"}
    assert {e.shooter for e in emissions if e.kind == "shot"} == {"a", "b"}
    assert any("rifle" in e.weapon for e in emissions)
    assert len(DISTURBANCES) == 6


def test_between_gunfire_there_is_always_something_else() -> None:
    emissions = night(2, 400.0)
    for begin, end in itertools.pairwise(beginnings(emissions)):
        assert any(e.kind != "shot" and begin < e.time_s < end for e in emissions)


@pytest.mark.parametrize("n_nodes", [1, 2, 3, 5, 25])
def test_nodes_stand_200_to_300_m_apart_on_poles_and_roofs(n_nodes: int) -> None:
    town, sites = make_net(NetSettings(n_nodes=n_nodes), np.random.default_rng(6))
    places = np.array([site.place_m for site, _ in sites])
    assert len({site.node for site, _ in sites}) == n_nodes
    for i, place in enumerate(places):
        others = np.delete(places, i, axis=0)
        if len(others):
            assert 150.0 < np.linalg.norm(others - place, axis=1).min() < 350.0
        local = town.from_enu(place)
        under = (town.houses_m[:, 0] < local[0]) & (local[0] < town.houses_m[:, 2])
        under &= (town.houses_m[:, 1] < local[1]) & (local[1] < town.houses_m[:, 3])
        roof_m = town.houses_m[under, 4].max(initial=4.0)
        assert local[2] == pytest.approx(roof_m + 2.0)
    assert reach_of(sites) >= 120.0


def test_what_nodes_believe_of_their_place_and_heading_is_nearly_true() -> None:
    _, sites = make_net(NetSettings(n_nodes=25), np.random.default_rng(7))
    frame = LocalFrame(ORIGIN)
    errors_m = [frame.to_enu(pose.position) - np.array(site.place_m) for site, pose in sites]
    turns_deg = [(pose.heading_deg - site.heading_deg + 180.0) % 360.0 - 180.0 for site, pose in sites]
    assert np.std(errors_m) == pytest.approx(0.7, abs=0.2)
    assert 0.5 < np.std(turns_deg) < 4.0
    assert all(pose.sigma_m == 0.7 and pose.heading_sigma_deg == 2.0 for _, pose in sites)


@pytest.mark.parametrize("n_nodes", [0, 26, -1])
def test_a_mesh_has_1_to_25_nodes(n_nodes: int) -> None:
    with pytest.raises(InputError, match=f"the number of nodes: is {n_nodes}; choose 1 to 25"):
        make_neighbourhood(seed=1, start_ns=0, net=NetSettings(n_nodes=n_nodes))


def test_a_neighbourhood_sounds_and_has_a_map() -> None:
    world, streets = make_neighbourhood(seed=1, start_ns=10**18, net=NetSettings(n_nodes=3))
    blocks = [world.advance() for _ in range(75)]
    assert set(blocks[0]) == {"n1", "n2", "n3"} == {node.id for node in world.nodes}
    assert world.nodes[0].geometry.n_channels == 4
    loud = {n: max(float(np.abs(b[n].samples).max()) for b in blocks[50:]) for n in blocks[0]}
    calm = {n: max(float(np.abs(b[n].samples).max()) for b in blocks[:50]) for n in blocks[0]}
    assert sum(loud[n] > 10.0 * calm[n] for n in loud) >= 2
    assert streets["type"] == "FeatureCollection"
