"""Opening the node's database, and saying in words what is wrong with it."""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from appliance.errors import StoreError

APPLICATION_ID = 0x45617273
"""Marks the file as Earshot's (SQLite's application_id): "Ears"."""
SCHEMAS = ("schema.sql", "schema_2.sql")
"""What makes each version out of the one before; a database of an older version is brought up by mesh."""
SCHEMA_VERSION = len(SCHEMAS)
BUSY_TIMEOUT_S = 5.0
"""Nobody else writes; a technician's shell that holds a lock this long has to be told."""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The database at `path`, made if it is not there, with every commit on disk before it returns. StoreError."""
    _refuse_folder(path)
    with store_errors(path):
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    try:
        with store_errors(path):
            # FULL: a commit in WAL mode is synced, so that a power cut loses nothing that was acknowledged.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 1000")
            _make_or_check(connection, path)
    except BaseException:
        connection.close()
        raise
    path.chmod(0o640)
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The database at `path`, for reading alone; may be used from any thread, by one at a time. StoreError."""
    _refuse_folder(path)
    if not path.exists():
        raise StoreError(str(path), "is not there", "start earshot mesh, which makes it")
    with store_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_S,
            check_same_thread=False,
        )
    try:
        with store_errors(path):
            _check_version(connection, path, oldest=SCHEMA_VERSION)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says of file and disk into StoreErrors with a remedy; what it says of our statements is ours."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
        raise
    except sqlite3.Error as error:
        raise StoreError(str(path), str(error), _remedy(error)) from error


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise StoreError(str(path), "is a folder", "move it away: the database goes there")


def _remedy(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    remedies = {
        sqlite3.SQLITE_BUSY: "end the other program that has it open for writing",
        sqlite3.SQLITE_LOCKED: "end the other program that has it open for writing",
        sqlite3.SQLITE_FULL: "make room on its disk",
        sqlite3.SQLITE_READONLY: "make the file and its folder writable for earshot mesh",
        sqlite3.SQLITE_CANTOPEN: "make its folder, and make it writable for earshot mesh",
        sqlite3.SQLITE_IOERR: "check its disk: reading or writing failed",
        sqlite3.SQLITE_CORRUPT: "move the file away and start again: the node fetches all records from its peers",
        sqlite3.SQLITE_NOTADB: "move the file away and start again: the node fetches all records from its peers",
    }
    return remedies.get(code, "look at its disk and its permissions")


def _make_or_check(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != 0 or _has_tables(connection):
        version = _check_version(connection, path, oldest=1)
        if version < SCHEMA_VERSION:
            connection.executescript(f"BEGIN; {_schema(version)} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        return
    store = secrets.token_hex(4)
    connection.executescript(
        f"BEGIN; {_schema(0)} INSERT INTO meta VALUES ('store', '{store}');"  # noqa: S608  # nothing from outside
        f"PRAGMA user_version = {SCHEMA_VERSION}; PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
    )


def _schema(version: int) -> str:
    """The statements that make today's tables out of those of `version` (0: none)."""
    folder = resources.files("appliance.storage")
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in SCHEMAS[version:])


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: Path, *, oldest: int) -> int:
    """The version of the database, which is `oldest` or newer. Raises StoreError."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError(str(path), "is not Earshot's database", "name another state folder, or move the file away")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        problem = f"was written by a newer Earshot (version {version}, this one reads {SCHEMA_VERSION})"
        raise StoreError(str(path), problem, "install that Earshot again, or move the file away")
    if version < 1:
        problem = f"has version {version}, which no Earshot wrote"
        raise StoreError(str(path), problem, "move the file away and start again")
    if version < oldest:
        problem = f"was written by an older Earshot (version {version}, this one reads {SCHEMA_VERSION})"
        raise StoreError(str(path), problem, "start earshot mesh, which brings it up to date")
    return version
