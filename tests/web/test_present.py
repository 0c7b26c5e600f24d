"""The words that the pages use, from the fields of an incident or a node."""

import pytest

from web import present
from web.texts import load_texts

TEXTS = load_texts("en")


def words(fakes, **changes):
    return present.incident(fakes.incident(**changes), TEXTS)["words"]


def test_an_incident_keeps_every_field_and_gains_times_and_words(fakes):
    body = fakes.incident(time_ns=1_783_134_723_120_000_999)
    view = present.incident(body, TEXTS)
    assert {key: view[key] for key in body if key != "shots"} == {k: v for k, v in body.items() if k != "shots"}
    assert view["time_ns"] == 1_783_134_723_120_000_999
    assert view["time"] == "2026-07-04T03:12:03.120000Z"
    assert view["shots"][0]["time"].startswith("2026-07-04T03:12:03.1")
    assert view["words"]["line"] == "Gunfire, 4 rounds, within 7 m (95 %), heard by 3 nodes: n1, n2, n5"


def test_nanoseconds_below_the_second_never_round_into_the_next():
    assert present.iso_time(1_783_134_723_999_999_999) == "2026-07-04T03:12:03.999999Z"


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (0.97, "very likely, 97 %"),
        (0.9, "very likely, 90 %"),
        (0.72, "likely, 72 %"),
        (0.5, "uncertain, 50 %"),
        (0.2, "doubtful, 20 %"),
        (0.0, "doubtful, 0 %"),
        (1.0, "very likely, 99 %"),
    ],
)
def test_confidence_is_a_word_and_a_number_that_never_claims_certainty(fakes, confidence, expected):
    assert words(fakes, confidence=confidence)["confidence"] == expected


@pytest.mark.parametrize(
    ("major_m", "expected"),
    [
        (0.2, "within 1 m (95 %)"),
        (17.01, "within 18 m (95 %)"),
        (1_000, "within 1000 m (95 %)"),
        (1_001, "within 1.1 km (95 %)"),
    ],
)
def test_the_radius_of_a_place_is_rounded_up(fakes, major_m, expected):
    assert words(fakes, ellipse={"major_m": major_m, "minor_m": 0.1, "bearing_deg": 0.0})["place"] == expected


def test_one_round_by_one_shooter_is_singular(fakes):
    assert words(fakes, rounds=1)["rounds"] == "1 round"
    assert words(fakes, rounds=1, heard_by=["n1"])["heard_by"] == "heard by n1"
    assert words(fakes, shooters=2)["shooters"] == "2 shooters"


def test_an_uncertain_count_shows_its_range(fakes):
    assert words(fakes, rounds=7, rounds_range=[6, 8])["rounds"] == "7 rounds (6\u20138)"
    assert words(fakes, rounds=7, rounds_range=[7, 7])["rounds"] == "7 rounds"


@pytest.mark.parametrize(
    ("degrees", "compass"),
    [(0.0, "north"), (22.4, "north"), (22.6, "north-east"), (212.0, "south-west"), (359.9, "north")],
)
def test_without_a_place_the_bearing_is_told_with_its_95_percent_spread(fakes, degrees, compass):
    body = fakes.unplaced(fakes.incident(), bearing={"from": "n1", "deg": degrees, "sigma_deg": 3.0})
    place = present.incident(body, TEXTS)["words"]["place"]
    assert place == f"{degrees % 360:.0f}° ± 6° ({compass}) from n1"


def test_without_place_and_bearing_the_reason_is_told(fakes):
    assert present.incident(fakes.unplaced(fakes.incident(), reason="heard by one node"), TEXTS)["words"]["place"] == (
        "heard by one node"
    )
    assert present.incident(fakes.unplaced(fakes.incident()), TEXTS)["words"]["place"] == "no place"


def test_a_cancelled_incident_says_so_in_its_category(fakes):
    assert words(fakes, status="cancelled")["category"] == "Cancelled: Gunfire"
    assert words(fakes, status="live")["category"] == "Gunfire"


def test_a_category_of_a_newer_version_is_shown_as_it_is(fakes):
    assert words(fakes, category="explosion")["category"] == "explosion"


@pytest.mark.parametrize(
    ("alive", "states", "expected"),
    [
        (True, ["ok", "ok"], "ok"),
        (True, ["ok", "degraded"], "degraded"),
        (True, ["degraded", "failed", "ok"], "failed"),
        (True, ["ok", "unknown"], "unknown"),
        (True, [], "unknown"),
        (False, ["ok"], "silent"),
    ],
)
def test_a_node_is_as_well_as_its_worst_check(alive, states, expected):
    assert present.node_state(alive=alive, states=states) == expected


def test_a_node_says_what_it_does_or_what_is_wrong_with_it(fakes):
    well = present.node(fakes.node("n1"), TEXTS)
    assert well["words"] == {"state": "OK", "why": "Hearing on 4 channels · PPS disciplined · All peers answer"}
    checks = [*fakes.healthy(fakes.START_NS), fakes.check("clock", "degraded", "PPS lost, coasting")]
    assert present.node(fakes.node("n2", health=checks), TEXTS)["words"]["why"] == "PPS lost, coasting"
    assert present.node(fakes.node("n3", alive=False), TEXTS)["words"]["why"] == "peers no longer hear from it"
    assert present.node(fakes.node("n3", health=[]), TEXTS)["words"]["why"] == "no health reported yet"


def test_nodes_come_by_name_with_this_one_first(fakes):
    views = present.nodes([fakes.node("n3"), fakes.node("n1"), fakes.node("n2", own=True)], TEXTS)
    assert [view["id"] for view in views] == ["n2", "n1", "n3"]
