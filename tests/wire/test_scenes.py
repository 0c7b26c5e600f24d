"""Scenes: what a good one says, and how a broken one is refused."""

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from appliance.errors import InputError
from appliance.model.audio import ArrayGeometry
from appliance.model.space import Geodetic
from appliance.wire.scenes import MAX_NODES, decode_scene, encode_scene

Document = dict[str, Any]

GOOD: Document = {
    "version": 1,
    "name": "two-shooters-park",
    "air": {"temperature_c": 18.5, "wind_mps": [1.5, -0.4]},
    "nodes": [
        {
            "id": name,
            "audio": f"{name}.flac",
            "start_ns": 1783134720000000000,
            "clock_sigma_ns": 1000,
            "sample_rate_error_ppm": 12.5,
            "position": {"lat": 35.0844, "lon": -106.6504, "alt_m": 1510.0, "sigma_m": 1.0},
            "microphones_m": [[0.0, 0.032, 0.0], [0.032, 0.0, 0.0]],
            "heading_deg": -90.0,
        }
        for name in ("n1", "n2")
    ],
}


def decode(document: object) -> Any:
    return decode_scene(json.dumps(document).encode(), "park/scene.json")


def test_every_field_of_a_good_scene_is_read() -> None:
    scene = decode(GOOD)
    node = scene.nodes[1]
    assert scene.name == "two-shooters-park"
    assert (scene.air.temperature_c, scene.air.wind_east_mps, scene.air.wind_north_mps) == (18.5, 1.5, -0.4)
    assert (node.id, node.audio, node.start_ns, node.clock_sigma_ns) == ("n2", "n2.flac", 1783134720000000000, 1000)
    assert node.sample_rate_error_ppm == 12.5
    assert node.pose.position == Geodetic(35.0844, -106.6504, 1510.0)
    assert (node.pose.node, node.pose.sigma_m, node.pose.heading_deg) == ("n2", 1.0, 270.0)
    assert node.geometry == ArrayGeometry(((0.0, 0.032, 0.0), (0.032, 0.0, 0.0)))


def test_what_is_optional_may_be_missing_and_what_is_unknown_is_ignored() -> None:
    document = copy.deepcopy(GOOD)
    del document["name"], document["air"], document["nodes"][0]["sample_rate_error_ppm"]
    document["recorder"] = {"make": "unknown"}
    document["nodes"][0]["colour"] = "grey"
    scene = decode(document)
    assert scene.air is None
    assert scene.nodes[0].sample_rate_error_ppm == 0.0


def test_a_scene_survives_writing_and_reading() -> None:
    scene = decode(GOOD)
    assert decode_scene(encode_scene(scene), "again") == scene


def node(field: str, value: object) -> Callable[[Document], None]:
    return lambda document: document["nodes"][1].update({field: value})


def position(field: str, value: object) -> Callable[[Document], None]:
    return lambda document: document["nodes"][1]["position"].update({field: value})


def top(field: str, value: object) -> Callable[[Document], None]:
    return lambda document: document.update({field: value})


def without(field: str) -> Callable[[Document], None]:
    return lambda document: document["nodes"][1].pop(field)


BROKEN: list[tuple[Callable[[Document], None], str, str]] = [
    (top("version", 2), "version", "2"),
    (top("version", True), "version", "true"),
    (top("version", None), "version", "null"),
    (top("nodes", []), "nodes", "[]"),
    (top("nodes", {}), "nodes", "{}"),
    (top("air", {"temperature_c": 18.0}), "air.wind_mps", "missing"),
    (top("air", {"temperature_c": math.nan, "wind_mps": [0, 0]}), "air.temperature_c", "NaN"),
    (top("air", {"temperature_c": 18.0, "wind_mps": [0, 1e6]}), "air.wind_mps[1]", "1000000.0"),
    (top("name", "\ud800\n"), "name", "\\ud800"),
    (node("id", "n1"), "node n1, id", "two nodes"),
    (node("id", "../n2"), "id", '"../n2"'),
    (node("id", "n2\n"), "id", '"n2\\n"'),
    (node("id", ""), "id", '""'),
    (node("id", 7), "id", "7"),
    (node("id", "x" * 65), "id", "xxx"),
    (node("audio", "/etc/n2.flac"), "node n2, audio", "/etc/n2.flac"),
    (node("audio", "../n2.flac"), "node n2, audio", "../n2.flac"),
    (node("audio", "a/../../n2.flac"), "node n2, audio", "n2.flac"),
    (node("audio", "c:\\n2.flac"), "node n2, audio", "n2.flac"),
    (node("audio", "n2\x00.flac"), "node n2, audio", "n2"),
    (node("audio", ""), "node n2, audio", '""'),
    (node("start_ns", 1.5), "node n2, start_ns", "1.5"),
    (node("start_ns", "1783134720000000000"), "node n2, start_ns", '"1783134720000000000"'),
    (node("start_ns", -1), "node n2, start_ns", "-1"),
    (node("start_ns", 4_102_444_800_000_000_000), "node n2, start_ns", "4102444800000000000"),
    (node("start_ns", 10**30), "node n2, start_ns", "1000000000000000000000000000000"),
    (node("clock_sigma_ns", -5), "node n2, clock_sigma_ns", "-5"),
    (node("clock_sigma_ns", math.nan), "node n2, clock_sigma_ns", "NaN"),
    (node("sample_rate_error_ppm", math.inf), "node n2, sample_rate_error_ppm", "Infinity"),
    (node("sample_rate_error_ppm", 5e5), "node n2, sample_rate_error_ppm", "500000.0"),
    (node("microphones_m", []), "node n2, microphones_m", "[]"),
    (node("microphones_m", [[0.0, 0.0]]), "node n2, microphones_m[0]", "[0.0, 0.0]"),
    (node("microphones_m", [[0.0, 0.0, math.nan]]), "node n2, microphones_m[0][2]", "NaN"),
    (node("microphones_m", [[0.0, 0.0, 5e3]]), "node n2, microphones_m[0][2]", "5000.0"),
    (node("microphones_m", [[0, 0, 0]] * 17), "node n2, microphones_m", "[[0, 0, 0]"),
    (node("heading_deg", math.nan), "node n2, heading_deg", "NaN"),
    (node("heading_deg", 361.0), "node n2, heading_deg", "361.0"),
    (position("lat", 91.0), "node n2, position.lat", "91.0"),
    (position("lat", math.nan), "node n2, position.lat", "NaN"),
    (position("lat", "35"), "node n2, position.lat", '"35"'),
    (position("lon", -1066504.0), "node n2, position.lon", "-1066504.0"),
    (position("alt_m", 1e30), "node n2, position.alt_m", "1e+30"),
    (position("sigma_m", -1.0), "node n2, position.sigma_m", "-1.0"),
    (position("sigma_m", True), "node n2, position.sigma_m", "true"),
    *[
        (without(field), f"node n2, {field}", "missing")
        for field in ("audio", "start_ns", "clock_sigma_ns", "position", "microphones_m", "heading_deg")
    ],
    (without("id"), "node [1], id", "missing"),
    (lambda d: d["nodes"][1]["position"].pop("alt_m"), "node n2, position.alt_m", "missing"),
    (lambda d: d["nodes"].append(5), "node [2]", "5"),
    (lambda d: d["nodes"].extend(d["nodes"][:1] * MAX_NODES), "nodes", "n1"),
]


@pytest.mark.parametrize(("spoil", "field", "value"), BROKEN)
def test_a_broken_scene_is_refused_naming_file_node_field_and_value(
    spoil: Callable[[Document], None], field: str, value: str
) -> None:
    document = copy.deepcopy(GOOD)
    spoil(document)
    with pytest.raises(InputError) as error:
        decode(document)
    text = str(error.value)
    assert text.startswith("park/scene.json")
    assert field in error.value.thing
    assert value in error.value.problem
    assert error.value.remedy
    assert text.isprintable()
    assert len(text) < 400


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "line 1, column 2"),
        (b"[]", "[]"),
        (b"null", "null"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b'\xef\xbb\xbf{"version": 1}', "not JSON"),
        (b'{"version": 1, "version": 1}', "twice"),
        (b"[" * 200_000, "nested"),
        (b'{"version": ' + b"9" * 5_000 + b"}", "digits"),
        (b" " * (8 * 2**20 + 1), "8388609 bytes"),
    ],
)
def test_what_is_no_scene_at_all_is_refused_in_one_line(data: bytes, problem: str) -> None:
    with pytest.raises(InputError) as error:
        decode_scene(data, "park/scene.json")
    assert problem in str(error.value)
    assert str(error.value).startswith("park/scene.json")
    assert str(error.value).isprintable()


def test_a_document_cut_anywhere_is_refused_or_whole() -> None:
    data = json.dumps(GOOD).encode()
    for end in range(0, len(data), 7):
        with pytest.raises(InputError):
            decode_scene(data[:end], "cut")
