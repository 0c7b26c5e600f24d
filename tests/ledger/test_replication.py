import msgspec
import pytest

from appliance.ledger.chain import Verdict
from appliance.ledger.records import Head, Range
from appliance.ledger.replication import ANSWER_TIMEOUT_S, MAX_EPOCHS_PER_NODE, MAX_RANGE_RECORDS, MAX_RANGES, Replica
from tests.ledger.authors import Author, roster_of
from tests.ledger.virtual_mesh import VirtualMesh, trouble


@pytest.fixture
def author():
    return Author("n1")


@pytest.fixture
def replica(author):
    roster = roster_of(author, Author("me"), *(Author(f"x{i}") for i in range(50)))
    replica = Replica(("me", 1), roster, {})
    replica.connect("p")
    return replica


def take(replica, records, *, peer="p", asked=False):
    return replica.receive(peer, records, asked=asked, bodies_after_ns=0)


def test_pushed_records_are_accepted_once(replica, author):
    records = author.stream(3)
    assert take(replica, records).accepted == tuple(records)
    again = take(replica, records)
    assert again.accepted == ()
    assert again.others == {Verdict.DUPLICATE: 3}
    assert not again.offences


def test_after_a_gap_the_missing_records_are_asked_for(replica, author):
    records = author.stream(5)
    take(replica, records[:2])
    assert take(replica, records[4:]).others == {Verdict.GAP: 1}
    assert replica.requests(0.0) == {"p": (Range("n1", 1, 3, 5),)}


def test_heads_lead_to_a_request_and_its_answer_to_the_next(replica, author):
    records = author.stream(MAX_RANGE_RECORDS + 10)
    replica.offer("p", [Head("n1", 1, len(records))])
    assert replica.requests(0.0) == {"p": (Range("n1", 1, 1, MAX_RANGE_RECORDS),)}
    assert replica.requests(0.1) == {}, "one request is under way at a time"
    take(replica, records[:MAX_RANGE_RECORDS], asked=True)
    assert replica.requests(0.2) == {"p": (Range("n1", 1, MAX_RANGE_RECORDS + 1, MAX_RANGE_RECORDS + 10),)}
    take(replica, records[MAX_RANGE_RECORDS:], asked=True)
    assert replica.requests(0.3) == {}


def test_the_same_records_are_not_asked_of_two_peers_and_the_second_is_asked_when_the_first_does_not_answer(replica):
    replica.connect("q")
    for peer in ("p", "q"):
        replica.offer(peer, [Head("n1", 1, 3)])
    assert list(replica.requests(0.0)) == ["p"]
    assert replica.requests(ANSWER_TIMEOUT_S / 2) == {}
    assert list(replica.requests(ANSWER_TIMEOUT_S)) == ["q"]


def test_a_peer_that_does_not_bring_what_it_offered_is_not_asked_for_it_again(replica):
    replica.offer("p", [Head("n1", 1, 3)])
    replica.requests(0.0)
    take(replica, [], asked=True)
    assert replica.requests(0.1) == {}


def test_a_request_is_bounded_whatever_a_peer_offers(replica):
    replica.offer("p", [Head(f"x{i}", 1, 10**9) for i in range(50)])
    (ranges,) = replica.requests(0.0).values()
    assert len(ranges) == MAX_RANGES
    assert all(r.last - r.first < MAX_RANGE_RECORDS for r in ranges)


def test_streams_of_strangers_are_not_asked_for_until_they_are_known(author):
    roster = roster_of(Author("me"))
    replica = Replica(("me", 1), roster, {})
    replica.connect("p")
    replica.offer("p", [Head("n1", 1, 3)])
    assert replica.requests(0.0) == {}
    roster.add("n1", author.key.public_key())
    assert replica.requests(0.0) == {"p": (Range("n1", 1, 1, 3),)}


def test_peers_are_told_only_of_records_on_disk_and_of_each_once(replica, author):
    records = author.stream(2)
    take(replica, records)
    assert replica.news_for("p", 10) == ()
    replica.committed(records)
    assert replica.news_for("p", 10) == (Head("n1", 1, 2),)
    assert replica.news_for("p", 10) == ()
    replica.disconnect("p")
    replica.connect("p")
    assert replica.news_for("p", 10) == (Head("n1", 1, 2),)


def test_records_by_a_copy_of_this_nodes_own_key_are_refused(replica):
    copy = Author("me")
    assert take(replica, copy.stream(2)).offences == {Verdict.CLONED: 1}
    replica.offer("p", [Head("me", 1, 5)])
    assert replica.requests(0.0) == {}


def test_a_nodes_own_earlier_records_come_back_from_its_peers(replica):
    lost = Author("me").begin(epoch=9)
    replica.offer("p", [Head("me", 9, 1)])
    assert replica.requests(0.0) == {"p": (Range("me", 9, 1, 1),)}
    assert take(replica, [lost], asked=True).accepted == (lost,)


def test_one_bad_record_does_not_spoil_the_good_ones_beside_it(replica, author):
    good = author.stream(2)
    bad = msgspec.structs.replace(good[1], seq=3)
    received = take(replica, [*good, bad])
    assert received.accepted == tuple(good)
    assert received.offences == {Verdict.FORGED: 1}


def test_a_node_can_not_fill_memory_with_epochs(replica, author):
    starts = [author.begin() for _ in range(MAX_EPOCHS_PER_NODE + 1)]
    received = take(replica, starts)
    assert len(received.accepted) == MAX_EPOCHS_PER_NODE
    assert received.offences == {Verdict.TOO_MANY_EPOCHS: 1}


@pytest.mark.parametrize("seed", range(12))
def test_after_any_trouble_all_nodes_have_the_same_records_and_incidents_and_nothing_is_lost(seed):
    assert trouble(seed, locating=seed < 2) == []


def test_a_seed_gives_the_same_run_again():
    runs = [VirtualMesh(["n1", "n2", "n3"], 5) for _ in range(2)]
    for mesh in runs:
        mesh.run(6.0, chaos=mesh.chaos)
    assert runs[0].nodes["n1"].disk == runs[1].nodes["n1"].disk
