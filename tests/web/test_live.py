"""The stream of events over a real socket: live, resumed, limited, and with a heartbeat."""

import http.client
import json
import time
from urllib.parse import urlsplit

import pytest

from web import live
from web.site import site_of


class Stream:
    """A client of server-sent events that keeps what it read."""

    def __init__(self, url, path="/api/events", headers=()):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self.connection.request("GET", path, headers=dict(headers))
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def block(self):
        """The next lines up to an empty one."""
        lines = []
        while line := self.response.readline().decode().rstrip("\n"):
            lines.append(line)
        return lines

    def event(self, kind):
        """The next event of a kind: (id or None, data)."""
        while True:
            fields = dict(line.split(": ", 1) for line in self.block() if not line.startswith(":"))
            if fields.get("event") == kind:
                return fields.get("id"), json.loads(fields["data"])

    def heartbeat(self):
        """What the next comment says."""
        while True:
            for line in self.block():
                if line.startswith(": "):
                    return json.loads(line[2:])

    def close(self):
        self.response.close()
        self.connection.close()


@pytest.fixture
def connect():
    streams = []

    def open_stream(*args, **kwargs):
        streams.append(Stream(*args, **kwargs))
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.close()


def test_an_incident_comes_while_the_client_waits(serve, connect, store, fakes):
    url, _ = serve()
    stream = connect(url)
    assert stream.response.headers["Content-Type"].startswith("text/event-stream")
    assert stream.response.headers["Cache-Control"] == "no-store"
    assert stream.block() == ["retry: 2000", f"id: {store.latest_cursor()}"]
    cursor = store.put_incident(fakes.incident(1))
    event_id, body = stream.event("incident")
    assert event_id == cursor
    assert body["time_ns"] == fakes.START_NS + 10**9
    assert body["words"]["category"] == "Gunfire"


def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(serve, connect, store, fakes):
    url, _ = serve()
    seen = store.put_incident(fakes.incident(1))
    ids = [store.put_incident(fakes.incident(n)) for n in (2, 3, 4)]
    stream = connect(url, headers={"Last-Event-ID": seen})
    assert [stream.event("incident")[0] for _ in ids] == ids
    last = store.put_incident(fakes.incident(5))
    assert stream.event("incident")[0] == last


def test_what_was_both_missed_and_handed_out_meanwhile_is_sent_once(client, store, fakes):
    site = site_of(client.application)
    seen = store.put_incident(fakes.incident(1))
    subscription = site.hub.subscribe()
    ids = [store.put_incident(fakes.incident(2))]
    site.hub.look(0.0)
    sent = live.stream(
        site, live.Client(subscription, is_exact=True, may_stay=lambda: True), b"", store.events_after(seen)
    )
    text = next(sent) + next(sent)
    ids.append(store.put_incident(fakes.incident(3)))
    site.hub.look(0.0)
    text += next(sent)
    assert [line[4:] for line in text.decode().splitlines() if line.startswith("id: ")] == ids
    site.hub.unsubscribe(subscription)


def test_the_header_of_a_reconnecting_browser_wins_over_its_first_address(serve, connect, store, fakes):
    url, _ = serve()
    first, second, third = (store.put_incident(fakes.incident(n)) for n in (1, 2, 3))
    assert connect(url, f"/api/events?since={first}").event("incident")[0] == second
    assert connect(url, f"/api/events?since={first}", {"Last-Event-ID": second}).event("incident")[0] == third


def test_more_missed_events_than_one_page_all_arrive_in_order(serve, connect, store, fakes):
    url, _ = serve()
    seen = store.put_incident(fakes.incident(0))
    ids = [store.put_incident(fakes.incident(n, rounds=1)) for n in range(1, 1_203)]
    stream = connect(url, headers={"Last-Event-ID": seen})
    assert [stream.event("incident")[0] for _ in ids] == ids


def test_nodes_are_told_as_they_are(serve, connect, store):
    url, _ = serve()
    stream = connect(url)
    stream.block()
    store.put_nodes([{**node, "alive": False} for node in store.nodes()])
    _, nodes = stream.event("nodes")
    while any(node["state"] != "silent" for node in nodes):
        _, nodes = stream.event("nodes")
    assert [node["id"] for node in nodes] == ["n1", "n2", "n3", "n4", "n5"]


def test_a_silent_stream_beats_and_tells_the_nodes_time(serve, connect):
    url, _ = serve(heartbeat_s=0.05)
    stream = connect(url)
    beats = [stream.heartbeat() for _ in range(3)]
    assert beats[0]["time_ns"] < beats[1]["time_ns"] < beats[2]["time_ns"]
    assert abs(beats[2]["time_ns"] - time.time_ns()) < 10 * 10**9
    assert beats[0]["mesh"] == "unused"


def test_one_client_too_many_is_sent_away_and_the_place_is_free_after_another_left(serve, connect):
    url, _ = serve(max_event_clients=2, heartbeat_s=0.05)
    first, second = connect(url), connect(url)
    refused = connect(url)
    assert refused.status == 503
    assert int(refused.response.headers["Retry-After"]) >= 1
    answer = json.loads(refused.response.read())
    assert answer["error"] == "all 2 live places of this node are taken"
    assert "another node" in answer["remedy"]
    first.close()
    # The server notices at the next heartbeats that nobody takes them.
    for _ in range(100):
        second.heartbeat()
        if (again := connect(url)).status == 200:
            break
        again.close()
    assert again.status == 200


def test_other_requests_are_answered_while_all_places_are_taken(serve, connect):
    url, _ = serve(max_event_clients=1)
    connect(url)
    nodes = connect(url, "/api/nodes")
    assert nodes.status == 200


def test_the_end_of_the_process_ends_the_streams(serve, connect):
    url, app = serve()
    stream = connect(url)
    stream.block()
    app.extensions["earshot"].hub.close()
    while stream.block():
        pass
    assert stream.response.read() == b""
