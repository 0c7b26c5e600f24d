import msgspec
import pytest

from appliance.errors import StoreError
from appliance.ledger.records import Range
from appliance.storage import StoreReader
from appliance.storage.node_store import NodeStore, Retention
from tests.ledger.authors import START_NS as WRITTEN_NS
from tests.ledger.authors import Author
from tests.storage.incidents import START_NS, incident


@pytest.fixture
def store(tmp_path):
    store = NodeStore(tmp_path / "node.db")
    yield store
    store.close()


@pytest.fixture
def reader(store):
    reader = StoreReader(store.path)
    yield reader
    reader.close()


def keep(store, records):
    with store.transaction():
        store.add_records(records)


def put(store, *incidents, cancelled=(), knowledge="n1:1:1"):
    with store.transaction():
        return store.put_incidents(incidents, cancelled, knowledge, START_NS)


def test_records_come_back_byte_for_byte_also_after_a_restart(store, tmp_path):
    records = Author("n1").stream(5)
    keep(store, records)
    keep(store, records[2:])
    assert store.all_records() == records
    again = NodeStore(tmp_path / "node.db")
    assert again.all_records() == records
    again.close()


def test_ranges_and_last_records_are_found(store):
    author = Author("n1")
    first, second = author.stream(5), author.stream(3)
    other = Author("n2").stream(2)
    keep(store, [*first, *second, *other])
    assert store.records_in(Range("n1", 1, 2, 4)) == first[1:4]
    assert store.records_in(Range("n1", 1, 4, 99)) == first[3:]
    assert store.records_in(Range("n9", 1, 1, 5)) == []
    assert {(r.node, r.epoch, r.seq) for r in store.last_records()} == {("n1", 1, 5), ("n1", 2, 3), ("n2", 1, 2)}
    assert store.epoch_ends() == {("n1", 1): 5}


def test_the_newest_records_of_a_kind_are_found_in_the_same_order_everywhere(store):
    authors = [Author("n1"), Author("n2")]
    records = [record for author in authors for record in author.stream(6)]
    keep(store, records)
    picks = sorted((r for r in records if r.kind == "pick"), key=lambda r: (r.time_ns, r.node, r.epoch, r.seq))
    assert store.records_since("pick", 0, 100) == picks
    assert store.records_since("pick", 0, 3) == picks[-3:]
    assert store.records_since("pick", picks[-1].time_ns, 9) == picks[-2:]
    assert {(r.node, r.seq) for r in store.latest_of_nodes("pick")} == {("n1", 6), ("n2", 6)}
    assert len(store.records_between("pick", picks[2].time_ns, picks[5].time_ns)) == 4


def test_what_fails_inside_a_transaction_leaves_no_trace(store):

    def write_and_fail():
        with store.transaction():
            store.add_records(Author("n1").stream(2))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert store.all_records() == []


def test_a_database_stays_with_its_node_and_site(store):
    with store.transaction():
        store.claim("n1", "abc")
        store.claim("n1", "abc")
    for node, site in (("n2", "abc"), ("n1", "def")):
        with pytest.raises(StoreError, match="belongs to node n1 of site abc"), store.transaction():
            store.claim(node, site)


def test_an_incident_is_an_event_once_for_each_change(store, reader):
    assert put(store, incident()) is not None
    assert put(store, incident()) is None
    assert put(store, incident(revision=2)) is None, "a revision that says nothing new is none"
    put(store, incident(revision=2, confidence=0.95))
    assert [e.body["revision"] for e in reader.events_after(None)] == [1, 2]
    assert reader.incidents()[0]["confidence"] == 0.95


def test_revisions_grow_even_where_the_localiser_counts_anew(store, reader):
    put(store, incident(revision=7))
    put(store, incident(revision=1, confidence=0.5))
    put(store, incident(revision=2, confidence=0.6))
    assert [e.body["revision"] for e in reader.events_after(None)] == [7, 8, 9]


def test_an_earlier_pick_gives_an_incident_its_id_and_the_old_id_still_leads_to_it(store, reader):
    late, whole = incident(first=1, revision=4), incident()
    put(store, late)
    put(store, whole)
    assert [i["id"] for i in reader.incidents()] == [whole.id]
    assert reader.incident(late.id)["id"] == whole.id
    assert reader.incident(whole.aliases[-1])["revision"] == 5


def test_two_incidents_that_turn_out_to_be_one_become_one(store, reader):
    one, two = incident(nodes=("n1",)), incident(nodes=("n1", "n2", "n3"), first=1)
    put(store, one, two)
    put(store, incident())
    assert [i["id"] for i in reader.incidents()] == [incident().id]
    assert reader.events_after(None)[-1].body["aliases"] == list(incident().aliases)


def test_a_pick_that_moves_to_another_incident_takes_nothing_else_with_it(store, reader):
    both = incident(nodes=("n1", "n2"))
    put(store, both)
    put(store, incident(nodes=("n1",)), incident(nodes=("n1", "n2"), first=1))
    assert len(reader.incidents()) == 2
    assert reader.incident(both.aliases[0])["id"] == both.aliases[0]


def test_an_incident_that_was_none_is_cancelled_once_and_may_come_back(store, reader):
    put(store, incident())
    assert put(store, cancelled=[incident().id]) is not None
    assert put(store, cancelled=[incident().id, "no such id"]) is None
    assert reader.incidents()[0]["status"] == "cancelled"
    assert reader.incidents()[0]["revision"] == 2
    put(store, incident())
    assert "status" not in reader.incidents()[0]
    assert reader.incidents()[0]["revision"] == 3


def test_retention_deletes_bodies_and_old_incidents_and_leaves_the_chain(store, reader):
    records = Author("n1").stream(4)
    keep(store, records)
    put(store, incident(0), incident(1))
    n_events = len(reader.events_after(None))
    cut_ns = incident(1).time_ns
    with store.transaction():
        store.prune(Retention(WRITTEN_NS + 2_500_000, cut_ns, START_NS + 1))
    left = store.all_records()
    assert [r.body is None for r in left] == [False, True, True, False], "an epoch's first body stays"
    assert [msgspec.structs.replace(r, body=None) for r in left] == [
        msgspec.structs.replace(r, body=None) for r in records
    ]
    assert [i["id"] for i in reader.incidents()] == [incident(1).id]
    assert reader.incident(incident(0).aliases[0]) is None
    assert len(reader.events_after(None)) < n_events
    assert reader.latest_cursor().startswith("n1:1:1~"), "the knowledge of the last event is not forgotten"
