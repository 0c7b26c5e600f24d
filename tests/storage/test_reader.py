import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.errors import InputError, StoreError
from appliance.model.remarks import UnitState
from appliance.storage import StoreReader
from appliance.storage.node_store import NodeStore
from appliance.wire.records import AcknowledgementBody, encode_body
from tests.ledger.authors import Author
from tests.storage.incidents import START_NS, incident


@pytest.fixture
def open_node(tmp_path):
    """Makes nodes: a store to write into and a reader of it."""
    opened = []

    def open_one(name):
        store = NodeStore(tmp_path / f"{name}.db")
        reader = StoreReader(store.path)
        opened.extend((store, reader))
        return store, reader

    yield open_one
    for thing in opened:
        thing.close()


def put(store, *incidents, knowledge="n1:1:1"):
    with store.transaction():
        store.put_incidents(incidents, (), knowledge, START_NS)


def test_incidents_come_newest_first_in_the_incident_format_with_times_for_people(open_node):
    store, reader = open_node("a")
    put(store, *(incident(n) for n in (2, 0, 1)))
    listed = reader.incidents()
    assert [i["id"] for i in listed] == [incident(n).id for n in (2, 1, 0)]
    assert listed[2]["time_ns"] == START_NS
    assert listed[2]["time"] == "2026-09-21T14:13:20.000000Z"
    assert listed[2]["shots"][0]["time"] == listed[2]["time"]
    assert listed[2]["heard_by"] == ["n1", "n2", "n3"]
    assert len(reader.incidents(limit=2)) == 2


def test_a_reader_who_goes_on_from_each_cursor_sees_every_event_once(open_node):
    store, reader = open_node("a")
    cursor = reader.latest_cursor()
    assert reader.events_after(cursor) == []
    seen = []
    for n in range(6):
        put(store, incident(n), incident(n + 100), knowledge=f"n1:1:{n + 1}")
        while events := reader.events_after(cursor, limit=1):
            seen.append(events[0].body["id"])
            cursor = events[0].cursor
    assert seen == [incident(m).id for n in range(6) for m in (n, n + 100)]
    assert cursor == reader.latest_cursor()


def test_since_gives_the_incidents_that_changed_after_a_cursor_as_they_are_now(open_node):
    store, reader = open_node("a")
    put(store, incident(0), incident(1, first=1))
    cursor = reader.latest_cursor()
    assert reader.incidents(since=cursor) == []
    put(store, incident(1))
    put(store, incident(1, confidence=0.3))
    changed = reader.incidents(since=cursor)
    assert [(i["id"], i["confidence"]) for i in changed] == [(incident(1).id, 0.3)]


def test_a_cursor_of_another_node_skips_what_that_node_had_shown(open_node):
    store, reader = open_node("a")
    for n in range(1, 6):
        put(store, incident(n), knowledge=f"n1:7:{n},n2:9:{2 * n}")
    bodies = [e.body["id"] for e in reader.events_after("n1:7:3,n2:9:6~0123abcd.77")]
    assert bodies == [incident(4).id, incident(5).id]
    assert len(reader.events_after("n1:7:3,n2:9:5~0123abcd.77")) == 3
    assert len(reader.events_after("n1:7:99,n2:9:99")) == 0
    assert len(reader.events_after("n1:7:99")) == 5
    assert len(reader.events_after("")) == 5


@pytest.mark.parametrize("seed", range(30))
def test_a_reader_who_moves_to_another_node_at_any_moment_misses_nothing(open_node, seed):
    """Two nodes learn the same records in different orders, each showing an incident once it knows its records."""
    rng = random.Random(seed)
    needs = {n: {node: rng.randint(1, 8) for node in ("n1", "n2", "n3")} for n in range(6)}
    readers = {}
    for name in ("a", "b"):
        store, readers[name] = open_node(f"{name}{seed}")
        known = dict.fromkeys(("n1", "n2", "n3"), 0)
        shown = set()
        while any(seq < 8 for seq in known.values()):
            node = rng.choice([n for n, seq in known.items() if seq < 8])
            known[node] += rng.randint(1, 8 - known[node])
            found = [n for n in needs if n not in shown and all(known[k] >= v for k, v in needs[n].items())]
            shown.update(found)
            text = ",".join(f"{node}:1:{seq}" for node, seq in sorted(known.items()) if seq)
            put(store, *(incident(n) for n in found), knowledge=text)
    everything = readers["a"].events_after(None)
    for n_read in range(len(everything) + 1):
        before = everything[:n_read]
        cursor = before[-1].cursor if before else None
        seen = {e.body["id"] for e in before} | {e.body["id"] for e in readers["b"].events_after(cursor)}
        assert seen == {incident(n).id for n in needs}


def test_an_epoch_that_another_node_knew_to_its_end_is_not_shown_again(open_node):
    store, reader = open_node("a")
    author = Author("n1")
    with store.transaction():
        store.add_records([*author.stream(5), author.begin()])
    put(store, incident(1), knowledge="n1:1:5")
    put(store, incident(2), knowledge="n1:2:1")
    assert [e.body["id"] for e in reader.events_after("n1:2:1")] == []
    assert [e.body["id"] for e in reader.events_after("n1:1:4,n1:2:1")] == [incident(1).id, incident(2).id]


@pytest.mark.parametrize(
    "cursor", ["nonsense", "n1:1:1~x", "n1:1:1~0123abcd", "~0123abcd.-1", "~0123ABCD.1", "é", "~\n"]
)
def test_what_is_no_cursor_is_refused_with_a_remedy(open_node, cursor):
    _, reader = open_node("a")
    with pytest.raises(InputError, match="leave it out to read from the beginning"):
        reader.events_after(cursor)


def test_many_threads_read_while_the_node_writes(open_node):
    store, reader = open_node("a")

    def read():
        for _ in range(30):
            ids = [i["id"] for i in reader.incidents()]
            assert ids == sorted(ids, reverse=True)
            reader.events_after(reader.latest_cursor())

    with ThreadPoolExecutor(6) as threads:
        reading = [threads.submit(read) for _ in range(6)]
        for n in range(30):
            put(store, incident(n))
        for future in reading:
            future.result(30)
    assert len(reader.incidents()) == 30


def test_before_mesh_made_the_database_the_reader_says_so(tmp_path):
    with pytest.raises(StoreError, match="start earshot mesh"):
        StoreReader(tmp_path / "node.db")


def test_a_reader_who_moves_to_another_node_misses_no_remark_and_later_sees_it_no_more(open_node):
    """A remark must reach everybody, whatever was located before, between and after it."""
    author = Author("n1")
    author.begin()
    said = [remark(author, incident(1).id, unit) for unit in ("12", "7")]
    (here, reader_here), (there, reader_there) = open_node("a"), open_node("b")
    for store, order in ((here, (1, 0, 2)), (there, (0, 1, 2))):
        steps = [
            lambda store=store: put(store, incident(1), knowledge="n1:1:1"),
            lambda store=store: add(store, said[0]),
            lambda store=store: (add(store, said[1]), put(store, incident(2), knowledge="n1:1:3,n2:1:4")),
        ]
        for step in order:
            steps[step]()
    everything = reader_here.events_after(None)
    assert [e.kind for e in everything] == ["acknowledgement", "incident", "acknowledgement", "incident"]
    for n_read in range(len(everything) + 1):
        cursor = everything[n_read - 1].cursor if n_read else None
        seen = [e.body.get("unit") for e in (*everything[:n_read], *reader_there.events_after(cursor))]
        assert {"12", "7"} <= set(seen), n_read
    assert reader_there.events_after(everything[-1].cursor) == []


def remark(author, incident_id, unit):
    return author.write(*encode_body(AcknowledgementBody(incident_id, unit, UnitState.EN_ROUTE, START_NS)))


def add(store, record):
    with store.transaction():
        store.add_records([record], START_NS)


def test_a_reader_notices_that_the_node_began_a_new_database(open_node, tmp_path):
    store, reader = open_node("a")
    put(store, incident(1))
    old = reader.latest_cursor()
    for file in tmp_path.glob("a.db*"):
        file.rename(file.with_name(f"{file.name}.before"))
    assert [i["id"] for i in reader.incidents()] == [incident(1).id], "until there is another one"
    new, _ = open_node("a")
    put(new, incident(2), knowledge="n9:1:1")
    assert [i["id"] for i in reader.incidents()] == [incident(2).id]
    assert [e.body["id"] for e in reader.events_after(old)] == [incident(2).id]
