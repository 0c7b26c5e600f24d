"""Whether a log, or a part of one, is what its nodes signed, and where it is not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.ledger.chain import Verdict, judge
from appliance.ledger.records import NO_RECORD, Range, Record, StreamId, Tip, record_hash
from appliance.ledger.roster import Roster

MAX_SEGMENT_RECORDS = 1_000_000
"""Records that the parts of a log may name; an incident of an hour has a tenth."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a log: the record's place and what is the matter with it."""

    node: str
    epoch: int
    seq: int
    problem: str


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What a record says of another stream: that its record `seq` was there, with this hash (None: not said)."""

    node: str
    epoch: int
    seq: int
    hash: bytes | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a log from elsewhere, or from what its own records say of each other.

    witnessed:       what records say of other streams, or of the epoch before
    bodies_after_ns: records of this time and later must have their body; None: any may have lost it to retention
    """

    witnessed: Sequence[Witnessed] = ()
    bodies_after_ns: int | None = None


@dataclass(slots=True)
class _Ends:
    """How far each stream goes, and the hashes that witnesses ask for."""

    wanted: frozenset[tuple[str, int, int]]
    last: dict[StreamId, int] = field(default_factory=dict)
    hashes: dict[tuple[str, int, int], bytes] = field(default_factory=dict)


def verify_records(records: Iterable[Record], roster: Roster, expected: Expected | None = None) -> tuple[Finding, ...]:
    """What is wrong with a log whose records come sorted by node, epoch and sequence number; empty: nothing.

    After a fault the chain is taken up again at the record at fault, so that each fault is named once. A body that
    retention deleted is no fault. What was cut off at the end of a stream is found where another record witnessed it.
    """
    expected = expected or Expected()
    findings: list[Finding] = []
    ends = _Ends(frozenset((w.node, w.epoch, w.seq) for w in expected.witnessed if w.hash is not None))
    tip: Tip | None = None
    stream: StreamId | None = None
    before: set[bytes] = set()  # hashes of the epoch before
    hashes: set[bytes] = set()
    for record in records:
        if record.stream != stream:
            same_node = stream is not None and stream[0] == record.node
            before, hashes = (hashes if same_node else set()), set()
            stream, tip = record.stream, None
        problem = _problem(record, tip, roster, expected)
        if problem is None and record.seq == 1:
            problem = _epoch_problem(record, before)
        if problem is not None:
            findings.append(Finding(record.node, record.epoch, record.seq, problem))
        tip = Tip(record.seq, record_hash(record, roster.site_key))
        hashes.add(tip.hash)
        ends.last[record.stream] = max(record.seq, ends.last.get(record.stream, 0))
        if (*record.stream, record.seq) in ends.wanted:
            ends.hashes[(*record.stream, record.seq)] = tip.hash
    return (*findings, *_unwitnessed(expected.witnessed, ends))


def verify_segments(records: Sequence[Record], roster: Roster, segments: Sequence[Range]) -> tuple[Finding, ...]:
    """What is wrong with parts of a log; `segments` says which records there must be, in their order.

    The chain is checked inside each part; what comes before a part is not there to be checked.
    """
    if sum(max(0, s.last - s.first + 1) for s in segments) > MAX_SEGMENT_RECORDS:
        return (Finding("", 0, 0, f"more than {MAX_SEGMENT_RECORDS} records are named"),)
    places = [(r.node, r.epoch, r.seq) for r in records]
    wanted = [(s.node, s.epoch, seq) for s in segments for seq in range(s.first, s.last + 1)]
    findings = list(_misplaced(places, wanted))
    tips: dict[StreamId, Tip] = {}
    for record in records:
        tip = tips.get(record.stream)
        if tip is None or record.seq > tip.seq + 1:
            # Where a part begins its first record is believed to follow what was before.
            tip = Tip(record.seq - 1, record.previous) if record.seq > 1 else None
        problem = _problem(record, tip, roster, Expected())
        if problem is not None:
            findings.append(Finding(record.node, record.epoch, record.seq, problem))
        tips[record.stream] = Tip(record.seq, record_hash(record, roster.site_key))
    return tuple(findings)


def _misplaced(places: Sequence[tuple[str, int, int]], wanted: Sequence[tuple[str, int, int]]) -> Iterator[Finding]:
    held, named = set(places), set(wanted)
    yield from (Finding(*place, "is missing") for place in wanted if place not in held)
    yield from (Finding(*place, "is not among those named") for place in dict.fromkeys(places) if place not in named)
    if held == named and list(places) != list(wanted):
        first = next((p for p, w in zip(places, wanted, strict=False) if p != w), places[-1])
        yield Finding(*first, "stands twice or out of order")


def _problem(record: Record, tip: Tip | None, roster: Roster, expected: Expected) -> str | None:
    needed = expected.bodies_after_ns is not None and record.time_ns >= expected.bodies_after_ns
    verdict = judge(record, tip, roster, body_needed=needed)
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


def _unwitnessed(witnessed: Sequence[Witnessed], ends: _Ends) -> Iterator[Finding]:
    """What others saw of the log and is not there, each stream once."""
    seen: Mapping[StreamId, int] = ends.last
    most: dict[StreamId, int] = {}
    for witness in witnessed:
        stream = (witness.node, witness.epoch)
        most[stream] = max(witness.seq, most.get(stream, 0))
        held = ends.hashes.get((*stream, witness.seq))
        if witness.hash is not None and held is not None and held[: len(witness.hash)] != witness.hash:
            yield Finding(*stream, witness.seq, "is another record than the one that a peer saw")
    for stream, seq in sorted(most.items()):
        if seq > seen.get(stream, 0):
            first = seen.get(stream, 0) + 1
            yield Finding(*stream, first, f"records {first} to {seq} at its end are missing: another record names them")
