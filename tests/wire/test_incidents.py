"""Incidents: the format's fields, exactly, and back."""

import dataclasses
import json

import pytest

from appliance.errors import InputError
from appliance.model.incidents import (
    Alternative,
    Arrival,
    BearingLine,
    Category,
    FirstShooter,
    Incident,
    Movement,
    Shot,
)
from appliance.model.instants import UtcNs
from appliance.model.picks import PickId
from appliance.model.space import Ellipse, Geodetic
from appliance.wire.incidents import decode_incident, encode_incident, incident_json, incident_to_dict

T0_NS = UtcNs(1783134723120000000)
PLACE = Geodetic(35.0851, -106.6498, 1511.0)
ELLIPSE = Ellipse(6.1, 2.9, 37.0)


def arrival(node: str) -> Arrival:
    return Arrival(PickId(f"0001783134723520-{node}"), node, UtcNs(T0_NS + 400_000_000), 0.001, 1.0)


def located() -> Incident:
    shot = Shot(T0_NS, 2_000_000, PLACE, ELLIPSE, 1, (arrival("n2"), arrival("n1"), arrival("n2")))
    return Incident(
        id=PickId("0001783134723520-n1"),
        revision=3,
        time_ns=T0_NS,
        position=PLACE,
        ellipse=ELLIPSE,
        category=Category.POSSIBLE_GUNFIRE,
        confidence=0.97,
        shots=(shot, shot),
        shooters=1,
        rounds_range=(2, 3),
        alternatives=(Alternative(Geodetic(35.0, -106.0), Ellipse(9.0, 3.0, 0.0), 0.2),),
        aliases=(PickId("0001783134723520-n2"),),
        shooter_probabilities={2: 0.1, 1: 0.9},
    )


def unlocated() -> Incident:
    shot = Shot(T0_NS, 500_000_000, None, None, 1, (arrival("n1"),))
    return Incident(
        id=PickId("a"),
        revision=1,
        time_ns=T0_NS,
        position=None,
        ellipse=None,
        category=Category.GUNFIRE,
        confidence=0.6,
        shots=(shot,),
        shooters=1,
        rounds_range=(1, 1),
        bearing=BearingLine("n1", 212.0, 3.0),
        reason="one node heard it",
    )


def test_an_incident_has_exactly_the_fields_of_the_format() -> None:
    assert incident_to_dict(located()) == {
        "id": "0001783134723520-n1",
        "revision": 3,
        "time_ns": 1783134723120000000,
        "lat": 35.0851,
        "lon": -106.6498,
        "ellipse": {"major_m": 6.1, "minor_m": 2.9, "bearing_deg": 37.0},
        "category": "possible-gunfire",
        "confidence": 0.97,
        "rounds": 2,
        "shooters": 1,
        "heard_by": ["n1", "n2"],
        "shots": [
            {
                "time_ns": 1783134723120000000,
                "lat": 35.0851,
                "lon": -106.6498,
                "ellipse": {"major_m": 6.1, "minor_m": 2.9, "bearing_deg": 37.0},
                "shooter": 1,
                "heard_by": ["n1", "n2"],
                "residuals_s": {"n1": 0.001, "n2": 0.001},
            }
        ]
        * 2,
        "aliases": ["0001783134723520-n2"],
        "rounds_range": [2, 3],
        "shooter_probabilities": {"1": 0.9, "2": 0.1},
        "alternatives": [
            {
                "lat": 35.0,
                "lon": -106.0,
                "ellipse": {"major_m": 9.0, "minor_m": 3.0, "bearing_deg": 0.0},
                "probability": 0.2,
            }
        ],
    }


def test_an_incident_without_a_place_has_nulls_a_bearing_and_a_reason() -> None:
    plain = incident_to_dict(unlocated())
    assert (plain["lat"], plain["lon"], plain["ellipse"]) == (None, None, None)
    assert plain["bearing"] == {"from": "n1", "deg": 212.0, "sigma_deg": 3.0}
    assert plain["reason"] == "one node heard it"
    assert "aliases" not in plain


@pytest.mark.parametrize(
    ("movement", "plain"),
    [
        (Movement(1.4, 87.0, 0.2), {"speed_mps": 1.4, "bearing_deg": 87.0, "sigma": 0.2}),
        (Movement(reason="cannot tell: one round"), {"reason": "cannot tell: one round"}),
    ],
)
def test_order_and_movement_are_written_as_the_format_has_them(movement: Movement, plain: dict[str, object]) -> None:
    incident = dataclasses.replace(located(), first_shooter=FirstShooter(2, 0.97), movement=movement)
    written = incident_to_dict(incident)
    assert written["first_shooter"] == {"shooter": 2, "probability": 0.97}
    assert written["movement"] == plain
    assert decode_incident(encode_incident(incident)) == incident_json(incident)


@pytest.mark.parametrize(
    "told", [{}, {"speed_mps": 1.0}, {"speed_mps": 1.0, "bearing_deg": 2.0, "sigma_mps": 0.1, "reason": "and not"}]
)
def test_a_movement_half_told_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="movement"):
        Movement(**told)  # type: ignore[arg-type]  # any mixture of fields


@pytest.mark.parametrize("incident", [located(), unlocated()])
def test_an_incident_survives_writing_and_reading_on_one_line(incident: Incident) -> None:
    line = encode_incident(incident)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_incident(line) == incident_json(incident)
    assert encode_incident(decode_incident(line)) == line
    assert json.loads(line) == incident_to_dict(incident)


def test_a_reader_ignores_fields_it_does_not_know_and_keeps_the_optional_ones() -> None:
    plain = incident_to_dict(located()) | {
        "weather": "fair",
        "status": "exercise",
        "first_shooter": {"shooter": 1, "probability": 0.97},
        "movement": {"reason": "too few rounds"},
        "address": "Quarry Lane",
    }
    read = decode_incident(json.dumps(plain).encode())
    assert read.status == "exercise"
    assert b'"movement":{"reason":"too few rounds"}' in encode_incident(read)
    assert b"weather" not in encode_incident(read)


@pytest.mark.parametrize(
    ("field", "value"),
    [("category", "explosion"), ("confidence", 1.5), ("rounds", -1), ("lat", "north"), ("time_ns", 1e18), ("shots", 5)],
)
def test_a_broken_incident_is_refused_naming_the_field(field: str, value: object) -> None:
    plain = incident_to_dict(located()) | {field: value}
    with pytest.raises(InputError) as error:
        decode_incident(json.dumps(plain).encode(), "out/park.jsonl")
    assert error.value.thing == f"out/park.jsonl, {field}"
