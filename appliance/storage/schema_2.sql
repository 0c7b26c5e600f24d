-- Version 2: what people said of incidents, and where peers were reached.

-- Every remark (wire.records) of the log that could be read: who is how far, and what people make of an incident.
-- `incident` is the id it was said of, which leads to today's id through `aliases`; `subject` is the unit or person.
CREATE TABLE remarks (
    node     TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    incident TEXT NOT NULL,
    subject  TEXT NOT NULL,
    time_ns  INTEGER NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (node, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX remarks_by_incident ON remarks (incident, kind);
CREATE INDEX remarks_by_time ON remarks (time_ns);

-- Where each peer was last reached, to find it again where mDNS does not.
CREATE TABLE addresses (
    node    TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    port    INTEGER NOT NULL,
    time_ns INTEGER NOT NULL
) WITHOUT ROWID;
