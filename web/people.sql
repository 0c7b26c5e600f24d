-- People, their login sessions and what they did, version 1. Written and read by earshot web alone.

CREATE TABLE users (
    name       TEXT PRIMARY KEY COLLATE NOCASE,
    role       TEXT NOT NULL,
    password   TEXT NOT NULL,
    created_ns INTEGER NOT NULL
) WITHOUT ROWID;

-- The cookie itself is kept nowhere: only its SHA-256.
CREATE TABLE sessions (
    cookie_hash TEXT PRIMARY KEY,
    user        TEXT NOT NULL COLLATE NOCASE REFERENCES users (name) ON DELETE CASCADE,
    csrf        TEXT NOT NULL,
    created_ns  INTEGER NOT NULL,
    seen_ns     INTEGER NOT NULL
) WITHOUT ROWID;

-- Failed logins by name and by address, so that guessing slows down and stays slow after a restart.
CREATE TABLE failures (
    who     TEXT PRIMARY KEY,
    n       INTEGER NOT NULL,
    last_ns INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE audit (
    row     INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ns INTEGER NOT NULL,
    person  TEXT NOT NULL,
    address TEXT NOT NULL,
    action  TEXT NOT NULL,
    detail  TEXT NOT NULL
);
