"""What people say about incidents: it reaches mesh as they said it, once, under their own name, or is refused."""

import time
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from web.people import People
from web.roles import Role

PASSWORD = "correct horse battery"


@pytest.fixture
def control(store, fakes, tmp_path):
    server = fakes.ControlServer(tmp_path / "control.sock", store)
    yield server
    server.close()


@pytest.fixture
def incident(store, fakes):
    body = fakes.incident(1, time_ns=time.time_ns(), aliases=["1783134720999999-n2"])
    store.put_incident(body)
    return body


@pytest.fixture
def client(make_client, control):
    return make_client(control_socket=control.path)


def press(state="acknowledged", **changes):
    return {"unit": "12", "state": state, "time_ns": time.time_ns(), **changes}


def test_an_acknowledgement_becomes_a_record_and_is_seen_with_the_incident(client, control, incident):
    answer = client.post(f"/api/incidents/{incident['id']}/acknowledgements", json=press("en-route"))
    assert (answer.status_code, answer.json["repeated"]) == (200, False)
    assert [(kind, body.unit, body.state) for kind, body, _ in control.commands] == [
        ("acknowledgement", "12", "en-route")
    ]
    shown = client.get(f"/api/incidents/{incident['id']}").json["acknowledgements"]
    assert [(one["unit"], one["state"], one["by"]) for one in shown] == [("12", "en-route", "this-machine")]


def test_a_press_that_is_sent_again_is_one_press(client, control, incident):
    body = press()
    first = client.post(f"/api/incidents/{incident['id']}/acknowledgements", json=body)
    again = client.post(f"/api/incidents/{incident['id']}/acknowledgements", json=body)
    assert again.json == {"record": first.json["record"], "repeated": True}
    assert len(control.commands) == 1


def test_any_id_that_leads_to_the_incident_will_do(client, control, incident):
    assert client.post("/api/incidents/1783134720999999-n2/acknowledgements", json=press()).status_code == 200
    assert control.commands[0][1].incident == incident["id"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"unit": "", "state": "clear", "time_ns": 1}, "length >= 1"),
        ({"unit": "a\u202eb", "state": "clear", "time_ns": 1}, "matching regex"),
        ({"unit": "x" * 33, "state": "clear", "time_ns": 1}, "length <= 32"),
        ({"unit": "12", "state": "asleep", "time_ns": 1}, "Invalid enum value"),
        ({"unit": "12", "state": "clear", "time_ns": 1}, "not of the last day"),
        ({"unit": "12", "state": "clear"}, "time_ns"),
        ({"unit": "12", "state": "clear", "time_ns": 1, "by": "eve"}, "unknown field"),
        ([], "Expected `object`"),
    ],
)
def test_what_is_not_a_press_is_refused_and_mesh_is_not_asked(client, control, incident, body, words):
    answer = client.post(f"/api/incidents/{incident['id']}/acknowledgements", json=body)
    assert answer.status_code == 400
    assert words in answer.json["error"]
    assert not control.commands


def test_a_form_can_not_press_buttons(client, control, incident):
    answer = client.post(f"/api/incidents/{incident['id']}/acknowledgements", data=press())
    assert answer.status_code == 415
    assert not control.commands


def test_an_unknown_incident_is_told(client, control):
    assert client.post("/api/incidents/nothing/acknowledgements", json=press()).status_code == 404


def test_a_review_stands_beside_the_machines_result_under_the_reviewers_name(make_client, control, incident, tmp_path):
    people = People(tmp_path / "people.db", hasher=PasswordHasher(1, 8, 1))
    people.add("ann", Role.ANALYST, PASSWORD, 1)
    client = make_client(people=people, control_socket=control.path, open_loopback=False)
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    csrf = {"X-Earshot-Csrf": client.get("/").text.split('"csrf": "')[1].split('"')[0]}
    review = {"verdict": "not-gunfire", "note": "a roofer's nail gun"}
    address = f"/api/incidents/{incident['id']}/reviews"
    assert client.post(address, json=review).status_code == 403
    assert client.post(address, json=review, headers=csrf).status_code == 200
    kind, body, by = control.commands[0]
    assert (kind, body.verdict, body.note, by) == ("review", "not-gunfire", "a roofer's nail gun", "ann")
    shown = client.get(f"/api/incidents/{incident['id']}").json
    assert shown["category"] == "gunfire"
    assert [one["verdict"] for one in shown["reviews"]] == ["not-gunfire"]
    assert [one["verdict"] for one in client.get(f"/api/incidents/{incident['id']}/remarks").json["reviews"]] == [
        "not-gunfire"
    ]
    assert ("ann", "review") in [(entry.person, entry.action) for entry in people.audit()]
    people.close()


def test_a_refusal_of_mesh_and_its_absence_are_told(make_client, client, control, incident, tmp_path):
    control.refusal = "the log is full"
    answer = client.post(f"/api/incidents/{incident['id']}/acknowledgements", json=press())
    assert (answer.status_code, answer.json["error"]) == (409, "the log is full")
    for away in (None, tmp_path / "nobody.sock"):
        answer = make_client(control_socket=away).post(
            f"/api/incidents/{incident['id']}/acknowledgements", json=press()
        )
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]


def test_a_test_alert_goes_to_every_page_and_is_no_incident(client, control, store):
    assert client.post("/api/exercises", json={"words": "Radio check"}).status_code == 200
    assert control.commands[0][1].words == "Radio check"
    assert client.get("/api/incidents").json == []
    assert store.events[-1].kind == "exercise"


def test_a_clip_is_given_out_once_it_is_written_down_who_hears_it(make_client, control, incident, store, tmp_path):
    people = People(tmp_path / "people.db", hasher=PasswordHasher(1, 8, 1))
    (tmp_path / "clips").mkdir()
    pick = "1783134721000000-n1"
    (tmp_path / "clips" / f"{pick}.flac").write_bytes(b"fLaC")
    store.put_remark("clip", {"incident": incident["id"], "pick": pick, "node": "n1"})
    client = make_client(people=people, clips=tmp_path / "clips")
    assert [one["pick"] for one in client.get(f"/api/incidents/{incident['id']}/clips").json] == [pick]
    with client.get(f"/api/clips/{pick}") as answer:
        assert (answer.data, answer.mimetype) == (b"fLaC", "audio/flac")
    assert [(entry.action, entry.detail) for entry in people.audit()] == [("clip heard", pick)]
    for wrong in ("1783134721000000-n2", "..", "x", "%2e%2e%2fpeople.db"):
        assert client.get(f"/api/clips/{wrong}").status_code == 404
    people.close()


def test_readiness_names_the_checks_that_fail(make_client, store, fakes):
    client = make_client()
    assert client.get("/readyz").json == {"ready": True, "failing": []}
    nodes = store.nodes()
    checks = [("clock", "failed"), ("ears", "degraded"), ("place", "unknown"), ("power", "unknown")]
    nodes[0] = {**nodes[0], "health": [fakes.check(name, state) for name, state in checks]}
    store.put_nodes(nodes)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"ready": False, "failing": ["clock", "place"]})
    store.put_nodes([{**node, "alive": False} for node in nodes])
    assert client.get("/readyz").json == {"ready": False, "failing": ["mesh"]}
    client = make_client(control_socket=Path("/nobody.sock"))  # mesh is away
    assert client.get("/readyz").json["failing"] == ["mesh"]


def test_monitoring_reads_checks_levels_and_peers(client, make_client):
    text = client.get("/metrics").text
    for line in (
        'earshot_check_state{check="clock",state="ok"} 1.0',
        'earshot_check_value{check="clock",unit="µs"} 1.2',
        'earshot_node_alive{node="n5"} 1.0',
        'earshot_channel_rms_dbfs{channel="1"} -52.4',
        "earshot_event_clients 0.0",
    ):
        assert line in text.splitlines()
    assert make_client(open_loopback=False).get("/metrics").status_code == 401
    assert make_client(open_loopback=False, open_metrics=True).get("/metrics").status_code == 200


def test_the_interface_is_described_whole(client):
    document = client.get("/api/openapi.json").json
    rules = {rule.rule for rule in client.application.url_map.iter_rules() if rule.rule.startswith("/api")}
    assert {path.replace("{", "<").replace("}", ">") for path in document["paths"] if path.startswith("/api")} == rules
    call = document["paths"]["/api/incidents/{incident_id}/acknowledgements"]["post"]
    assert call["x-roles"] == ["analyst", "installer", "patrol"]
    assert "time_ns" in document["components"]["schemas"]["Acknowledgement"]["properties"]
    assert "/api/incidents/{incident_id}/acknowledgements" in client.get("/interface").text
