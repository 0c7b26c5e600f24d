"""Whatever comes as a document, the answer is a value or one line that names the fault."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import InputError
from appliance.wire.documents import parse_json, shown
from appliance.wire.incidents import decode_incident
from appliance.wire.picks import decode_picks
from appliance.wire.scenes import decode_scene
from appliance.wire.truth import decode_truth

POSITION = {"lat": 1.0, "lon": 2.0, "alt_m": 3.0, "sigma_m": 1.0}
SCENE = {
    "version": 1,
    "name": "a",
    "air": {"temperature_c": 1.0, "wind_mps": [0.0, 0.0]},
    "nodes": [
        {
            "id": "n1",
            "audio": "n1.flac",
            "start_ns": 1,
            "clock_sigma_ns": 1,
            "position": POSITION,
            "microphones_m": [[0.0, 0.0, 0.0]],
            "heading_deg": 0.0,
        }
    ],
}
PICKS = {"version": 1, "arrivals": [{"node": "n1", "time_ns": 1, "sigma_ns": 1, "position": POSITION, "snr_db": 1.0}]}
INCIDENT = {
    "id": "a",
    "revision": 1,
    "time_ns": 1,
    "lat": None,
    "lon": None,
    "ellipse": None,
    "category": "other",
    "confidence": 0.5,
    "rounds": 1,
    "shooters": 1,
    "heard_by": ["n1"],
    "shots": [{"time_ns": 1, "lat": 1.0, "lon": 2.0, "ellipse": None, "shooter": 1, "heard_by": ["n1"]}],
}
TRUTH = {"shots": [{"time_ns": 1, "lat": 1.0, "lon": 2.0}], "other": [{"time_ns": 1, "lat": 1, "lon": 2, "kind": "x"}]}
CASES = [(decode_scene, SCENE), (decode_picks, PICKS), (decode_incident, INCIDENT), (decode_truth, TRUTH)]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every container of a document with every key in it."""
    if isinstance(document, dict):
        here = [(document, key) for key in document]
    elif isinstance(document, list):
        here = [(document, index) for index in range(len(document))]
    else:
        return []
    return here + [place for _, key in here for place in places(document[key])]


def refusal(decode: Any, data: bytes) -> str | None:
    """The error's line, or None where the document was taken."""
    try:
        decode(data, "some/file.json")
    except InputError as error:
        return str(error)
    return None


def survives(decode: Any, data: bytes) -> None:
    line = refusal(decode, data)
    if line is not None:
        assert line.startswith("some/file.json")
        assert line.isprintable()
        assert len(line) < 500


@pytest.mark.parametrize(("decode", "good"), CASES)
def test_the_document_that_is_spoiled_below_is_good(decode: Any, good: Any) -> None:
    decode(json.dumps(good).encode(), "good")


@pytest.mark.parametrize("decode", [decode for decode, _ in CASES])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_survived(decode: Any, data: bytes) -> None:
    survives(decode, data)


@pytest.mark.parametrize(("decode", "good"), CASES)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(choice=st.integers(min_value=0), value=anything)
def test_anything_in_any_place_is_survived(decode: Any, good: Any, choice: int, value: Any) -> None:
    document = json.loads(json.dumps(good))
    spots = places(document)
    container, key = spots[choice % len(spots)]
    container[key] = value
    survives(decode, json.dumps(document).encode("utf-8", "surrogatepass"))


def test_a_value_is_shown_short_and_on_one_line() -> None:
    assert shown({"a": float("nan"), "b": "\n\ud800é"}) == '{"a": NaN, "b": "\\n\\ud800\\u00e9"}'
    assert len(shown("x" * 10_000)) == 60


def test_the_limit_of_size_is_named() -> None:
    with pytest.raises(InputError, match="file: 11 bytes, more than 10"):
        parse_json(b"[1,2,3,4,5]", "file", max_bytes=10)
