import random

import msgspec

from appliance.ledger.records import NO_RECORD, Tip
from appliance.ledger.verify import verify_records
from tests.ledger.authors import Author, roster_of


def a_log():
    authors = [Author("n1"), Author("n2")]
    records = [record for author in authors for n in (6, 4) for record in author.stream(n)]
    return sorted(records, key=lambda r: (r.node, r.epoch, r.seq)), roster_of(*authors)


def test_a_whole_log_has_no_findings_even_where_retention_deleted_bodies():
    records, roster = a_log()
    assert verify_records(records, roster) == ()
    thinned = [msgspec.structs.replace(r, body=None) if r.seq % 2 == 0 else r for r in records]
    assert verify_records(thinned, roster) == ()


def test_a_missing_record_is_named():
    records, roster = a_log()
    del records[3]
    (finding,) = verify_records(records, roster)
    assert (finding.node, finding.epoch, finding.seq) == ("n1", 1, 5)
    assert "records 4 to 4 before it are missing" in finding.problem


def test_an_epoch_that_forgot_the_end_of_the_one_before_is_no_fault_and_one_that_follows_nothing_known_is():
    author = Author("n1")
    first = author.stream(3)
    remembered = Tip(2, first[2].previous)
    forgetful = author.begin(remembered=remembered)
    assert verify_records([*first, forgetful], roster_of(author)) == ()
    lost = author.begin(remembered=Tip(0, NO_RECORD))
    assert verify_records([*first, lost], roster_of(author)) == ()
    wrong = author.begin(remembered=Tip(3, b"\x11" * 32))
    assert [f.seq for f in verify_records([*first, wrong], roster_of(author))] == [1]


def mutate(rng, records):
    """One byte changed, or one record removed, doubled, moved or replaced: what a forger can do to a log."""
    index = rng.randrange(len(records))
    record = records[index]
    action = rng.choice(["byte", "byte", "byte", "remove", "double", "swap"])
    if action == "byte":
        field = rng.choice(["body", "body_hash", "previous", "signature"])
        data = bytearray(getattr(record, field))
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return [*records[:index], msgspec.structs.replace(record, **{field: bytes(data)}), *records[index + 1 :]]
    if action == "remove":
        return [*records[:index], *records[index + 1 :]]
    if action == "double":
        return [*records[: index + 1], record, *records[index + 1 :]]
    other = rng.randrange(len(records))
    changed = list(records)
    changed[index], changed[other] = records[other], record
    return changed


def test_any_single_change_of_a_log_is_found():
    records, roster = a_log()
    ends = {r.stream: r for r in records}.values()
    n_tried = 0
    for seed in range(300):
        changed = mutate(random.Random(seed), records)
        gone = [r for r in records if r not in changed]
        if changed == records or (len(changed) < len(records) and gone[0] in ends and gone[0].epoch == 2):
            continue  # nothing changed, or the end was cut off, of which a log alone can't know
        n_tried += 1
        assert verify_records(changed, roster), f"seed {seed}"
    assert n_tried > 200
