"""Whether a whole log is what its nodes signed, and where it is not."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.ledger.chain import Verdict, judge
from appliance.ledger.records import NO_RECORD, Record, StreamId, Tip, record_hash
from appliance.ledger.roster import Roster


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a log: the record's place and what is the matter with it."""

    node: str
    epoch: int
    seq: int
    problem: str


def verify_records(records: Iterable[Record], roster: Roster) -> tuple[Finding, ...]:
    """What is wrong with a log whose records come sorted by node, epoch and sequence number; empty: nothing.

    After a fault the chain is taken up again at the record at fault, so that each fault is named once. A body that
    retention deleted is no fault. The end of a log can't be checked: what was cut off there left no trace in it.
    """
    findings: list[Finding] = []
    tip: Tip | None = None
    stream: StreamId | None = None
    before: set[bytes] = set()  # hashes of the epoch before
    hashes: set[bytes] = set()
    for record in records:
        if record.stream != stream:
            same_node = stream is not None and stream[0] == record.node
            before, hashes = (hashes if same_node else set()), set()
            stream, tip = record.stream, None
        problem = _problem(record, tip, roster)
        if problem is None and record.seq == 1:
            problem = _epoch_problem(record, before)
        if problem is not None:
            findings.append(Finding(record.node, record.epoch, record.seq, problem))
        tip = Tip(record.seq, record_hash(record, roster.site_key))
        hashes.add(tip.hash)
    return tuple(findings)


def _problem(record: Record, tip: Tip | None, roster: Roster) -> str | None:
    verdict = judge(record, tip, roster, body_needed=False)
    if verdict is Verdict.ACCEPTED:
        return None
    if verdict is Verdict.DUPLICATE:
        return "stands twice or out of order"
    if verdict is Verdict.GAP:
        held = tip.seq if tip else 0
        return f"records {held + 1} to {record.seq - 1} before it are missing"
    return str(verdict)


def _epoch_problem(record: Record, before: set[bytes]) -> str | None:
    """Whether an epoch follows the one before.

    It may follow any record of it: what a crash took from its writer's memory may have reached others. A node that
    lost all its memory says so with a zero hash.
    """
    if not before or record.previous in before or record.previous == NO_RECORD:
        return None
    return "does not follow any record of the epoch before"
