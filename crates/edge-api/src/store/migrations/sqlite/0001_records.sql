-- Recommendation records, for questions about answers. The key begins with the tenant; ids of answers rise with time
-- (UUID version 7), so that new rows come last. Moments are milliseconds since 1970 UTC. A user is a 64-bit hash,
-- stored as a signed integer with the same bits.
CREATE TABLE records (
    tenant    TEXT    NOT NULL,
    id        BLOB    NOT NULL, -- the 16 bytes of a UUID
    made_at   BIGINT  NOT NULL,
    surface   TEXT    NOT NULL,
    user_key  BIGINT,           -- absent for somebody unknown
    whole     INTEGER NOT NULL, -- 0 or 1
    version   INTEGER NOT NULL, -- of the payload
    format    INTEGER NOT NULL, -- of the column: 1 is zlib (RFC 1950)
    payload   BLOB    NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE INDEX records_by_age ON records (made_at);
