import hashlib
import itertools

import msgspec
import pytest

from appliance.ledger.records import MAX_BODY_BYTES, NO_RECORD, Record, body_matches, is_signed_by, record_hash
from tests.ledger.authors import SITE_KEY, Author


def test_records_of_an_epoch_are_numbered_from_one_and_each_holds_the_hash_of_the_one_before():
    records = Author("n1").stream(4)
    assert [r.seq for r in records] == [1, 2, 3, 4]
    assert records[0].previous == NO_RECORD
    for before, after in itertools.pairwise(records):
        assert after.previous == record_hash(before, SITE_KEY)


def test_the_first_record_of_an_epoch_follows_the_last_of_the_epoch_before():
    author = Author("n1")
    last = author.stream(3)[-1]
    assert author.begin().previous == record_hash(last, SITE_KEY)


def test_the_signature_is_over_these_exact_bytes():
    """Written out by hand, because every node of every version must agree on them for ever."""
    author = Author("n1")
    record = author.begin(epoch=7)
    body_hash = hashlib.sha256(record.body).digest()
    exact = (
        b"earshot record 1\0" + SITE_KEY + b"\x02n1" + (7).to_bytes(8, "big") + (1).to_bytes(8, "big")
        + record.time_ns.to_bytes(8, "big") + b"\x05epoch" + body_hash + bytes(32)
    )  # fmt: skip
    author.key.public_key().verify(record.signature, exact)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node", "n2"),
        ("epoch", 2),
        ("seq", 9),
        ("time_ns", 1),
        ("kind", "pose"),
        ("body_hash", bytes(32)),
        ("previous", bytes(31) + b"\1"),
        ("signature", bytes(64)),
    ],
)
def test_a_change_of_any_signed_field_breaks_the_signature(field, value):
    author = Author("n1")
    author.begin()
    record = author.pick()
    assert is_signed_by(record, author.key.public_key(), SITE_KEY)
    assert not is_signed_by(msgspec.structs.replace(record, **{field: value}), author.key.public_key(), SITE_KEY)


def test_a_record_of_one_site_means_nothing_on_another():
    author = Author("n1")
    assert not is_signed_by(author.begin(), author.key.public_key(), bytes(32))


def test_a_changed_body_does_not_match_and_a_deleted_one_does():
    record = Author("n1").begin()
    assert body_matches(record)
    assert body_matches(msgspec.structs.replace(record, body=None))
    assert not body_matches(msgspec.structs.replace(record, body=record.body + b"\0"))


def test_a_body_that_no_node_needs_is_not_written():
    author = Author("n1")
    author.begin()
    author.write(body=bytes(MAX_BODY_BYTES))
    with pytest.raises(ValueError, match="longer than"):
        author.write(body=bytes(MAX_BODY_BYTES + 1))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node", ""),
        ("node", "a:b"),
        ("node", "a,b"),
        ("node", "n" * 65),
        ("node", "n1\n"),
        ("epoch", 0),
        ("epoch", 2**53),
        ("seq", 0),
        ("seq", -1),
        ("time_ns", -1),
        ("kind", "Pick"),
        ("kind", "k" * 33),
        ("body_hash", bytes(31)),
        ("previous", bytes(33)),
        ("signature", bytes(63)),
        ("body", bytes(MAX_BODY_BYTES + 1)),
    ],
)
def test_a_record_from_outside_with_a_field_out_of_bounds_is_not_decoded(field, value):
    record = Author("n1").begin()
    good = msgspec.msgpack.encode(record)
    assert msgspec.msgpack.decode(good, type=Record) == record
    bad = msgspec.msgpack.encode(msgspec.structs.replace(record, **{field: value}))
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(bad, type=Record)
