"""The hub: everybody gets what changed, once, and a slow client is let go instead of holding up the rest."""

import pytest

from web.hub import Hub, Subscription
from web.sse import Frame, Presenter


@pytest.fixture
def hub(store):
    return Hub(store, Presenter(incident=dict, nodes=store.nodes), max_clients=2, queue_limit=4)


def text(subscription):
    return b"".join(frame.data for frame in subscription.take(0.0) or ()).decode()


def test_every_client_gets_each_event_once(hub, store, fakes):
    hub.look(0.0)
    clients = [hub.subscribe(), hub.subscribe()]
    hub.look(0.0)
    for client in clients:
        client.take(0.0)
    cursor = store.put_incident(fakes.incident(1))
    hub.look(0.1)
    hub.look(0.2)
    for client in clients:
        stream = text(client)
        assert stream.startswith(f"id: {cursor}\nevent: incident\ndata: {{")
        assert stream.endswith("}\n\n")
        assert stream.count("\n\n") == 1


def test_what_happens_between_joining_and_the_first_look_is_not_lost(hub, store, fakes):
    store.put_incident(fakes.incident(1))
    client = hub.subscribe()
    cursor = store.put_incident(fakes.incident(2))
    hub.look(0.0)
    stream = text(client)
    assert stream.count("event: incident") == 1
    assert f"id: {cursor}" in stream


def test_what_happened_while_nobody_listened_is_left_to_the_clients_own_cursor(hub, store, fakes):
    hub.look(0.0)
    store.put_incident(fakes.incident(1))
    hub.look(1.0)
    client = hub.subscribe()
    hub.look(2.0)
    assert "event: incident" not in text(client)


def test_a_place_is_refused_beyond_the_limit_and_free_again_after(hub):
    first, _ = hub.subscribe(), hub.subscribe()
    assert hub.subscribe() is None
    hub.unsubscribe(first)
    hub.unsubscribe(first)
    assert hub.n_clients == 1
    assert hub.subscribe() is not None


def test_a_client_that_takes_nothing_is_let_go_and_the_others_go_on(hub, store, fakes):
    hub.look(0.0)
    slow, quick = hub.subscribe(), hub.subscribe()
    for number in range(8):
        store.put_incident(fakes.incident(number))
        hub.look(0.1)
        assert "event: incident" in text(quick)
    assert slow.take(0.0) is None


def test_levels_are_told_once_a_second_and_only_for_nodes_that_changed(hub, store, fakes):
    hub.look(0.0)
    client = hub.subscribe()
    hub.look(0.0)
    assert text(client).count('"id":"n') == 5
    louder = [{**n, "levels": [{"rms_dbfs": -3.0}]} if n["self"] else n for n in store.nodes()]
    store.put_nodes(louder, event=False)
    hub.look(0.5)
    assert text(client) == ""
    hub.look(1.0)
    stream = text(client)
    assert '"rms_dbfs":-3.0' in stream
    assert stream.count('"id":"n') == 1
    assert "\nid: " not in f"\n{stream}"


def test_being_heard_again_is_news_every_ten_seconds(hub, store):
    hub.look(0.0)
    client = hub.subscribe()
    hub.look(0.0)
    text(client)
    for seconds, expected in ((9, 0), (11, 5)):
        later = [
            {**n, "last_heard_ns": n["last_heard_ns"] + 1_000_000_000 * (seconds if seconds == 9 else 2)}
            for n in store.nodes()
        ]
        store.put_nodes(later, event=False)
        hub.look(float(seconds))
        assert text(client).count('"id":"n') == expected


def test_a_node_that_left_is_told(hub, store):
    hub.look(0.0)
    client = hub.subscribe()
    hub.look(0.0)
    text(client)
    store.put_nodes(store.nodes()[:4], event=False)
    hub.look(1.0)
    assert '{"id":"n5","removed":true}' in text(client)


def test_closing_ends_every_stream_and_takes_no_more(hub):
    client = hub.subscribe()
    hub.close()
    assert client.take(10.0) is None
    assert hub.subscribe() is None


def test_what_was_queued_before_the_end_is_still_delivered():
    subscription = Subscription(limit=3)
    subscription.offer([Frame("a", b"one", b"one")])
    subscription.close()
    assert [frame.data for frame in subscription.take(0.0)] == [b"one"]
    assert subscription.take(0.0) is None
