"""The main job, end to end: simulated gunfire in, an incident on every node's page out."""

import json
import time

import pytest

from appliance.cli import main
from tests.e2e.demo import running_demo

pytestmark = pytest.mark.timeout(300)


def test_gunfire_is_one_incident_with_one_id_on_every_node(tmp_path):
    with running_demo(tmp_path, "--seed", "1") as demo:
        assert len(demo.nodes) == 5

        def located_everywhere():
            per_node = [{i["id"] for i in demo.incidents(node) if i["lat"] is not None} for node in demo.nodes]
            return set.intersection(*per_node)

        common = demo.wait_for("a located incident on every node", located_everywhere, 60.0)
        incident = next(i for i in demo.incidents(demo.nodes[0]) if i["id"] in common)
        assert incident["rounds"] >= 1
        assert len(incident["heard_by"]) >= 3
        assert incident["ellipse"]["major_m"] < 100.0
        assert abs(time.time_ns() - incident["time_ns"]) < 120e9
        assert incident["time"].endswith("Z")
        press = {"unit": "12", "state": "en-route", "time_ns": time.time_ns()}
        demo.post(demo.nodes[0], f"/api/incidents/{incident['id']}/acknowledgements", press)
        demo.wait_for(
            "the acknowledgement on the last node",
            lambda: demo.get(demo.nodes[4], f"/api/incidents/{incident['id']}")["acknowledgements"],
            10.0,
        )
        for node in demo.nodes:
            peers = demo.get(node, "/api/nodes")
            assert {p["id"] for p in peers} == {n["id"] for n in demo.nodes}
            assert all(p["alive"] for p in peers)


def test_a_silenced_node_is_in_no_incident_and_the_others_still_locate(tmp_path):
    with running_demo(tmp_path, "--seed", "1", "--mute", "n2") as demo:
        incidents = demo.wait_for(
            "a located incident",
            lambda: [i for i in demo.incidents(demo.nodes[0]) if i["lat"] is not None],
            60.0,
        )
        assert all("n2" not in i["heard_by"] for i in incidents)


def test_silenced_microphones_make_no_incident(tmp_path):
    muted = [word for n in range(1, 6) for word in ("--mute", f"n{n}")]
    with running_demo(tmp_path, "--seed", "1", *muted) as demo:
        # Long enough for the shots that the same seed fires in the first test.
        events = list(demo.events(demo.nodes[0], deadline_s=time.monotonic() + 40.0))
        assert events == []
        assert all(demo.get(node, "/api/incidents") == [] for node in demo.nodes)


def test_a_recorded_scene_is_played_through_its_own_nodes_as_if_it_happened_now(tmp_path):
    scene = tmp_path / "scene"
    options = ["--nodes", "4", "--single", "--rate", "12000", "--duration", "9", "--rounds", "2", "--seed", "4"]
    assert main(["simulate", str(scene), *options]) == 0
    with running_demo(tmp_path / "state", "--scene", str(scene)) as demo:
        assert {node["id"] for node in demo.nodes} == {"n1", "n2", "n3", "n4"}
        (incident,) = demo.wait_for(
            "a located incident",
            lambda: [i for i in demo.incidents(demo.nodes[3]) if i["lat"] is not None and i["rounds"] == 2],
            60.0,
        )
        truth = json.loads((scene / "truth.json").read_text())["shots"][0]
        assert abs(incident["lat"] - truth["lat"]) < 3e-4
        assert abs(incident["lon"] - truth["lon"]) < 3e-4
        assert abs(time.time_ns() - incident["time_ns"]) < 120e9


def test_the_demo_refuses_what_cannot_be(tmp_path, capsys):
    assert main(["demo", "--scene", str(tmp_path), "--nodes", "3"]) == 2
    assert "--nodes" in capsys.readouterr().err
    assert main(["demo", "--nodes", "26"]) == 2
    assert "26" in capsys.readouterr().err
    assert main(["demo", "--scene", str(tmp_path / "none")]) == 2
    assert "scene.json" in capsys.readouterr().err
    (tmp_path / "precious.txt").write_text("do not delete")
    assert main(["demo", "--state", str(tmp_path)]) == 2
    assert "precious" in str(list(tmp_path.iterdir()))
