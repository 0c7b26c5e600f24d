"""The owner's files: taken into use at once, refused with a reason, and seen on every alert."""

import io
import json


def give(client, kind, data):
    form = {"kind": kind, "file": (io.BytesIO(data), "file")}
    return client.post("/geography", data=form, content_type="multipart/form-data")


def test_alerts_have_an_address_once_there_are_streets(make_client, store, fakes, tmp_path):
    client = make_client(geography=tmp_path / "geography")
    store.put_incident(fakes.incident(1, at_m=(10, -30)))
    assert "address" not in client.get("/api/incidents").json[0]
    assert give(client, "streets", json.dumps(fakes.town()).encode()).status_code == 302
    assert client.get("/api/incidents").json[0]["address"] == "Elm Road at 5th Street"
    lat, lon = fakes.place(0, 0)
    square = [[[lon + x, lat + y] for x, y in ((-0.01, -0.01), (0.01, -0.01), (0.01, 0.01), (-0.01, 0.01))]]
    beat = {"type": "Feature", "properties": {"name": "12", "kind": "beat"}}
    beat["geometry"] = {"type": "Polygon", "coordinates": [[*square[0], square[0][0]]]}
    zones = {"type": "FeatureCollection", "features": [beat]}
    assert give(client, "zones", json.dumps(zones).encode()).status_code == 302
    shown = client.get("/api/incidents").json[0]
    assert (shown["address"], shown["zones"]) == ("Elm Road at 5th Street, Beat 12", {"beat": "12"})
    with client.get("/api/events?since=fake:1:0") as response:
        sent = next(iter(response.response)) + next(iter(response.response))
    assert b"Elm Road at 5th Street, Beat 12" in sent


def test_the_streets_of_the_map_serve_where_the_owner_gave_none(make_client, store, fakes, tmp_path):
    (tmp_path / "map.geojson").write_text(json.dumps(fakes.town()))
    store.put_incident(fakes.incident(1, at_m=(10, -30)))
    client = make_client(map_file=tmp_path / "map.geojson")
    assert client.get("/api/incidents").json[0]["address"] == "Elm Road at 5th Street"


def test_far_from_every_street_there_is_a_named_place(make_client, store, fakes, tmp_path):
    client = make_client(geography=tmp_path / "geography")
    lat, lon = fakes.place(0, 0)
    give(client, "places", f"name,lat,lon\nCity Hall,{lat},{lon}\n".encode())
    store.put_incident(fakes.incident(1, at_m=(0, 299)))
    assert client.get("/api/incidents").json[0]["address"] == "300 m north of City Hall"


def test_what_can_not_be_used_is_told_and_the_old_file_stays(make_client, store, fakes, tmp_path):
    client = make_client(geography=tmp_path / "geography")
    store.put_incident(fakes.incident(1, at_m=(10, -30)))
    give(client, "streets", json.dumps(fakes.town()).encode())
    answer = give(client, "streets", b"name,lat,lon\nElm,91,0\n")
    assert (answer.status_code, "line 2: 91.0, 0.0 is no place" in answer.text) == (400, True)
    assert give(client, "secrets", b"{}").status_code == 400
    assert client.get("/api/incidents").json[0]["address"].startswith("Elm Road")
    (tmp_path / "geography" / "streets").write_text("spoiled by hand")
    assert "address" not in client.get("/api/incidents").json[0]
    assert "holds no line with a name" in client.get("/geography").text
