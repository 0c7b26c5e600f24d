"""How a web process notices that the store changed: by mesh's word, and without it by looking."""

import socket

import pytest

from appliance.errors import StoreError
from web.hub import Hub
from web.sse import Presenter
from web.watch import MeshLink, Watch

NEVER_S = 600.0


@pytest.fixture
def hub(store):
    return Hub(store, Presenter(incident=dict, nodes=store.nodes), max_clients=4, queue_limit=100)


@pytest.fixture
def start(hub):
    watches = []

    def begin(control_socket, look_interval_s):
        watch = Watch(hub, control_socket, look_interval_s=look_interval_s)
        watches.append(watch)
        watch.start()
        watch.start()
        return watch

    yield begin
    for watch in watches:
        watch.stop()


@pytest.fixture
def mesh(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "control.sock"))
        server.listen()
        server.settimeout(10)
        yield server


def wait_for_incident(subscription):
    while (frames := subscription.take(10.0)) is not None:
        assert frames, "nothing came within ten seconds"
        if any(b"event: incident" in frame.data for frame in frames):
            return


def test_a_word_from_mesh_brings_the_event_at_once(hub, start, mesh, store, fakes, tmp_path):
    subscription = hub.subscribe()
    watch = start(tmp_path / "control.sock", NEVER_S)
    connection, _ = mesh.accept()
    with connection:
        subscription.take(10.0)
        assert watch.mesh is MeshLink.CONNECTED
        for number in (1, 2):
            store.put_incident(fakes.incident(number))
            connection.sendall(b"\x00\x00\x00\x01x")
            wait_for_incident(subscription)


def test_a_flood_of_words_is_one_look(hub, start, mesh, store, fakes, tmp_path):
    subscription = hub.subscribe()
    start(tmp_path / "control.sock", NEVER_S)
    connection, _ = mesh.accept()
    with connection:
        subscription.take(10.0)
        store.put_incident(fakes.incident(1))
        connection.sendall(b"x" * 300_000)
        wait_for_incident(subscription)
        store.put_incident(fakes.incident(2))
        connection.sendall(b"x")
        wait_for_incident(subscription)


def test_without_mesh_the_store_is_looked_at_again_and_again(hub, start, store, fakes, tmp_path):
    subscription = hub.subscribe()
    watch = start(tmp_path / "nobody.sock", 0.02)
    subscription.take(10.0)
    assert watch.mesh is MeshLink.AWAY
    store.put_incident(fakes.incident(1))
    wait_for_incident(subscription)


def test_mesh_is_found_again_after_it_went_away(hub, start, mesh, store, fakes, tmp_path):
    subscription = hub.subscribe()
    start(tmp_path / "control.sock", 0.02)
    mesh.accept()[0].close()
    again, _ = mesh.accept()
    with again:
        store.put_incident(fakes.incident(1))
        again.sendall(b"x")
        wait_for_incident(subscription)


def test_a_store_that_fails_is_told_once_and_read_again_when_it_can_be(hub, start, store, fakes, caplog):
    subscription = hub.subscribe()
    store.failure = StoreError("node.db", "is locked", "wait")
    start(None, 0.01)
    assert subscription.take(0.2) == []
    store.failure = None
    subscription.take(10.0)
    store.put_incident(fakes.incident(1))
    wait_for_incident(subscription)
    messages = [record.getMessage() for record in caplog.records]
    assert sum("can't be read" in message for message in messages) == 1
    assert sum("can be read again" in message for message in messages) == 1


def test_stopping_one_that_never_started_is_harmless(hub):
    Watch(hub, None).stop()
