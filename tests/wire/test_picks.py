"""Picks files: what a good one says, and how a broken one is refused."""

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from appliance.errors import InputError
from appliance.model.air import UNKNOWN_AIR
from appliance.model.picks import Phase, pick_id
from appliance.wire import picks as picks_module
from appliance.wire.picks import PicksFile, decode_picks

Document = dict[str, Any]
T0_NS = 1545180568543000000

GOOD: Document = {
    "version": 1,
    "air": {"temperature_c": 0.0, "wind_mps": [0.5, -1.0]},
    "arrivals": [
        {
            "node": "1409",
            "time_ns": T0_NS + 900_000_000,
            "sigma_ns": 300000,
            "position": {"lat": 40.44, "lon": -79.99, "alt_m": 300.0, "sigma_m": 0.5},
            "bearing_deg": -148.0,
            "bearing_sigma_deg": 3.0,
            "elevation_deg": 12.0,
            "elevation_sigma_deg": 5.0,
            "phase": "muzzle-blast",
            "phase_probability": 0.99,
            "level_db_spl": 93.2,
            "snr_db": 23.1,
            "gunshot_probability": 0.93,
        },
        {
            "node": "0979",
            "time_ns": T0_NS,
            "sigma_ns": 300000,
            "position": {"lat": 40.43, "lon": -79.98, "alt_m": 290.0, "sigma_m": 0.5},
        },
    ],
}


def decode(document: object) -> PicksFile:
    return decode_picks(json.dumps(document).encode(), "FP1/picks.json")


def test_every_field_of_a_good_file_is_read_and_picks_come_in_order_of_time() -> None:
    file = decode(GOOD)
    early, late = file.picks
    assert (early.node, early.time_ns, early.sigma_ns) == ("0979", T0_NS, 300000)
    assert early.bearing_deg is None
    assert early.snr_db is None
    assert late.id == pick_id(T0_NS + 900_000_000, "1409")
    assert (late.bearing_deg, late.bearing_sigma_deg) == (212.0, 3.0)
    assert (late.elevation_deg, late.elevation_sigma_deg) == (12.0, 5.0)
    assert (late.phase, late.phase_probability) == (Phase.MUZZLE_BLAST, 0.99)
    assert (early.elevation_deg, early.phase, early.phase_probability) == (None, Phase.UNKNOWN, None)
    assert (late.level_db_spl, late.snr_db, late.gunshot_probability) == (93.2, 23.1, 0.93)
    assert file.poses["1409"].position.lat_deg == 40.44
    assert file.poses["0979"].sigma_m == 0.5
    assert (file.air.temperature_c, file.air.wind_east_mps, file.air.wind_north_mps) == (0.0, 0.5, -1.0)


def test_no_air_and_no_arrivals_are_fine() -> None:
    file = decode({"version": 1, "arrivals": []})
    assert file.air == UNKNOWN_AIR
    assert file.picks == ()


def test_of_two_readings_in_one_microsecond_the_clearer_is_kept() -> None:
    document = copy.deepcopy(GOOD)
    faint = {**document["arrivals"][0], "snr_db": 3.0}
    document["arrivals"] = [faint, document["arrivals"][0], faint]
    assert [pick.snr_db for pick in decode(document).picks] == [23.1]


def test_a_node_whose_position_jitters_has_the_surest_one() -> None:
    document = copy.deepcopy(GOOD)
    first = document["arrivals"][0]
    again = {**first, "time_ns": T0_NS + 5_000_000}
    again["position"] = {**first["position"], "lat": 40.44001, "sigma_m": 0.1}
    document["arrivals"].append(again)
    assert decode(document).poses["1409"].position.lat_deg == 40.44001


def arrival(field: str, value: object) -> Callable[[Document], None]:
    return lambda document: document["arrivals"][1].update({field: value})


BROKEN: list[tuple[Callable[[Document], None], str, str]] = [
    (lambda d: d.update(version="1"), "version", '"1"'),
    (lambda d: d.pop("arrivals"), "arrivals", "missing"),
    (lambda d: d.update(arrivals={"node": "a"}), "arrivals", "node"),
    (lambda d: d["arrivals"].append([]), "[2]", "[]"),
    (arrival("node", "a/b"), "node", "a/b"),
    (arrival("time_ns", 1.545180568543e18), "node 0979, time_ns", "1.545180568543e+18"),
    (arrival("time_ns", -1), "node 0979, time_ns", "-1"),
    (arrival("sigma_ns", -1), "node 0979, sigma_ns", "-1"),
    (arrival("bearing_deg", 400.0), "node 0979, bearing_deg", "400.0"),
    (arrival("bearing_deg", 10.0), "node 0979", "missing beside bearing_deg"),
    (arrival("level_db_spl", math.inf), "node 0979, level_db_spl", "Infinity"),
    (arrival("snr_db", math.nan), "node 0979, snr_db", "NaN"),
    (arrival("gunshot_probability", 1.01), "node 0979, gunshot_probability", "1.01"),
    (arrival("position", {"lat": 40.0, "lon": -80.0, "sigma_m": 1.0}), "node 0979, position.alt_m", "missing"),
    (arrival("position", [40.0, -80.0]), "node 0979, position", "[40.0, -80.0]"),
    (arrival("node", "1409"), "arrival of node 1409", "m from the position"),
    (lambda d: d.update(air={"temperature_c": "mild", "wind_mps": [0, 0]}), "air.temperature_c", "mild"),
]


@pytest.mark.parametrize(("spoil", "field", "value"), BROKEN)
def test_a_broken_file_is_refused_naming_file_node_field_and_value(
    spoil: Callable[[Document], None], field: str, value: str
) -> None:
    document = copy.deepcopy(GOOD)
    spoil(document)
    with pytest.raises(InputError) as error:
        decode(document)
    assert str(error.value).startswith("FP1/picks.json")
    assert field in error.value.thing
    assert value in error.value.problem
    assert str(error.value).isprintable()


def test_more_nodes_than_a_city_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picks_module, "MAX_NODES", 1)
    with pytest.raises(InputError, match="name 2 nodes"):
        decode(GOOD)
