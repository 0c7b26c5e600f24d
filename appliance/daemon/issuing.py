"""Sends alerts beyond the mesh: joins the rule of who sends (`ledger.issuing`), a sink, and the log."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from appliance.daemon.exchange import Written
from appliance.errors import PeerError
from appliance.ledger.issuing import Outbox, Word
from appliance.ledger.records import Record
from appliance.model.incidents import Category, Incident
from appliance.wire.incidents import incident_to_dict
from appliance.wire.records import Body, IssuedBody, NodeBody, decode_body

log = logging.getLogger(__name__)

TICK_S = 0.2
CANCELLED = "cancelled"
STATES = (Category.GUNFIRE.value,)
MAX_DOCUMENTS = 1_000


class Sink(Protocol):
    """A way beyond the mesh."""

    def send(self, body: bytes, key: str) -> None:
        """Send one document, from a thread that may wait; `key` tells a repeat. Raises PeerError."""


class Issuing:
    """One node's part in sending alerts to one sink, which other nodes may have as well. Runs in one event loop."""

    def __init__(
        self,
        node: str,
        name: str,
        sink: Sink,
        publish: Callable[[Body], Written],
        peers: Callable[[], Mapping[str, float]],
    ) -> None:
        """Send to `sink`, called `name` on all nodes; `peers` are the nodes that are alive beside this one."""
        self._node = node
        self._name = name
        self._sink = sink
        self._publish = publish
        self._peers = peers
        self._outbox = Outbox(node, STATES)
        self._sharing: set[str] = set()
        self._documents: dict[str, dict[str, Any]] = {}
        self.problem: PeerError | None = None

    def located(self, incidents: Sequence[Incident], cancelled: Sequence[str]) -> None:
        """Take in what incidents are now."""
        now_s = time.monotonic()
        for incident in incidents:
            self._documents[incident.id] = incident_to_dict(incident)
            word = Word(incident.id, incident.category.value, incident.revision)
            self._outbox.changed(word, incident.aliases, now_s)
        for incident_id in cancelled:
            document = self._documents.setdefault(incident_id, {"id": incident_id})
            document["status"] = CANCELLED
            self._outbox.changed(Word(incident_id, CANCELLED, 0), (), now_s)
        while len(self._documents) > MAX_DOCUMENTS:
            del self._documents[next(iter(self._documents))]

    def read(self, records: Sequence[Record]) -> None:
        """Take in who has the sink as well, and what was sent."""
        for record in records:
            if record.kind not in ("node", "issued"):
                continue
            body = decode_body(record)
            if isinstance(body, IssuedBody) and body.sink == self._name:
                self._outbox.issued(body.incident, body.state)
            elif isinstance(body, NodeBody) and self._name in body.sinks:
                self._sharing.add(record.node)
            elif isinstance(body, NodeBody):
                self._sharing.discard(record.node)

    async def run(self) -> None:
        """Send what is this node's to send, until cancelled."""
        while True:
            alive = [node for node in (self._node, *self._peers()) if node == self._node or node in self._sharing]
            await asyncio.gather(*map(self._send, self._outbox.due(alive, time.monotonic())))
            await asyncio.sleep(TICK_S)

    async def _send(self, word: Word) -> None:
        document = {**self._documents.get(word.incident, {"id": word.incident}), "alert": word.state}
        body = json.dumps(document, ensure_ascii=False).encode()
        try:
            await asyncio.to_thread(self._sink.send, body, f"{word.incident}:{word.state}")
        except PeerError as error:
            if self.problem is None:
                log.warning("an alert was not sent and will be again: %s", error)
            self.problem = error
            self._outbox.done(word, was_sent=False, now_s=time.monotonic())
            return
        self.problem = None
        self._outbox.done(word, was_sent=True, now_s=time.monotonic())
        self._publish(IssuedBody(word.incident, self._name, word.state, word.revision, time.time_ns()))
