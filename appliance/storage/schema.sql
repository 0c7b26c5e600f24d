-- The tables of a node's database, version 1; the files after it bring it up to date. Written by earshot mesh alone.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Certificates of all nodes of the site that were ever met, so that their records can be checked.
CREATE TABLE certificates (
    fingerprint TEXT PRIMARY KEY,
    node        TEXT NOT NULL,
    der         BLOB NOT NULL
) WITHOUT ROWID;

-- The log: every record of every node. A body that retention deleted is NULL; its hash stays.
CREATE TABLE records (
    node      TEXT NOT NULL,
    epoch     INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    time_ns   INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    previous  BLOB NOT NULL,
    signature BLOB NOT NULL,
    body      BLOB,
    PRIMARY KEY (node, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX records_by_kind ON records (kind, time_ns);

-- How far each epoch went, as the first record of the next one says.
CREATE TABLE epoch_ends (
    node  TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (node, epoch)
) WITHOUT ROWID;

-- Incidents as they stand now: JSON of the incident format.
CREATE TABLE incidents (
    id       TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    time_ns  INTEGER NOT NULL,
    body     TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX incidents_by_time ON incidents (time_ns);

-- Every id that leads to an incident: those of its picks.
CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    id    TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX aliases_by_id ON aliases (id);

-- What happened, in order, for pages that follow. `reflects` says which records an event takes into account, and
-- `shown` which records a reader who has come this far has seen all consequences of (ledger.knowledge): of events
-- written together only the last can say the same in both. Neither ever shrinks from one row to the next.
CREATE TABLE events (
    row       INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ns   INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    reflects  TEXT NOT NULL,
    shown     TEXT NOT NULL,
    incident  TEXT,
    body      TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (time_ns);
