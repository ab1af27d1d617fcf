-- Every table begins its key with the tenant, and what belongs to a user goes on with the user's
-- bucket (0..1023): the unit by which a larger database partitions. Keys are 64-bit hashes, stored as
-- signed integers with the same bits. Moments are milliseconds since 1970 UTC.

CREATE TABLE items (
    tenant       TEXT    NOT NULL,
    item_key     BIGINT  NOT NULL,
    item_id      TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    title        TEXT    NOT NULL,
    artist_id    TEXT,
    artist_name  TEXT,
    genres       TEXT    NOT NULL, -- a JSON array of texts
    released_at  BIGINT,
    duration_ms  BIGINT,
    explicit     INTEGER NOT NULL, -- 0 or 1
    markets      TEXT    NOT NULL, -- codes joined without a separator: 'NOSE'
    updated_at   BIGINT  NOT NULL,
    PRIMARY KEY (tenant, item_key)
);

CREATE UNIQUE INDEX items_by_id ON items (tenant, item_id);

CREATE TABLE users (
    tenant            TEXT     NOT NULL,
    bucket            SMALLINT NOT NULL,
    user_key          BIGINT   NOT NULL,
    user_id           TEXT     NOT NULL,
    market            TEXT,
    explicit_allowed  INTEGER  NOT NULL, -- 0 or 1
    updated_at        BIGINT   NOT NULL,
    PRIMARY KEY (tenant, bucket, user_key)
);

CREATE TABLE profiles (
    tenant      TEXT     NOT NULL,
    bucket      SMALLINT NOT NULL,
    user_key    BIGINT   NOT NULL,
    version     BIGINT   NOT NULL, -- counts writes: a writer who read an older one is refused
    format      SMALLINT NOT NULL,
    profile     BLOB     NOT NULL,
    updated_at  BIGINT   NOT NULL,
    PRIMARY KEY (tenant, bucket, user_key)
) WITHOUT ROWID;

-- What has been folded, for as long as an event may come again.
CREATE TABLE folded_events (
    tenant     TEXT     NOT NULL,
    bucket     SMALLINT NOT NULL,
    event_key  BLOB     NOT NULL, -- 16 bytes
    folded_at  BIGINT   NOT NULL,
    PRIMARY KEY (tenant, bucket, event_key)
) WITHOUT ROWID;

-- The stream positions that have been folded. The envelope tells a position from the same number of a
-- stream that was made anew.
CREATE TABLE folded_positions (
    tenant     TEXT     NOT NULL,
    stream     TEXT     NOT NULL,
    partition  INTEGER  NOT NULL,
    sequence   BIGINT   NOT NULL,
    envelope   TEXT     NOT NULL,
    folded_at  BIGINT   NOT NULL,
    PRIMARY KEY (tenant, stream, partition, sequence)
) WITHOUT ROWID;

CREATE TABLE trends (
    tenant    TEXT   NOT NULL,
    item_key  BIGINT NOT NULL,
    plays     DOUBLE PRECISION NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (tenant, item_key)
);
