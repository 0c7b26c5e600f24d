import msgspec
import pytest

from appliance.ledger.chain import Verdict, judge
from appliance.ledger.records import NO_RECORD, RecordWriter, Tip, record_hash
from tests.ledger.authors import SITE_KEY, START_NS, Author, roster_of


@pytest.fixture
def author():
    return Author("n1")


@pytest.fixture
def roster(author):
    return roster_of(author, Author("n2"))


def tip_of(record):
    return Tip(record.seq, record_hash(record, SITE_KEY))


def resigned(author, record, **changes):
    """What somebody with the node's key would send: changed, but properly signed."""
    from appliance.ledger.records import signed_bytes

    changed = msgspec.structs.replace(record, **changes)
    return msgspec.structs.replace(changed, signature=author.key.sign(signed_bytes(changed, SITE_KEY)))


def test_the_records_of_an_honest_node_are_accepted_one_after_the_other(author, roster):
    tip = None
    for record in author.stream(5):
        assert judge(record, tip, roster) is Verdict.ACCEPTED
        tip = tip_of(record)


def test_what_is_held_already_is_a_duplicate_and_what_lies_further_on_a_gap(author, roster):
    records = author.stream(4)
    assert judge(records[0], tip_of(records[1]), roster) is Verdict.DUPLICATE
    assert judge(records[1], tip_of(records[1]), roster) is Verdict.DUPLICATE
    assert judge(records[3], tip_of(records[1]), roster) is Verdict.GAP
    assert judge(records[2], None, roster) is Verdict.GAP
    assert not any(v.is_offence for v in (Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.GAP))


def test_a_deleted_body_is_accepted_only_where_it_need_not_be_there_any_more(author, roster):
    record = msgspec.structs.replace(author.begin(), body=None)
    assert judge(record, None, roster, body_needed=False) is Verdict.ACCEPTED
    assert judge(record, None, roster) is Verdict.NO_BODY


def forgeries():
    author, other, stranger = Author("n1"), Author("n2"), Author("n9")
    first, second, third = author.stream(3)
    twin = Author("n1")
    twin.begin()
    fork = twin.pick(START_NS + 77)
    off_site = Author("n1", site_key=bytes(32)).begin()
    wrong_key = RecordWriter(other.key, SITE_KEY, "n1", 1, NO_RECORD)
    yield "stranger", stranger.begin(), None, Verdict.STRANGER
    yield "of another site", off_site, None, Verdict.FORGED
    yield "signed by another node", wrong_key.write("epoch", first.body, START_NS), None, Verdict.FORGED
    yield "claimed by another node", msgspec.structs.replace(first, node="n2"), None, Verdict.FORGED
    for field, value in (
        ("epoch", 2),
        ("time_ns", START_NS + 1),
        ("kind", "note"),
        ("previous", bytes(31) + b"\1"),
        ("body_hash", bytes(32)),
        ("signature", bytes(64)),
        ("signature", second.signature),
    ):
        yield f"{field} changed", msgspec.structs.replace(first, **{field: value}), None, Verdict.FORGED
    yield "number changed", msgspec.structs.replace(third, seq=2), first, Verdict.FORGED
    yield "body changed", msgspec.structs.replace(first, body=first.body + b"\0"), None, Verdict.CHANGED_BODY
    yield "body empty", msgspec.structs.replace(first, body=b""), None, Verdict.CHANGED_BODY
    yield "body of another", msgspec.structs.replace(second, body=third.body), first, Verdict.CHANGED_BODY
    yield "body withheld", msgspec.structs.replace(second, body=None), first, Verdict.NO_BODY
    yield "chain broken, well signed", resigned(author, second, previous=bytes(32)), first, Verdict.BROKEN_CHAIN
    yield "chain to a later record", resigned(author, second, previous=tip_of(third).hash), first, Verdict.BROKEN_CHAIN
    yield "another in its place, well signed", fork, second, Verdict.FORKED
    yield "first of no epoch", resigned(author, first, kind="note"), None, Verdict.BAD_START
    yield "epoch in the middle", resigned(author, second, kind="epoch"), first, Verdict.BAD_START


@pytest.mark.parametrize(("record", "held", "verdict"), [pytest.param(*f[1:], id=f[0]) for f in forgeries()])
def test_every_forgery_is_refused_with_its_own_reason(record, held, verdict, roster):
    result = judge(record, tip_of(held) if held else None, roster)
    assert result is verdict
    assert result.is_offence


def test_a_forged_copy_of_a_held_record_is_not_taken_for_a_fork(author, roster):
    """Anybody can send garbage with a held number; only the node's own key can make a fork."""
    record = author.stream(2)[1]
    forged = msgspec.structs.replace(record, body_hash=bytes(32))
    assert judge(forged, tip_of(record), roster) is Verdict.DUPLICATE


def test_a_node_that_was_enrolled_again_is_believed_under_both_keys(author, roster):
    renewed = Author("n1")
    renewed.key = Author("another").key
    record = renewed.begin(epoch=5)
    assert judge(record, None, roster) is Verdict.FORGED
    roster.add("n1", renewed.key.public_key())
    assert judge(record, None, roster) is Verdict.ACCEPTED
    assert judge(author.begin(), None, roster) is Verdict.ACCEPTED
