-- One row per entry. "at" is in nanoseconds since 1970, UTC; "sum" is the CRC-32C of body, so that a damaged row is told from a good one.
CREATE TABLE entries (
    idx     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    service TEXT    NOT NULL,
    rollout INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    body    TEXT    NOT NULL,
    sum     INTEGER NOT NULL
) STRICT;

CREATE INDEX entries_by_rollout ON entries (rollout, idx) WHERE rollout <> 0;
CREATE INDEX entries_by_service ON entries (service, idx);
