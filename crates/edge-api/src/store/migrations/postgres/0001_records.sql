-- Recommendation records, for questions about answers. The key begins with the tenant; ids of answers rise with time
-- (UUID version 7), so that new rows come last. Moments are milliseconds since 1970 UTC. A user is a 64-bit hash,
-- stored as a signed integer with the same bits.
CREATE TABLE records (
    tenant    TEXT     COLLATE "C" NOT NULL,
    id        BYTEA    NOT NULL, -- the 16 bytes of a UUID
    made_at   BIGINT   NOT NULL,
    surface   TEXT     NOT NULL,
    user_key  BIGINT,            -- absent for somebody unknown
    whole     BOOLEAN  NOT NULL,
    version   INTEGER  NOT NULL, -- of the payload
    format    SMALLINT NOT NULL, -- of the column: 1 is zlib (RFC 1950)
    payload   BYTEA    NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- The payload is compressed already.
ALTER TABLE records ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE INDEX records_by_age ON records (made_at);
