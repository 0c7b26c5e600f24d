"""What programs get from the API: formats, limits, errors, and who may read."""

import json

import pytest

from appliance.errors import StoreError

LAN = {"REMOTE_ADDR": "192.168.1.20"}


def test_incidents_come_newest_first_in_the_incident_format(client, store, fakes):
    for number in (2, 3, 1):
        store.put_incident(fakes.incident(number))
    response = client.get("/api/incidents")
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert [i["time_ns"] for i in response.json] == [fakes.START_NS + n * 10**9 for n in (3, 2, 1)]
    first = response.json[0]
    assert set(fakes.incident()) <= set(first)
    assert isinstance(first["time_ns"], int)
    assert first["time"] == "2026-07-04T03:12:03.000000Z"


def test_an_empty_node_gives_an_empty_array(client):
    assert client.get("/api/incidents").json == []


def test_limit_and_since_choose_what_is_listed(client, store, fakes):
    store.put_incident(fakes.incident(1))
    cursor = store.put_incident(fakes.incident(2))
    store.put_incident(fakes.incident(3))
    assert len(client.get("/api/incidents?limit=2").json) == 2
    assert [i["time"][17:19] for i in client.get(f"/api/incidents?since={cursor}").json] == ["03"]


def test_the_list_tells_where_to_read_on(client, store, fakes):
    cursor = store.put_incident(fakes.incident(1))
    assert client.get("/api/incidents").headers["Earshot-Cursor"] == cursor


def test_any_picks_id_leads_to_its_incident(client, store, fakes):
    body = fakes.incident(1, aliases=["0001-n9"])
    store.put_incident(body)
    assert client.get("/api/incidents/0001-n9").json["id"] == body["id"]
    missing = client.get("/api/incidents/0002-n9")
    assert (missing.status_code, missing.json["error"]) == (404, "there is no incident 0002-n9")


def test_nodes_rejections_and_health_are_told(client, store):
    store.rejected = [
        {"time_ns": 1, "time": "1970-01-01T00:00:00.000000Z", "stage": "onset", "reason": "too quiet"}
    ] * 3
    nodes = client.get("/api/nodes").json
    assert [n["id"] for n in nodes] == ["n1", "n2", "n3", "n4", "n5"]
    assert nodes[0]["self"] is True
    assert nodes[0]["health"][0]["words"] == "Hearing on 4 channels"
    assert nodes[0]["levels"][0]["rms_dbfs"] == -52.4
    assert len(client.get("/api/rejections?limit=2").json) == 2
    assert client.get("/healthz").json == {"status": "ok", "mesh": "unused", "event_clients": 0}


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "1e3", "٣", "", "9" * 400])
def test_a_bad_limit_is_refused_with_a_remedy(client, limit):
    response = client.get("/api/incidents", query_string={"limit": limit})
    assert response.status_code == 400
    assert set(response.json) == {"error", "remedy"}
    assert "1 to 1000" in response.json["remedy"]


@pytest.mark.parametrize("cursor", ["other:1:2", "fake:1:x", "a" * 5_000, "n1:\n1:2"])
@pytest.mark.parametrize("path", ["/api/incidents", "/api/events"])
def test_what_is_no_cursor_is_refused_with_a_remedy(client, path, cursor):
    response = client.get(path, query_string={"since": cursor})
    assert response.status_code == 400
    assert response.json["error"]
    assert response.json["remedy"]
    assert client.get("/healthz").json["event_clients"] == 0


def test_an_unreadable_store_is_told_with_when_to_try_again(client, store):
    store.failure = StoreError("node.db", "is locked", "wait a moment")
    for path in ("/api/incidents", "/api/nodes", "/api/events", "/healthz"):
        response = client.get(path)
        assert response.status_code == 503, path
        assert response.headers["Retry-After"] == "2"
        assert response.json == {"error": "node.db: is locked", "remedy": "wait a moment"}


def test_a_crash_is_an_answer_without_its_insides(client, store, caplog):
    store.failure = ZeroDivisionError("secret path /a/b")
    response = client.get("/api/incidents")
    assert response.status_code == 500
    assert response.json["error"] == "the page failed; detection goes on"
    assert "secret" not in response.text
    assert "secret path" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("get", "/api/nothing", 404), ("post", "/api/incidents", 405), ("get", "/static/../x", 404)],
)
def test_errors_of_http_are_json_too(client, method, path, status):
    response = getattr(client, method)(path)
    assert response.status_code == status
    assert set(response.json) == {"error", "remedy"}


def test_a_person_who_lost_the_way_gets_a_page(client):
    response = client.get("/nowhere", headers={"Accept": "text/html"})
    assert response.status_code == 404
    assert response.mimetype == "text/html"
    assert "there is nothing at this address" in response.text


def test_the_token_opens_the_api_from_anywhere(make_client):
    client = make_client(token="s3cret-token")
    good = {"Authorization": "Bearer s3cret-token"}
    assert client.get("/api/incidents", headers=good, environ_overrides=LAN).status_code == 200
    for value in ("Bearer wrong", "Bearer", "Basic czNjcmV0", "s3cret-token", "Bearer s3cret-tökén"):
        response = client.get("/api/incidents", headers={"Authorization": value})
        assert response.status_code == 401, value
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert set(response.json) == {"error", "remedy"}


def test_a_node_without_a_token_accepts_none(client):
    assert client.get("/api/incidents", headers={"Authorization": "Bearer None"}).status_code == 401


def test_a_foreign_name_for_this_machine_is_refused(client):
    response = client.get("/api/incidents", headers={"Host": "rebound.example:8080"})
    assert response.status_code == 403
    for host in ("localhost:8080", "127.0.0.1:1", "[::1]:8080"):
        assert client.get("/api/incidents", headers={"Host": host}).status_code == 200


def test_every_answer_carries_the_security_headers(client):
    for path in ("/", "/api/incidents", "/api/nothing", "/static/js/main.js", "/healthz"):
        with client.get(path) as response:
            headers = response.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
    assert client.get("/api/incidents").headers["Cache-Control"] == "no-store"


def test_the_page_holds_no_inline_script_or_style(client):
    page = client.get("/").text
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick" not in page
    scripts = [part.split(">")[0] for part in page.split("<script")[1:]]
    assert all(" src=" in s or 'type="application/json"' in s for s in scripts)


def test_names_from_outside_stay_text_in_the_page(client, store, fakes):
    name = "</script><script>alert(1)</script>"
    store.put_nodes([{**fakes.node("n1", own=True), "id": name}])
    page = client.get("/").text
    assert "<script>alert(1)" not in page
    boot = page.split('id="boot">')[1].split("</script>")[0]
    assert json.loads(boot)["own_node"] == name


def test_the_map_is_empty_until_there_is_a_file(make_client, tmp_path, fakes):
    client = make_client(map_file=tmp_path / "map.geojson")
    assert client.get("/api/map").json == {"type": "FeatureCollection", "features": []}
    (tmp_path / "map.geojson").write_text(json.dumps(fakes.town()))
    response = client.get("/api/map")
    assert response.mimetype == "application/geo+json"
    assert len(response.json["features"]) > 100
    again = client.get("/api/map", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "Feature"}', '{"type": "FeatureCollection", "features": 3}'])
def test_a_broken_map_is_told_with_its_file(make_client, tmp_path, text):
    (tmp_path / "map.geojson").write_text(text)
    response = make_client(map_file=tmp_path / "map.geojson").get("/api/map")
    assert response.status_code == 503
    assert "map.geojson: is no GeoJSON feature collection" in response.json["error"]
    assert response.json["remedy"] == "replace the file"
