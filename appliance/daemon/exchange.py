"""The log of this node among its peers': signs what this node says, takes what peers say, and keeps both on disk.

It joins `ledger` (the rules), `storage` (the disk) and `mesh` (the links). Everything runs in one event loop; only the
store has its own thread.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.errors import InputError, PeerError, StoreError
from appliance.ledger.chain import Verdict
from appliance.ledger.knowledge import knowledge_of
from appliance.ledger.limits import (
    MAX_AUTHOR_BYTES_BURST,
    MAX_AUTHOR_BYTES_PER_S,
    MAX_PUSHED_BURST,
    MAX_PUSHED_PER_S,
    TokenBucket,
)
from appliance.ledger.records import NO_RECORD, Range, Record, RecordWriter, StreamId, Tip, record_hash
from appliance.ledger.replication import Replica
from appliance.ledger.revocation import REVOCATION_KIND, Statement, kept_of, key_hash, read_statement
from appliance.ledger.roster import MAX_NODES, Roster
from appliance.mesh.hub import PeerHub
from appliance.mesh.trust import Credentials, Enrolled
from appliance.model.instants import NS_PER_S
from appliance.storage.node_store import NodeStore, epoch_end
from appliance.storage.writer import GroupWriter
from appliance.wire.framing import one_line
from appliance.wire.messages import (
    MAX_HEADS,
    HeadsMessage,
    PeerMessage,
    RecordsMessage,
    RosterMessage,
    WantMessage,
    pack_records,
)
from appliance.wire.records import (
    WITNESS_HASH_BYTES,
    Body,
    EpochBody,
    RevocationBody,
    WitnessBody,
    decode_body,
    encode_body,
    is_event,
)

log = logging.getLogger(__name__)

TICK_S = 0.25
"""How often peers are told what is new on disk (so fast a record passes through a third node), and how often lost
requests are made again."""
BODIES_KEPT_NS = 7 * 86_400 * NS_PER_S
"""A record without its body is taken from a peer only if it is older than this: nobody's retention is shorter."""
WANTS_PER_S = 50.0
"""One request per peer is under way at a time; a fast LAN answers this many a second."""
WANTS_BURST = 200.0
RECORD_BYTES = 300
"""What a record takes on disk beside its body."""
MAX_REVOCATIONS = 1_000
"""Every key of every node there can be, several times over."""


@dataclass(slots=True)
class _Buckets:
    """What one peer may still push and ask for."""

    pushed: TokenBucket
    wants: TokenBucket


@dataclass(frozen=True, slots=True)
class Written:
    """A record that was signed and pushed; `stored` is done when it is on disk."""

    record: Record
    stored: "asyncio.Future[int | None]"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a node's store says at the start: all of it checked against the site."""

    roster: Roster
    certificates: dict[str, Enrolled]
    tips: dict[StreamId, Tip]
    ends: dict[StreamId, int]
    epoch: int
    writer: RecordWriter


def open_log(store: NodeStore, credentials: Credentials, software: str, now_ns: int) -> tuple[Opened, Record]:
    """Read what the store holds and begin a new epoch; its first record is on disk when this returns.

    The epoch's number is above all that are known and not below the time in seconds, so that a node that lost its
    database does not number records a second time.
    """
    site = credentials.site
    roster = Roster(site.key)
    with store.transaction():
        store.claim(credentials.node, site.fingerprint)
        store.add_certificate(credentials.enrolled.fingerprint, credentials.node, credentials.enrolled.der)
    certificates = {e.fingerprint: e for e in map(site.check, store.certificates())}
    for enrolled in certificates.values():
        roster.add(enrolled.node, enrolled.key)
    for record in store.records_since(REVOCATION_KIND, 0, MAX_REVOCATIONS):
        statement = statement_of(record, site.key)
        if statement is not None:
            roster.revoke(statement)
    tips = {r.stream: Tip(r.seq, record_hash(r, site.key)) for r in store.last_records()}
    before = max((epoch for node, epoch in tips if node == credentials.node), default=0)
    tip = tips.get((credentials.node, before), Tip(0, NO_RECORD))
    epoch = max(before + 1, now_ns // NS_PER_S)
    writer = RecordWriter(credentials.private_key, site.key, credentials.node, epoch, tip.hash)
    first = writer.write(*encode_body(EpochBody(before, tip.seq, software[:64])), now_ns)
    with store.transaction():
        store.add_records([first])
    tips[first.stream] = Tip(first.seq, record_hash(first, site.key))
    return Opened(roster, certificates, tips, store.epoch_ends(), epoch, writer), first


def statement_of(record: Record, site_key: bytes) -> Statement | None:
    """What a revocation says; None for other records, and where the site did not sign it."""
    if record.kind != REVOCATION_KIND:
        return None
    body = decode_body(record)
    return read_statement(body.statement, body.signature, site_key) if isinstance(body, RevocationBody) else None


class Exchange:
    """This node's part in the log of the mesh. `hub` must be set before the first link."""

    def __init__(
        self,
        credentials: Credentials,
        opened: Opened,
        store: GroupWriter,
        on_records: Callable[[Sequence[Record]], None],
        on_event: Callable[[int], None] = lambda _row: None,
    ) -> None:
        """`on_records` is called with every new good record, own and others', before it is on disk.

        on_event: called with the row of the last event that records made, once it is on disk
        """
        self._credentials = credentials
        self._opened = opened
        self._store = store
        self._on_records = on_records
        self._on_event = on_event
        self._replica = Replica((credentials.node, opened.epoch), opened.roster, opened.tips)
        self._ends = dict(opened.ends)
        self._buckets: dict[str, _Buckets] = {}
        self._authors: dict[str, TokenBucket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.hub: PeerHub | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """All nodes of the site that this one has ever met, itself included, but for those that were taken out."""
        return self._opened.roster.nodes()

    def knowledge(self) -> str:
        """The records known now, as the cursor of an event that reflects them."""
        held = {head.stream: head.seq for head in self._replica.heads()}
        return knowledge_of(held, self._ends).text()

    def publish(self, body: Body, now_ns: int) -> Written:
        """Sign a record, push it to all peers and store it."""
        kind, data = encode_body(body)
        record = self._opened.writer.write(kind, data, now_ns)
        self._replica.add_own(record)
        if self.hub is not None:
            self.hub.broadcast(RecordsMessage((record,), asked=False))
        stored = self._keep([record], is_urgent=True)
        self._obey([record])
        self._on_records([record])
        return Written(record, stored)

    def witness(self) -> WitnessBody | None:
        """What this node holds of the others now, to be signed; None: there are no others."""
        tips = sorted(self._replica.newest_tips().items())[:MAX_NODES]
        heads = tuple((node, epoch, tip.seq, tip.hash[:WITNESS_HASH_BYTES]) for (node, epoch), tip in tips)
        return WitnessBody(heads) if heads else None

    def revocation_of(self, node: str, reason: str, now_ns: int) -> Statement:
        """What the site has to sign so that `node` is taken out of it with all that it says from now on.

        Raises InputError where that can't be.
        """
        roster = self._opened.roster
        if node == self._credentials.node:
            raise InputError(f"node {node}", "is this one", "take it out on another node that holds the site's key")
        keys = [key for key in roster.keys_of(node) if not roster.is_revoked(node, key)]
        if not keys:
            raise InputError(f"node {node[:64]}", "is not of this site", "choose one of the list of nodes")
        kept = kept_of(self._replica.tips_of(node))
        return Statement(node, tuple(key_hash(key) for key in keys), kept, now_ns, reason[:200])

    def peer_up(self, peer: Enrolled) -> None:
        """Tell a new peer who else there is and what is held here. Raises PeerError for one that was taken out."""
        if self._opened.roster.is_revoked(peer.node, peer.key):
            raise PeerError(f"peer {peer.node}", "was taken out of the site", "find out who runs that node")
        self._learn(peer)
        self._buckets[peer.node] = _Buckets(
            TokenBucket(MAX_PUSHED_PER_S, MAX_PUSHED_BURST), TokenBucket(WANTS_PER_S, WANTS_BURST)
        )
        self._replica.connect(peer.node)
        self._send(peer.node, RosterMessage(tuple(e.der for e in self._opened.certificates.values())))
        self._send_news(peer.node)

    def peer_down(self, node: str) -> None:
        """Forget what the peer was asked."""
        self._replica.disconnect(node)
        self._buckets.pop(node, None)

    def peer_said(self, node: str, message: PeerMessage) -> None:
        """Act on a message. Raises PeerError where nobody honest sends it."""
        if isinstance(message, RecordsMessage):
            self._take(node, message)
        elif isinstance(message, HeadsMessage):
            self._replica.offer(node, message.heads)
            self._ask()
        elif isinstance(message, WantMessage):
            if not self._buckets[node].wants.take(1.0, time.monotonic()):
                raise PeerError(f"peer {node}", "asks for too much", "find out why that node asks so often")
            self._start(self._answer(node, message.ranges))
        elif isinstance(message, RosterMessage):
            for der in message.certificates:
                self._learn(self._credentials.site.check(der))
            self._ask()
        else:
            raise PeerError(f"peer {node}", "sent a message out of turn", "check that both run the same version")

    async def run(self) -> None:
        """Tell peers what is new on disk, and ask again what was not answered, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            for node in list(self._buckets):
                self._send_news(node)
            self._ask()

    async def close(self) -> None:
        """Leave requests of peers unanswered."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, node: str, message: RecordsMessage) -> None:
        pushed = not message.asked
        if pushed and not self._buckets[node].pushed.take(len(message.records), time.monotonic()):
            self._refuse("pushes too fast")  # nothing is lost: what was not taken is asked for later
            return
        after_ns = time.time_ns() - BODIES_KEPT_NS
        records = [record for record in message.records if self._has_room(record)]
        received = self._replica.receive(node, records, asked=message.asked, bodies_after_ns=after_ns)
        if received.accepted:
            self._note_ends(received.accepted)
            # Who wrote them has them on disk; but what a person said is waited for on other pages.
            self._keep(received.accepted, is_urgent=any(is_event(record) for record in received.accepted))
            self._obey(received.accepted)
            self._on_records(received.accepted)
        if Verdict.REVOKED in received.others:
            self._refuse(f"record: {Verdict.REVOKED}")
        for verdict in received.offences:
            self._refuse(f"record: {verdict}")
        if received.offences and Verdict.STRANGER not in received.offences:
            problem = f"sent a bad record ({'; '.join(sorted(received.offences))})"
            raise PeerError(f"peer {node}", problem, "check that node: it is broken or not what it says")
        if message.asked or Verdict.GAP in received.others:
            self._ask()

    def _has_room(self, record: Record) -> bool:
        """Whether a record may be kept by what its node wrote lately; strangers are judged by their signature."""
        if not self._opened.roster.keys_of(record.node):
            return True
        bucket = self._authors.setdefault(record.node, TokenBucket(MAX_AUTHOR_BYTES_PER_S, MAX_AUTHOR_BYTES_BURST))
        if bucket.take(len(record.body or b"") + RECORD_BYTES, time.monotonic()):
            return True
        self._refuse(f"{record.node} writes more than is kept of one node")
        return False

    def _keep(self, records: Sequence[Record], *, is_urgent: bool) -> "asyncio.Future[int | None]":
        """Hand records to the disk, and remember when they are there."""
        rows, now_ns = tuple(records), time.time_ns()
        work = self._store.submit(lambda store: store.add_records(rows, now_ns), is_urgent=is_urgent)
        stored = asyncio.wrap_future(work)
        stored.add_done_callback(lambda done: self._kept(done, rows))
        return stored

    def _kept(self, done: "asyncio.Future[int | None]", rows: tuple[Record, ...]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            log.error("%d records could not be stored: %s", len(rows), error)
            return
        self._replica.committed(rows)
        event = done.result()
        if event is not None:
            self._on_event(event)

    def _note_ends(self, records: Sequence[Record]) -> None:
        for record in records:
            end = epoch_end(record)
            if end is not None:
                stream = (record.node, end[0])
                self._ends[stream] = max(end[1], self._ends.get(stream, 0))

    def _obey(self, records: Sequence[Record]) -> None:
        """Take nodes out of the site that the site itself says are out."""
        for record in records:
            if record.kind != REVOCATION_KIND:
                continue
            statement = statement_of(record, self._opened.roster.site_key)
            if statement is None:
                self._refuse("revocation that the site did not sign")
            if statement is None or not self._opened.roster.revoke(statement):
                continue
            log.warning("node %s was taken out of the site: %s", statement.node, one_line(statement.reason))
            if self.hub is not None:
                self.hub.forget(statement.node)

    def _learn(self, enrolled: Enrolled) -> None:
        """Take a checked certificate into the roster, and pass it on where it is new."""
        known = self._opened.certificates
        if enrolled.fingerprint in known:
            return
        if not self._opened.roster.add(enrolled.node, enrolled.key):
            self._refuse("too many nodes or keys of one node")
            return
        known[enrolled.fingerprint] = enrolled
        row = (enrolled.fingerprint, enrolled.node, enrolled.der)
        self._store.submit(lambda store: store.add_certificate(*row), is_urgent=False)
        if self.hub is not None:
            self.hub.broadcast(RosterMessage((enrolled.der,)))

    def _send_news(self, node: str) -> None:
        while news := self._replica.news_for(node, MAX_HEADS):
            self._send(node, HeadsMessage(news))

    def _ask(self) -> None:
        for node, ranges in self._replica.requests(time.monotonic()).items():
            self._send(node, WantMessage(ranges))

    async def _answer(self, node: str, ranges: tuple[Range, ...]) -> None:
        """Send what is held of the ranges, as much as fits one message; the peer asks for the rest."""
        work = self._store.submit(lambda store: [record for r in ranges for record in store.records_in(r)])
        try:
            records = await asyncio.wrap_future(work)
        except StoreError as error:
            log.warning("could not answer %s: %s", node, error)
            records = []
        messages = pack_records(tuple(records), asked=True)
        self._send(node, messages[0] if messages else RecordsMessage((), asked=True))

    def _send(self, node: str, message: PeerMessage) -> None:
        if self.hub is not None:
            self.hub.send(node, message)

    def _refuse(self, reason: str) -> None:
        if self.hub is not None:
            self.hub.refuse(reason)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
