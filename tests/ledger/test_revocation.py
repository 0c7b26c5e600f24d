import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.ledger.chain import Verdict, judge
from appliance.ledger.records import Tip, record_hash
from appliance.ledger.replication import Replica
from appliance.ledger.revocation import MAX_KEPT, Statement, kept_of, key_hash, read_statement, sign_statement
from appliance.ledger.verify import verify_records
from tests.ledger.authors import START_NS, Author, roster_of

SITE = Ed25519PrivateKey.from_private_bytes(bytes(32))
SITE_KEY = SITE.public_key().public_bytes_raw()


def tip(record):
    return Tip(record.seq, record_hash(record, SITE_KEY))


def statement_about(author, records):
    tips = {}
    for record in records:
        tips[record.stream] = tip(record)
    return Statement(author.node, (key_hash(author.key.public_key()),), kept_of(tips), START_NS, "stolen")


@pytest.fixture
def thief():
    return Author("n1", SITE_KEY)


def test_what_was_written_before_counts_and_what_comes_after_does_not(thief):
    known = [*thief.stream(3), *thief.stream(4)]
    after = thief.pick()
    new_epoch = thief.begin()
    roster = roster_of(thief, Author("n2", SITE_KEY), site_key=SITE_KEY)
    assert roster.revoke(statement_about(thief, known))
    assert not roster.revoke(statement_about(thief, [*known, after])), "the first word counts"
    assert judge(known[1], tip(known[0]), roster) is Verdict.ACCEPTED
    assert judge(known[-1], tip(known[-2]), roster) is Verdict.ACCEPTED
    assert judge(after, tip(known[-1]), roster) is Verdict.REVOKED
    assert judge(new_epoch, None, roster) is Verdict.REVOKED
    assert roster.nodes() == ("n2",)
    assert [f.problem for f in verify_records([*known, after], roster)] == [str(Verdict.REVOKED)]


def test_a_thief_can_not_put_another_record_in_the_place_of_the_last_that_counts(thief):
    known = thief.stream(3)
    other = msgspec.structs.replace(known[-1], time_ns=known[-1].time_ns + 1)
    forged = Author("n1", SITE_KEY)
    records = forged.stream(2)
    forged_last = forged.pick(START_NS + 99)
    assert forged_last.seq == other.seq
    roster = roster_of(thief, site_key=SITE_KEY)
    roster.revoke(statement_about(thief, known))
    assert judge(forged_last, tip(records[-1]), roster) is Verdict.REVOKED


def test_a_node_that_is_enrolled_again_speaks_with_its_new_key(thief):
    known = thief.stream(2)
    roster = roster_of(thief, site_key=SITE_KEY)
    roster.revoke(statement_about(thief, known))
    assert roster.nodes() == ()
    again = Author("n1", SITE_KEY)
    again.key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    roster.add("n1", again.key.public_key())
    again.epoch = 7
    assert judge(again.begin(), None, roster) is Verdict.ACCEPTED
    assert roster.nodes() == ("n1",)


def test_who_passes_on_what_he_could_not_know_to_be_revoked_is_not_blamed(thief):
    known = thief.stream(2)
    roster = roster_of(thief, Author("me", SITE_KEY), site_key=SITE_KEY)
    replica = Replica(("me", 1), roster, {})
    replica.connect("p")
    roster.revoke(statement_about(thief, known))
    received = replica.receive("p", [*known, thief.pick()], asked=True, bodies_after_ns=0)
    assert received.accepted == tuple(known)
    assert not received.offences
    assert replica.requests(0.0) == {}, "and it is not asked for it again and again"


def test_only_the_site_can_revoke(thief):
    statement = statement_about(thief, thief.stream(2))
    data, signature = sign_statement(statement, SITE)
    assert read_statement(data, signature, SITE_KEY) == statement
    assert read_statement(*sign_statement(statement, thief.key), SITE_KEY) is None
    assert read_statement(data + b"\0", signature, SITE_KEY) is None
    assert read_statement(*sign_statement(b"nonsense", SITE), SITE_KEY) is None


def test_of_more_epochs_than_a_statement_holds_the_oldest_count_in_whole(thief):
    starts = [thief.begin() for _ in range(MAX_KEPT + 5)]
    roster = roster_of(thief, site_key=SITE_KEY)
    statement = statement_about(thief, starts)
    assert len(statement.kept) == MAX_KEPT
    assert len(sign_statement(statement, SITE)[0]) < 14 * 1024
    roster.revoke(statement)
    assert judge(starts[0], None, roster) is Verdict.ACCEPTED
    assert judge(thief.begin(epoch=10**6), None, roster) is Verdict.REVOKED
