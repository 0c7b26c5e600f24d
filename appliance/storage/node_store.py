"""The node's log, incidents and events in SQLite; mesh is the only writer.

Methods that write expect a transaction (`with store.transaction()`); what they wrote is on disk when that ends.
One thread at a time.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import StoreError
from appliance.ledger.knowledge import Knowledge, parse_knowledge, union
from appliance.ledger.records import EPOCH_KIND, Range, Record, StreamId
from appliance.ledger.revocation import REVOCATION_KIND
from appliance.model.incidents import Incident
from appliance.storage.database import open_for_writing, store_errors
from appliance.wire.incidents import incident_to_dict
from appliance.wire.records import EpochBody, decode_body, is_event
from appliance.wire.remarks import remark_of

_FIELDS = "node, epoch, seq, time_ns, kind, body_hash, previous, signature, body"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept; times are UTC nanoseconds before which they go."""

    bodies_before_ns: int
    incidents_before_ns: int
    events_before_ns: int


class NodeStore:
    """The database of one node."""

    def __init__(self, path: Path) -> None:
        """Open the database at `path`, or make it. Raises StoreError."""
        self.path = path
        self._db = open_for_writing(path)

    def close(self) -> None:
        """Let go of the file, with all of the log in the database itself where no reader keeps that from happening."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is written together, and on disk at the end; nothing of it after an error."""
        with store_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """A part of a transaction that is undone alone when it raises."""
        with store_errors(self.path):
            self._db.execute("SAVEPOINT part")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK TO part")
                    self._db.execute("RELEASE part")
                raise
            self._db.execute("RELEASE part")

    def claim(self, node: str, site: str) -> None:
        """Make the database that of `node` of the site with fingerprint `site`; StoreError if it is another's."""
        owner = f"node {node} of site {site}"
        rows = self._rows("SELECT value FROM meta WHERE name = 'owner'")
        if not rows:
            self._db.execute("INSERT INTO meta VALUES ('owner', ?)", (owner,))
        elif rows[0][0] != owner:
            problem = f"belongs to {rows[0][0]}, not to {owner}"
            raise StoreError(str(self.path), problem, "name another state folder, or move the file away")

    def add_records(self, records: Iterable[Record], now_ns: int = 0) -> int | None:
        """Add records that were judged good; one that is there already is left as it is.

        What people said becomes an event at `now_ns`; returns the row of the last, or None where there was none.
        """
        rows = list(records)
        self._db.executemany(
            f"INSERT OR IGNORE INTO records ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # constant
            [(r.node, r.epoch, r.seq, r.time_ns, r.kind, r.body_hash, r.previous, r.signature, r.body) for r in rows],
        )
        self._db.executemany(
            "INSERT INTO epoch_ends VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
            [(r.node, *end) for r in rows if (end := epoch_end(r)) is not None],
        )
        events = [self._add_remark(r, now_ns) for r in rows if is_event(r)]
        return max((row for row in events if row is not None), default=None)

    def add_certificate(self, fingerprint: str, node: str, der: bytes) -> None:
        """Remember a certificate that was checked."""
        self._db.execute("INSERT OR IGNORE INTO certificates VALUES (?, ?, ?)", (fingerprint, node, der))

    def put_addresses(self, addresses: Mapping[str, tuple[str, int]], now_ns: int) -> None:
        """Remember where nodes were reached."""
        self._db.executemany(
            "INSERT OR REPLACE INTO addresses VALUES (?, ?, ?, ?)",
            [(node, address, port, now_ns) for node, (address, port) in addresses.items()],
        )

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where nodes were last reached."""
        rows = self._rows("SELECT node, address, port FROM addresses ORDER BY node")
        return {node: (address, port) for node, address, port in rows}

    def put_incidents(
        self, incidents: Sequence[Incident], cancelled: Sequence[str], knowledge: str, now_ns: int
    ) -> int | None:
        """Store incidents as they stand now, and an event for each that differs from what was stored.

        cancelled: ids of incidents that more picks turned into none
        knowledge: the records that were taken into account. A reader has seen all that follows from them only
                   after the last event of the call, so that who stops before reads the rest later.
        Returns the row of the last event, or None where nothing changed.
        """
        put = [self._put_incident(incident) for incident in incidents]
        gone = [self._cancel_incident(incident_id) for incident_id in cancelled]
        documents = [document for document in (*put, *gone) if document is not None]
        row: int | None = None
        before = self._last_shown()
        for i, document in enumerate(documents):
            shown = knowledge if i == len(documents) - 1 else before
            reflects = self._with_last_reflected(parse_knowledge(knowledge))
            row = self._add_event("incident", (str(document["id"]), document), (reflects, shown), now_ns)
        return row

    def put_nodes_event(self, nodes: Sequence[str], now_ns: int) -> int:
        """Store an event that these nodes changed (what they are now stands in the status file); returns its row."""
        shown = self._last_shown()
        return self._add_event("nodes", (None, {"nodes": list(nodes)}), (shown, shown), now_ns)

    def last_records(self) -> list[Record]:
        """The last record of every stream."""
        return self._records(
            "WHERE (node, epoch, seq) IN (SELECT node, epoch, max(seq) FROM records GROUP BY node, epoch)"
        )

    def epoch_ends(self) -> dict[StreamId, int]:
        """Epoch to its last sequence number, as the epoch after it says."""
        return {(node, epoch): seq for node, epoch, seq in self._rows("SELECT node, epoch, seq FROM epoch_ends")}

    def certificates(self) -> list[bytes]:
        """All certificates, DER."""
        return [der for (der,) in self._rows("SELECT der FROM certificates ORDER BY node, fingerprint")]

    def records_in(self, wanted: Range) -> list[Record]:
        """The records of a range that are held, in order."""
        return self._records(
            "WHERE node = ? AND epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            wanted.node,
            wanted.epoch,
            wanted.first,
            wanted.last,
        )

    def records_since(self, kind: str, time_ns: int, limit: int) -> list[Record]:
        """The newest `limit` records of a kind from `time_ns` on, oldest first; the same order on every node."""
        newest = self._records(
            "WHERE kind = ? AND time_ns >= ? ORDER BY time_ns DESC, node DESC, epoch DESC, seq DESC LIMIT ?",
            kind,
            time_ns,
            limit,
        )
        return newest[::-1]

    def records_between(self, kind: str, start_ns: int, end_ns: int) -> list[Record]:
        """The records of a kind that were written between two times, both included."""
        return self._records("WHERE kind = ? AND time_ns BETWEEN ? AND ?", kind, start_ns, end_ns)

    def latest_of_nodes(self, kind: str) -> list[Record]:
        """The newest record of a kind of each node that has one."""
        latest: dict[str, Record] = {}
        for record in self._records("WHERE kind = ? AND body IS NOT NULL ORDER BY node, time_ns, epoch, seq", kind):
            latest[record.node] = record
        return list(latest.values())

    def all_records(self) -> list[Record]:
        """The whole log, sorted by node, epoch and sequence number."""
        return self._records("ORDER BY node, epoch, seq")

    def prune(self, retention: Retention) -> None:
        """Delete what is past its time. Bodies go, headers stay.

        An epoch's first body stays, as chains begin there, and a revocation, as it must be obeyed for ever.
        """
        self._db.execute(
            "UPDATE records SET body = NULL WHERE time_ns < ? AND kind NOT IN (?, ?) AND body IS NOT NULL",
            (retention.bodies_before_ns, EPOCH_KIND, REVOCATION_KIND),
        )
        self._db.execute("DELETE FROM incidents WHERE time_ns < ?", (retention.incidents_before_ns,))
        self._db.execute("DELETE FROM aliases WHERE id NOT IN (SELECT id FROM incidents)")
        self._db.execute("DELETE FROM remarks WHERE time_ns < ?", (retention.incidents_before_ns,))
        # The last event stays: it holds the knowledge that the next one continues from.
        self._db.execute(
            "DELETE FROM events WHERE time_ns < ? AND row < (SELECT max(row) FROM events)",
            (retention.events_before_ns,),
        )

    def _put_incident(self, incident: Incident) -> dict[str, object] | None:
        """Store one incident; its document where it changed, None where it is stored just so."""
        document = incident_to_dict(incident)
        ids = json.dumps([incident.id, *incident.aliases])
        stored = self._rows(
            "SELECT id, revision, body FROM incidents WHERE id IN (SELECT value FROM json_each(?))", ids
        )
        for known, revision, body in stored:
            if known == incident.id and {**json.loads(body), "revision": 0} == {**document, "revision": 0}:
                return None
            # After a restart or a merge the count begins again; for readers it goes on.
            document["revision"] = max(incident.revision, revision + 1)
        body = json.dumps(document, ensure_ascii=False)
        self._db.execute("DELETE FROM incidents WHERE id IN (SELECT value FROM json_each(?))", (ids,))
        self._db.execute(
            "INSERT INTO incidents VALUES (?, ?, ?, ?)", (incident.id, document["revision"], incident.time_ns, body)
        )
        self._db.execute(
            "INSERT INTO aliases SELECT value, ? FROM json_each(?) WHERE true"
            " ON CONFLICT (alias) DO UPDATE SET id = excluded.id WHERE id != excluded.id",
            (incident.id, ids),
        )
        return document

    def _cancel_incident(self, incident_id: str) -> dict[str, object] | None:
        """Mark one incident as cancelled; its document where that is new."""
        rows = self._rows("SELECT revision, body FROM incidents WHERE id = ?", incident_id)
        if not rows:
            return None
        document: dict[str, object] = json.loads(rows[0][1])
        if document.get("status") == "cancelled":
            return None
        document |= {"status": "cancelled", "revision": rows[0][0] + 1}
        self._db.execute(
            "UPDATE incidents SET revision = ?, body = ? WHERE id = ?",
            (document["revision"], json.dumps(document, ensure_ascii=False), incident_id),
        )
        return document

    def _add_remark(self, record: Record, now_ns: int) -> int | None:
        """Note what a person said, with an event; None where it was noted before or makes no sense."""
        remark = remark_of(record)
        if remark is None:
            return None
        row = (*record.stream, record.seq, record.kind, remark.incident, remark.subject, record.time_ns)
        noted = self._db.execute(
            "INSERT OR IGNORE INTO remarks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, json.dumps(remark.document))
        )
        if noted.rowcount == 0:
            return None
        # Its reader has not seen all that follows from the records before it, so `shown` stays where it was.
        reflects = self._with_last_reflected(Knowledge({record.stream: record.seq}))
        return self._add_event(record.kind, (None, remark.document), (reflects, self._last_shown()), now_ns)

    def _with_last_reflected(self, knowledge: Knowledge) -> str:
        """`knowledge` and that of the last event: what events reflect must only ever grow."""
        rows = self._rows("SELECT reflects FROM events ORDER BY row DESC LIMIT 1")
        return union(parse_knowledge(rows[0][0] if rows else ""), knowledge, self.epoch_ends()).text()

    def _add_event(
        self, kind: str, subject: tuple[str | None, dict[str, Any]], knowledge: tuple[str, str], now_ns: int
    ) -> int:
        """Add an event of an incident (or None) and its document; `knowledge` is what it reflects and has shown."""
        incident, body = subject
        cursor = self._db.execute(
            "INSERT INTO events (time_ns, kind, reflects, shown, incident, body) VALUES (?, ?, ?, ?, ?, ?)",
            (now_ns, kind, *knowledge, incident, json.dumps(body, ensure_ascii=False)),
        )
        if cursor.lastrowid is None:
            raise StoreError(str(self.path), "did not number an event", "move the file away and start again")
        return cursor.lastrowid

    def _last_shown(self) -> str:
        rows = self._rows("SELECT shown FROM events ORDER BY row DESC LIMIT 1")
        return str(rows[0][0]) if rows else ""

    def _records(self, clause: str, *values: object) -> list[Record]:
        rows = self._rows(f"SELECT {_FIELDS} FROM records {clause}", *values)  # noqa: S608  # constants
        return [Record(*row) for row in rows]

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with store_errors(self.path):
            return self._db.execute(statement, values).fetchall()


def epoch_end(record: Record) -> tuple[int, int] | None:
    """The epoch before and its last sequence number, where `record` begins an epoch and remembers one before."""
    body = decode_body(record) if record.kind == EPOCH_KIND else None
    if not isinstance(body, EpochBody) or body.previous_seq == 0:
        return None
    return body.previous_epoch, body.previous_seq
