"""A node's log read beside the process that writes it, or after it: for `earshot verify` and `earshot export`.

Nothing in the file is believed: a row that is no record is given back as the place where it stands.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from appliance.ledger.records import Range, Record
from appliance.storage.database import open_for_reading, store_errors
from appliance.wire.framing import one_line

_FIELDS = "node, epoch, seq, time_ns, kind, body_hash, previous, signature, body"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no record: what stands in it for node, epoch and number, and what is wrong."""

    place: str
    problem: str


class LogReader:
    """A database, for reading alone, by one thread."""

    def __init__(self, path: Path) -> None:
        """Open the database at `path`. Raises StoreError."""
        self._path = path
        self._db = open_for_reading(path)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def rows(self) -> Iterator[Record | BadRow]:
        """The whole log, sorted by node, epoch and sequence number. Raises StoreError where it can't be read on."""
        with store_errors(self._path):
            for row in self._db.execute(f"SELECT {_FIELDS} FROM records ORDER BY node, epoch, seq"):  # noqa: S608
                yield _record(row)

    def newest_time_ns(self) -> int:
        """When the newest record says that it was written; 0: there is none."""
        return int(self._one("SELECT coalesce(max(time_ns), 0) FROM records WHERE typeof(time_ns) = 'integer'"))

    def records_in(self, wanted: Range) -> list[Record]:
        """The records of a range, in order; rows that are none are left out."""
        clause = "node = ? AND epoch = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        return self._records(clause, wanted.node, wanted.epoch, wanted.first, wanted.last)

    def records_between(self, kind: str, start_ns: int, end_ns: int) -> list[Record]:
        """The records of a kind that were written between two times, both included."""
        return self._records("kind = ? AND time_ns BETWEEN ? AND ?", kind, start_ns, end_ns)

    def certificates(self) -> list[tuple[str, bytes]]:
        """Fingerprint as stored, and certificate (DER), of each node."""
        with store_errors(self._path):
            return [
                (str(name), bytes(der))
                for name, der in self._db.execute("SELECT fingerprint, der FROM certificates ORDER BY fingerprint")
                if isinstance(der, bytes)
            ]

    def incident(self, incident_id: str) -> tuple[dict[str, Any], int] | None:
        """The incident that an id leads to, and when it became what it is (UTC; 0: too long ago); None: none."""
        with store_errors(self._path):
            row = self._db.execute(
                "SELECT id, body FROM incidents WHERE id = (SELECT id FROM aliases WHERE alias = ?)", (incident_id,)
            ).fetchone()
        if row is None:
            return None
        return json.loads(row[1]), int(
            self._one("SELECT coalesce(max(time_ns), 0) FROM events WHERE incident = ?", row[0])
        )

    def _records(self, clause: str, *values: object) -> list[Record]:
        with store_errors(self._path):
            rows = self._db.execute(f"SELECT {_FIELDS} FROM records WHERE {clause}", values)  # noqa: S608  # constants
            return [record for record in map(_record, rows) if isinstance(record, Record)]

    def _one(self, statement: str, *values: object) -> Any:  # noqa: ANN401  # one cell of any type
        with store_errors(self._path):
            return self._db.execute(statement, values).fetchone()[0]


def _record(row: tuple[Any, ...]) -> Record | BadRow:
    try:
        return msgspec.convert(row, Record, strict=True)
    except msgspec.ValidationError as error:
        return BadRow(":".join(one_line(value)[:64] for value in row[:3]), one_line(error))
