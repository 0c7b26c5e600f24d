"""The people of this node: users, login sessions, throttling of guesses, and an audit of what was done.

A database of its own, which mesh never sees. Passwords are kept as argon2id hashes (RFC 9106).
"""

import hashlib
import hmac
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from appliance.errors import InputError, StoreError
from appliance.model.instants import NS_PER_S
from web.roles import Role

SCHEMA_VERSION = 1
MAX_USERS = 500
MIN_PASSWORD_CHARS = 10
MAX_PASSWORD_CHARS = 256
"""Argon2 hashes any length; the bound keeps a login from being a load."""
IDLE_NS = 24 * 3_600 * NS_PER_S
"""A car's page that is open counts as use; it must outlive the longest shift."""
LIFETIME_NS = 14 * 86_400 * NS_PER_S
SEEN_STEP_NS = 300 * NS_PER_S
"""How exactly the last use is kept: an SD card wears by the write."""
MAX_SESSIONS_OF_USER = 20
FREE_FAILURES = 5
MAX_DELAY_S = 300
FORGET_FAILURES_NS = 86_400 * NS_PER_S
MAX_FAILURES = 10_000
MAX_AUDIT = 100_000
N_HASHING = 2
"""Passwords hashed at one time: each takes 64 MiB."""
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing that looks like something else
CODE_CHARS = 12

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class User:
    """A person who may log in."""

    name: str
    role: Role
    created_ns: int


@dataclass(frozen=True, slots=True)
class Session:
    """A login that holds: who, and the token that the person's changing requests must repeat."""

    name: str
    role: Role
    csrf: str


@dataclass(frozen=True, slots=True)
class Login:
    """A login that succeeded: the cookie for the browser, given out this once."""

    cookie: str
    session: Session


@dataclass(frozen=True, slots=True)
class Refused:
    """A login that did not: wrong name or password, or too many tries (then not before `wait_s` seconds)."""

    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did and when."""

    time_ns: int
    person: str
    address: str
    action: str
    detail: str


class People:
    """The people's database. Safe to use from several threads."""

    def __init__(self, path: Path, *, hasher: PasswordHasher | None = None) -> None:
        """Open or make the database at `path`. Raises StoreError."""
        self._path = path
        self._code_file = path.with_name("setup-code")
        self._hasher = hasher or PasswordHasher()
        self._hashing = threading.BoundedSemaphore(N_HASHING)
        self._lock = threading.Lock()
        with self._errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._make_schema()
        # Somebody who does not exist takes as long to refuse as somebody who does.
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    # ---- the owner -----------------------------------------------------------------------------------------------

    def has_owner(self) -> bool:
        """Whether somebody may log in yet."""
        return bool(self._rows("SELECT 1 FROM users LIMIT 1"))

    def setup_code(self) -> str:
        """The one-time code that makes the first person the owner; it lies in a file beside the database."""
        with self._lock, self._errors():
            if self._code_file.exists():
                return self._code_file.read_text(encoding="ascii").strip()
            code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_CHARS))
            code = "-".join(code[i : i + 4] for i in range(0, CODE_CHARS, 4))
            self._code_file.touch(mode=0o600)
            self._code_file.write_text(code + "\n", encoding="ascii")
            return code

    def set_owner(self, code: str, name: str, password: str, now_ns: int) -> bool:
        """Make the first person an installer; False where the code is wrong or there is an owner already."""
        if self.has_owner() or not hmac.compare_digest(_plain_code(code), _plain_code(self.setup_code())):
            return False
        self.add(name, Role.INSTALLER, password, now_ns)
        with self._errors():
            self._code_file.unlink(missing_ok=True)
        return True

    # ---- users ---------------------------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """Everybody who may log in, by name."""
        rows = self._rows("SELECT name, role, created_ns FROM users ORDER BY name")
        return [User(name, Role(role), created_ns) for name, role, created_ns in rows]

    def add(self, name: str, role: Role, password: str, now_ns: int) -> None:
        """Let a person log in. Raises InputError for a name that is taken or unfit and a password that is too short."""
        if not _NAME.fullmatch(name):
            raise InputError("name", f"{name[:64]!a} can't be used", "use up to 64 letters, digits, spaces, . _ @ -")
        if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
            problem = f"has {len(password)} characters"
            raise InputError("password", problem, f"choose one of {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS}")
        with self._hashing:
            hashed = self._hasher.hash(password)
        with self._transaction() as db:
            if db.execute("SELECT count(*) FROM users").fetchone()[0] >= MAX_USERS:
                raise InputError("people", f"are {MAX_USERS} already", "remove somebody first")
            try:
                db.execute("INSERT INTO users VALUES (?, ?, ?, ?)", (name, role.value, hashed, now_ns))
            except sqlite3.IntegrityError as error:
                raise InputError("name", f"{name} is taken", "choose another") from error

    def remove(self, name: str) -> None:
        """End a person's access and sessions. Raises InputError for nobody, and for the last installer."""
        with self._transaction() as db:
            row = db.execute("SELECT role FROM users WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise InputError("name", f"{name[:64]!a} is nobody here", "choose one of the list")
            others = db.execute("SELECT count(*) FROM users WHERE role = 'installer' AND name <> ?", (name,)).fetchone()
            if row[0] == Role.INSTALLER and others[0] == 0:
                raise InputError("name", f"{name} is the only installer", "make another one first")
            db.execute("DELETE FROM users WHERE name = ?", (name,))

    # ---- logins --------------------------------------------------------------------------------------------------

    def log_in(self, name: str, password: str, address: str, now_ns: int) -> Login | Refused:
        """Begin a session where name and password are right, unless there were too many failures."""
        keys = (f"name {name[:64].lower()}", f"address {address}")
        wait_s = max(self._wait_s(key, now_ns) for key in keys)
        if wait_s > 0:
            return Refused(wait_s)
        rows = self._rows("SELECT name, role, password FROM users WHERE name = ?", name)
        if not self._is_right(rows[0][2] if rows else self._nobody, password[: MAX_PASSWORD_CHARS + 1]) or not rows:
            self._note_failure(keys, now_ns)
            self.note(name[:64], address, "login refused", "", now_ns)
            return Refused()
        self._execute("DELETE FROM failures WHERE who IN (?, ?)", *keys)
        self.note(rows[0][0], address, "login", "", now_ns)
        return self._begin(str(rows[0][0]), Role(rows[0][1]), now_ns)

    def wait_s(self, address: str, now_ns: int) -> int:
        """Seconds for which an address has to wait after its failures."""
        return self._wait_s(f"address {address}", now_ns)

    def note_guess(self, address: str, now_ns: int) -> None:
        """Count a wrong setup code against an address."""
        self._note_failure([f"address {address}"], now_ns)

    def session(self, cookie: str, now_ns: int) -> Session | None:
        """The session of a cookie; None: there is none, or it is over."""
        key = _hash(cookie)
        rows = self._rows(
            "SELECT users.name, role, csrf, sessions.created_ns, seen_ns FROM sessions JOIN users ON user = users.name"
            " WHERE cookie_hash = ?",
            key,
        )
        if not rows:
            return None
        name, role, csrf, created_ns, seen_ns = rows[0]
        if now_ns - created_ns > LIFETIME_NS or now_ns - seen_ns > IDLE_NS:
            self._execute("DELETE FROM sessions WHERE cookie_hash = ?", key)
            return None
        if abs(now_ns - seen_ns) > SEEN_STEP_NS:
            self._execute("UPDATE sessions SET seen_ns = ? WHERE cookie_hash = ?", now_ns, key)
        return Session(name, Role(role), csrf)

    def log_out(self, cookie: str) -> None:
        """End a session; harmless when it is over."""
        self._execute("DELETE FROM sessions WHERE cookie_hash = ?", _hash(cookie))

    # ---- the audit -----------------------------------------------------------------------------------------------

    def note(self, person: str, address: str, action: str, detail: str, now_ns: int) -> None:
        """Write down what somebody did; the oldest entries go when there are too many."""
        with self._transaction() as db:
            row = db.execute(
                "INSERT INTO audit (time_ns, person, address, action, detail) VALUES (?, ?, ?, ?, ?)",
                (now_ns, person[:64], address[:64], action[:64], detail[:200]),
            ).lastrowid
            db.execute("DELETE FROM audit WHERE row <= ?", ((row or 0) - MAX_AUDIT,))

    def audit(self, limit: int = 200) -> list[AuditEntry]:
        """What was done, newest first."""
        rows = self._rows("SELECT time_ns, person, address, action, detail FROM audit ORDER BY row DESC LIMIT ?", limit)
        return [AuditEntry(*row) for row in rows]

    # ---- inside --------------------------------------------------------------------------------------------------

    def _begin(self, name: str, role: Role, now_ns: int) -> Login:
        cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        with self._transaction() as db:
            db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (_hash(cookie), name, csrf, now_ns, now_ns))
            db.execute(
                "DELETE FROM sessions WHERE user = ? AND cookie_hash NOT IN"
                " (SELECT cookie_hash FROM sessions WHERE user = ? ORDER BY seen_ns DESC, created_ns DESC LIMIT ?)",
                (name, name, MAX_SESSIONS_OF_USER),
            )
        return Login(cookie, Session(name, role, csrf))

    def _is_right(self, hashed: str, password: str) -> bool:
        with self._hashing:
            try:
                return self._hasher.verify(hashed, password)
            except (VerificationError, InvalidHashError):
                return False

    def _wait_s(self, who: str, now_ns: int) -> int:
        rows = self._rows("SELECT n, last_ns FROM failures WHERE who = ?", who)
        if not rows or rows[0][0] < FREE_FAILURES or not 0 <= now_ns - rows[0][1] < FORGET_FAILURES_NS:
            return 0
        delay_s = min(MAX_DELAY_S, 2 ** min(20, rows[0][0] - FREE_FAILURES + 1))
        due_ns = int(rows[0][1]) + delay_s * NS_PER_S
        return int(max(0, -(-(due_ns - now_ns) // NS_PER_S)))

    def _note_failure(self, keys: Sequence[str], now_ns: int) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM failures WHERE last_ns < ?", (now_ns - FORGET_FAILURES_NS,))
            if db.execute("SELECT count(*) FROM failures").fetchone()[0] >= MAX_FAILURES:
                db.execute("DELETE FROM failures WHERE who IN (SELECT who FROM failures ORDER BY last_ns LIMIT 100)")
            for key in keys:
                db.execute(
                    "INSERT INTO failures VALUES (?, 1, ?)"
                    " ON CONFLICT (who) DO UPDATE SET n = n + 1, last_ns = excluded.last_ns",
                    (key, now_ns),
                )

    def _make_schema(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            script = Path(__file__).with_name("people.sql").read_text(encoding="utf-8")
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            problem = f"has version {version}, not {SCHEMA_VERSION}"
            raise StoreError(str(self._path), problem, "install the software that wrote it, or move the file away")

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._errors():
            return self._db.execute(statement, values).fetchall()

    def _execute(self, statement: str, *values: object) -> None:
        with self._transaction() as db:
            db.execute(statement, values)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(str(self._path), str(error), "check the disk and who owns the folder") from error


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _plain_code(code: str) -> bytes:
    """A code as people type it: any case, with or without dashes and spaces, O for 0 and I or L for 1."""
    plain = code.upper().replace("-", "").replace(" ", "")
    return plain.replace("O", "0").replace("I", "1").replace("L", "1").encode()
