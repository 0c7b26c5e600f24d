"""Truth files: read, written, refused."""

import json

import pytest

from appliance.errors import InputError
from appliance.wire.truth import Truth, TruthOther, TruthShot, decode_truth, encode_truth

TRUTH = Truth(
    shots=(TruthShot(1783134723120000000, 35.0851, -106.6498, 1511.2, "a", "9mm pistol"),),
    other=(TruthOther(1783134731000000000, 35.0849, -106.6489, "firework"),),
)


def test_truth_survives_writing_and_reading() -> None:
    assert decode_truth(encode_truth(TRUTH), "truth.json") == TRUTH


def test_truth_may_say_more_and_less_than_the_format() -> None:
    text = b'{"shots": [], "other": [], "rounds": 3, "survey_sigma_m": 2.5, "note": "as surveyed"}'
    assert decode_truth(text, "truth.json").rounds == 3


def test_broken_truth_is_refused_naming_the_field() -> None:
    with pytest.raises(InputError, match=r"truth.json, shot \[0\], lon: is missing"):
        decode_truth(b'{"shots": [{"time_ns": 1, "lat": 0.5}]}', "truth.json")


def test_a_written_truth_has_every_field_that_readers_ask_for():
    shot = TruthShot(time_ns=1_783_134_723_120_000_000, lat=35.0, lon=-106.0)
    document = json.loads(encode_truth(Truth(shots=(shot,))))
    assert document["other"] == []
    assert document["shots"][0]["shooter"] == "a"
    assert "rounds" not in document
