"""How nodes end with the same records: push at once, compare heads, ask for what is missing.

`Replica` is one node's view. It is told what peers hold and send, judges every record, and says what to ask of whom.
It keeps no records, only the tip of each stream; the store keeps the rest.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.ledger.chain import Verdict, judge
from appliance.ledger.records import Head, Range, Record, StreamId, Tip, record_hash
from appliance.ledger.roster import Roster

MAX_EPOCHS_PER_NODE = 2_000
"""Five restarts a day for a year; each costs 200 bytes of memory and 20 bytes of a comparison of heads."""
MAX_RANGES = 32
"""Streams that one request asks for."""
MAX_RANGE_RECORDS = 64
"""Records of one stream that one request asks for."""
ANSWER_TIMEOUT_S = 3.0
"""An answer takes a few milliseconds on a LAN; after this another peer is asked."""


@dataclass(frozen=True, slots=True)
class Received:
    """What came of a message of records: those that are new and good, in order, and the count of the others."""

    accepted: tuple[Record, ...]
    others: Mapping[Verdict, int]

    @property
    def offences(self) -> Mapping[Verdict, int]:
        """The others that nobody honest sends."""
        return {verdict: n for verdict, n in self.others.items() if verdict.is_offence}


@dataclass(slots=True)
class _Peer:
    """What is known of one peer: what it says it holds, what it was told, and what it was asked."""

    offered: dict[StreamId, int] = field(default_factory=dict)
    told: dict[StreamId, int] = field(default_factory=dict)
    asked: dict[StreamId, int] = field(default_factory=dict)
    deadline_s: float = 0.0
    failures: int = 0


class Replica:
    """One node's knowledge of all streams and of what its peers hold."""

    def __init__(self, own: StreamId, roster: Roster, tips: Mapping[StreamId, Tip]) -> None:
        """Begin with what the store holds: `tips` of all streams; `own` is the stream that this process writes."""
        self._own = own
        self._roster = roster
        self._tips = dict(tips)
        self._durable = {stream: tip.seq for stream, tip in tips.items()}
        self._n_epochs = Counter(node for node, _ in tips)
        self._peers: dict[str, _Peer] = {}

    def add_own(self, record: Record) -> None:
        """Take up a record that this node wrote itself."""
        self._extend(record)

    def committed(self, records: Iterable[Record]) -> None:
        """Remember that these records are safely on disk: from now on peers are told of them."""
        for record in records:
            self._durable[record.stream] = max(record.seq, self._durable.get(record.stream, 0))

    def heads(self) -> tuple[Head, ...]:
        """Every stream as far as it is judged good, on disk or on its way there; sorted."""
        return tuple(Head(node, epoch, tip.seq) for (node, epoch), tip in sorted(self._tips.items()))

    def newest_tips(self) -> dict[StreamId, Tip]:
        """How far the newest epoch of each other node is judged good."""
        newest = {node: epoch for node, epoch in sorted(self._tips) if node != self._own[0]}
        return {stream: self._tips[stream] for stream in newest.items()}

    def tips_of(self, node: str) -> dict[StreamId, Tip]:
        """How far each stream of a node is judged good."""
        return {stream: tip for stream, tip in self._tips.items() if stream[0] == node}

    def connect(self, peer: str) -> None:
        """Begin to exchange with `peer`, which knows nothing of us yet."""
        self._peers[peer] = _Peer()

    def disconnect(self, peer: str) -> None:
        """Forget what `peer` was asked and what it holds."""
        self._peers.pop(peer, None)

    def receive(self, peer: str, records: Sequence[Record], *, asked: bool, bodies_after_ns: int) -> Received:
        """Judge records from `peer`; the caller stores the accepted ones in the order given.

        asked:           whether this answers a request of ours (then the peer may be asked for more)
        bodies_after_ns: records of this time and later must have their body; older ones may have lost it to retention
        """
        accepted: list[Record] = []
        others: Counter[Verdict] = Counter()
        for record in records:
            verdict = self._judge(record, bodies_after_ns)
            if verdict is Verdict.ACCEPTED:
                self._extend(record)
                accepted.append(record)
            else:
                others[verdict] += 1
            if verdict in (Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.GAP):
                self._offered(peer, record.stream, record.seq)
        if asked:
            self._close_request(peer)
        return Received(tuple(accepted), others)

    def offer(self, peer: str, heads: Iterable[Head]) -> None:
        """Remember what `peer` says it holds."""
        for head in heads:
            self._offered(peer, head.stream, head.seq)

    def news_for(self, peer: str, limit: int) -> tuple[Head, ...]:
        """Up to `limit` heads that `peer` was not told of yet, of records on disk; it counts as told from now on."""
        told = self._peers[peer].told
        news = [(stream, seq) for stream, seq in self._durable.items() if told.get(stream, 0) < seq][:limit]
        told.update(news)
        return tuple(Head(node, epoch, seq) for (node, epoch), seq in news)

    def requests(self, now_s: float) -> dict[str, tuple[Range, ...]]:
        """What to ask of which peers now; `now_s` is monotonic. One request per peer is under way at a time."""
        for state in self._peers.values():
            if state.asked and now_s >= state.deadline_s:
                state.asked = {}
                state.failures += 1
        under_way = {stream for state in self._peers.values() for stream in state.asked}
        result: dict[str, tuple[Range, ...]] = {}
        for peer, state in sorted(self._peers.items(), key=lambda item: (item[1].failures, item[0])):
            if state.asked:
                continue
            ranges = self._missing_from(state, under_way)
            if ranges:
                state.asked = {r.stream: self._held(r.stream) for r in ranges}
                state.deadline_s = now_s + ANSWER_TIMEOUT_S
                under_way.update(state.asked)
                result[peer] = ranges
        return result

    def _missing_from(self, state: _Peer, under_way: set[StreamId]) -> tuple[Range, ...]:
        ranges: list[Range] = []
        for stream, offered in state.offered.items():
            held = self._held(stream)
            if offered <= held or stream in under_way or not self._roster.keys_of(stream[0]):
                continue
            ranges.append(Range(*stream, held + 1, min(offered, held + MAX_RANGE_RECORDS)))
            if len(ranges) == MAX_RANGES:
                break
        return tuple(ranges)

    def _close_request(self, peer: str) -> None:
        """The peer answered; what it did not bring although it offered it, it is not believed to hold."""
        state = self._peers.get(peer)
        if state is None:
            return
        for stream, held_before in state.asked.items():
            if self._held(stream) <= held_before:
                state.offered.pop(stream, None)
        state.asked = {}

    def _judge(self, record: Record, bodies_after_ns: int) -> Verdict:
        tip = self._tips.get(record.stream)
        if tip is None and self._n_epochs[record.node] >= MAX_EPOCHS_PER_NODE:
            return Verdict.TOO_MANY_EPOCHS
        verdict = judge(record, tip, self._roster, body_needed=record.time_ns >= bodies_after_ns)
        if verdict is Verdict.ACCEPTED and record.stream == self._own:
            return Verdict.CLONED
        return verdict

    def _offered(self, peer: str, stream: StreamId, seq: int) -> None:
        state = self._peers.get(peer)
        if state is None or stream == self._own or self._n_epochs[stream[0]] > MAX_EPOCHS_PER_NODE:
            return
        if stream not in state.offered and len(state.offered) >= MAX_EPOCHS_PER_NODE * len(self._roster.nodes()):
            return
        state.offered[stream] = max(seq, state.offered.get(stream, 0))

    def _extend(self, record: Record) -> None:
        if record.stream not in self._tips:
            self._n_epochs[record.node] += 1
        self._tips[record.stream] = Tip(record.seq, record_hash(record, self._roster.site_key))

    def _held(self, stream: StreamId) -> int:
        tip = self._tips.get(stream)
        return tip.seq if tip else 0
