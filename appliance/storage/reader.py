"""What others may read of a node's database: incidents, events with cursors, nodes, rejections."""

import contextlib
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from appliance.errors import InputError, StoreError
from appliance.ledger.knowledge import Knowledge, parse_knowledge
from appliance.ledger.records import StreamId
from appliance.model.instants import NS_PER_US
from appliance.storage.database import open_for_reading, store_errors
from appliance.storage.status import read_nodes, read_rejections, status_file

MAX_EVENTS = 5_000
MAX_INCIDENTS = 5_000
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = re.compile(r"([0-9a-f]{8})\.(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed: where to read on from, what it is, and what it is now.

    kind: "incident", "nodes", or the kind of a remark ("acknowledgement", "review", "exercise")
    """

    cursor: str
    kind: str
    body: dict[str, Any]


class StoreReader:
    """A node's database, read only; safe from several threads.

    A cursor is "node:epoch:seq,…~store.row": the records whose consequences the reader has seen, which any node
    understands, and the event's row in this database, which lets the same node go on exactly. At another node nothing
    is left out, and some events may come a second time.
    """

    def __init__(self, path: Path) -> None:
        """Open the database at `path`. Raises StoreError."""
        self._path = path
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        file = _identity(self._path)
        db = open_for_reading(self._path)
        with store_errors(self._path):
            row = db.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()
        self._db, self._file, self._store = db, file, str(row[0])

    def _follow(self) -> None:
        """Go over to a new database, as a node begins one when it joins another site; until it is whole, stay."""
        if _identity(self._path) in (None, self._file):
            return
        before = self._db
        with contextlib.suppress(StoreError):
            self._open()
            before.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def incidents(self, *, limit: int = 200, since: str | None = None) -> list[dict[str, Any]]:
        """Up to `limit` incidents in the incident format, newest first; with `since` those that changed after it."""
        limit = min(limit, MAX_INCIDENTS)
        if since is None:
            rows = self._rows("SELECT body FROM incidents ORDER BY time_ns DESC, id DESC LIMIT ?", limit)
        else:
            rows = self._rows(
                "SELECT body FROM incidents WHERE id IN"
                " (SELECT aliases.id FROM events JOIN aliases ON alias = incident WHERE row > ?)"
                " ORDER BY time_ns DESC, incidents.id DESC LIMIT ?",
                self._row_of(since),
                limit,
            )
        return [_with_iso_times(json.loads(body)) for (body,) in rows]

    def incident(self, incident_id: str) -> dict[str, Any] | None:
        """The incident that an id, or the id of any of its picks, leads to; None: there is none."""
        rows = self._rows(
            "SELECT body FROM incidents WHERE id = (SELECT id FROM aliases WHERE alias = ?)", incident_id[:200]
        )
        return _with_iso_times(json.loads(rows[0][0])) if rows else None

    def events_after(self, cursor: str | None, limit: int = 500) -> list[Event]:
        """Up to `limit` events after `cursor` (None: from the oldest kept), oldest first. InputError for no cursor."""
        rows = self._rows(
            "SELECT row, kind, shown, body FROM events WHERE row > ? ORDER BY row LIMIT ?",
            self._row_of(cursor),
            min(limit, MAX_EVENTS),
        )
        return [
            Event(self._cursor(row, knowledge), kind, _event_body(kind, body)) for row, kind, knowledge, body in rows
        ]

    def latest_cursor(self) -> str:
        """The cursor of the newest event."""
        rows = self._rows("SELECT row, shown FROM events ORDER BY row DESC LIMIT 1")
        return self._cursor(*rows[0]) if rows else self._cursor(0, "")

    def acknowledgements(self, incident_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """How far each unit is with each incident now, the newest last; ids of any of an incident's picks will do.

        incident, unit, state, time_ns, time, by; and node, record (node:epoch:seq), written_ns of the record.
        """
        return {i: _newest_by("unit", said) for i, said in self._remarks("acknowledgement", incident_ids).items()}

    def reviews(self, incident_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """What each person makes of each incident now, the newest last.

        incident, verdict, note, time_ns, time, by; and node, record, written_ns of the record.
        """
        return {i: _newest_by("by", said) for i, said in self._remarks("review", incident_ids).items()}

    def clips(self, incident_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """The sound that nodes kept of each incident: the file is `clips/PICK.flac` of the state folder of `node`.

        incident, pick, sha256, n_bytes, first_ns, clock_sigma_ns, rate_hz, n_channels, n_samples, pose; node, record.
        """
        return self._remarks("clip", incident_ids)

    def remarks(self, kind: str, incident_id: str) -> list[dict[str, Any]]:
        """All that was ever said of an incident in remarks of a kind, oldest first: nothing is ever overwritten."""
        return self._remarks(kind, [incident_id])[incident_id]

    def exercises(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest test alerts, newest first: words, time_ns, time, lat_deg, lon_deg, by, node, record."""
        rows = self._rows(
            "SELECT body FROM remarks WHERE kind = 'exercise' ORDER BY time_ns DESC, node, epoch, seq LIMIT ?",
            min(limit, MAX_INCIDENTS),
        )
        return [_with_iso_times(json.loads(body)) for (body,) in rows]

    def nodes(self) -> list[dict[str, Any]]:
        """Every node that this one knows, itself included: id, self, url, place, alive, health, levels (own only)."""
        return read_nodes(status_file(self._path))

    def rejections(self, limit: int = 100) -> list[dict[str, Any]]:
        """Onsets of this node's ears that became no pick, newest first: time_ns, time, stage, reason."""
        return [{**r, "time": _iso(r["time_ns"])} for r in read_rejections(status_file(self._path), limit)]

    def _remarks(self, kind: str, incident_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        said: dict[str, list[dict[str, Any]]] = {incident_id: [] for incident_id in incident_ids[:MAX_INCIDENTS]}
        rows = self._rows(
            "SELECT asked.value, remarks.body FROM json_each(?) AS asked"
            " JOIN aliases AS own ON own.alias = asked.value"
            " JOIN aliases AS every ON every.id = own.id"
            " JOIN remarks ON remarks.incident = every.alias AND remarks.kind = ?"
            " ORDER BY remarks.time_ns, remarks.node, remarks.epoch, remarks.seq",
            json.dumps(list(said)),
            kind,
        )
        for incident_id, body in rows:
            said[incident_id].append(_with_iso_times(json.loads(body)))
        return said

    def _cursor(self, row: int, shown: str) -> str:
        return f"{shown}~{self._store}.{row}"

    def _row_of(self, cursor: str | None) -> int:
        """The row after which the reader at `cursor` has to read on."""
        if cursor is None:
            return 0
        known, _, place = cursor.partition("~")
        match = _PLACE.fullmatch(place)
        if place and match is None:
            raise InputError("cursor", f"ends in {place[:40]!a}", "leave it out to read from the beginning")
        knowledge = parse_knowledge(known)
        if match and match[1] == self._store:
            return int(match[2])
        return self._last_row_covered(knowledge)

    def _last_row_covered(self, knowledge: Knowledge) -> int:
        """The last row up to which every event reflects records alone whose consequences the reader has seen.

        Found by halving, as what rows reflect only ever grows.
        """
        ends: dict[StreamId, int] = {
            (node, epoch): seq for node, epoch, seq in self._rows("SELECT node, epoch, seq FROM epoch_ends")
        }
        low, high = self._rows("SELECT coalesce(min(row), 1) - 1, coalesce(max(row), 0) FROM events")[0]
        while low < high:
            middle = (low + high + 1) // 2
            rows = self._rows("SELECT row, reflects FROM events WHERE row >= ? ORDER BY row LIMIT 1", middle)
            if knowledge.covers(parse_knowledge(rows[0][1]), ends):
                low = rows[0][0]
            else:
                high = middle - 1
        return int(low)

    def _rows(self, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        with self._lock, store_errors(self._path):
            self._follow()
            return self._db.execute(statement, values).fetchall()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file lies at `path` now; None: none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino)


def _event_body(kind: str, body: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(body)
    return document if kind == "nodes" else _with_iso_times(document)


def _with_iso_times(document: dict[str, Any]) -> dict[str, Any]:
    document = {**document, "time": _iso(document["time_ns"])}
    if "shots" in document:
        document["shots"] = [{**shot, "time": _iso(shot["time_ns"])} for shot in document["shots"]]
    return document


def _newest_by(subject: str, said: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last of each subject, in the order in which they were said."""
    last = {remark[subject]: i for i, remark in enumerate(said)}
    return [said[i] for i in sorted(last.values())]


def _iso(time_ns: int) -> str:
    """UTC in ISO 8601 with microseconds; what lies below is cut."""
    moment = _UNIX + timedelta(microseconds=time_ns // NS_PER_US)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
