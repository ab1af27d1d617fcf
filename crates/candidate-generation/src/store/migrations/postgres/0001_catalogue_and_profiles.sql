-- Every table begins its key with the tenant, and what belongs to a user goes on with the user's
-- bucket (0..1023): the unit by which a larger database partitions. Keys are 64-bit hashes, stored as
-- signed integers with the same bits. Moments are milliseconds since 1970 UTC.

-- How often each tenant's catalogue was written. The row is locked by each writer of the catalogue, so that
-- versions are committed in their order: whoever reads up to a version has read all of it.
CREATE TABLE catalogues (
    tenant   TEXT   COLLATE "C" PRIMARY KEY,
    version  BIGINT NOT NULL
);

CREATE TABLE items (
    tenant       TEXT    COLLATE "C" NOT NULL,
    item_key     BIGINT  NOT NULL,
    item_id      TEXT    COLLATE "C" NOT NULL,
    kind         TEXT    NOT NULL,
    title        TEXT    NOT NULL,
    artist_id    TEXT,
    artist_name  TEXT,
    genres       TEXT    NOT NULL, -- a JSON array of texts
    released_at  BIGINT,
    duration_ms  BIGINT,
    explicit     BOOLEAN NOT NULL,
    markets      TEXT    NOT NULL, -- codes joined without a separator: 'NOSE'
    updated_at   BIGINT  NOT NULL,
    version      BIGINT  NOT NULL, -- the catalogue's, when this was written
    PRIMARY KEY (tenant, item_key)
);

CREATE UNIQUE INDEX items_by_id ON items (tenant, item_id);

CREATE INDEX items_by_version ON items (tenant, version, item_key);

-- What left a catalogue, for the replicas that have it in memory.
CREATE TABLE deleted_items (
    tenant      TEXT   COLLATE "C" NOT NULL,
    item_key    BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    deleted_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, item_key)
);

CREATE INDEX deleted_items_by_version ON deleted_items (tenant, version, item_key);

CREATE TABLE users (
    tenant            TEXT     COLLATE "C" NOT NULL,
    bucket            SMALLINT NOT NULL,
    user_key          BIGINT   NOT NULL,
    user_id           TEXT     NOT NULL,
    market            TEXT,
    explicit_allowed  BOOLEAN  NOT NULL,
    updated_at        BIGINT   NOT NULL,
    PRIMARY KEY (tenant, bucket, user_key)
);

-- Profiles are written over and over: they stay within their pages, where the room left keeps a new version beside
-- the old one, and what is old is swept up soon.
CREATE TABLE profiles (
    tenant      TEXT     COLLATE "C" NOT NULL,
    bucket      SMALLINT NOT NULL,
    user_key    BIGINT   NOT NULL,
    version     BIGINT   NOT NULL, -- counts writes: a writer who read an older one is refused
    format      SMALLINT NOT NULL,
    profile     BYTEA    NOT NULL,
    updated_at  BIGINT   NOT NULL,
    PRIMARY KEY (tenant, bucket, user_key)
) WITH (fillfactor = 60, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.02);

-- What has been folded, for as long as an event may come again.
CREATE TABLE folded_events (
    tenant     TEXT     COLLATE "C" NOT NULL,
    bucket     SMALLINT NOT NULL,
    event_key  BYTEA    NOT NULL, -- 16 bytes
    folded_at  BIGINT   NOT NULL,
    PRIMARY KEY (tenant, bucket, event_key)
);

CREATE INDEX folded_events_by_age ON folded_events (folded_at);

-- The stream positions that have been folded. The envelope tells a position from the same number of a
-- stream that was made anew.
CREATE TABLE folded_positions (
    tenant     TEXT    COLLATE "C" NOT NULL,
    stream     TEXT    COLLATE "C" NOT NULL,
    partition  INTEGER NOT NULL,
    sequence   BIGINT  NOT NULL,
    envelope   TEXT    NOT NULL,
    folded_at  BIGINT  NOT NULL,
    PRIMARY KEY (tenant, stream, partition, sequence)
);

CREATE INDEX folded_positions_by_age ON folded_positions (folded_at);

-- What everybody plays: each replica adds what it counted, and reads what the others did.
CREATE TABLE trends (
    tenant      TEXT             COLLATE "C" NOT NULL,
    item_key    BIGINT           NOT NULL,
    plays       DOUBLE PRECISION NOT NULL, -- at the moment `at`; they halve with time
    at          BIGINT           NOT NULL,
    changed_at  BIGINT           NOT NULL, -- by this database's clock
    PRIMARY KEY (tenant, item_key)
);

CREATE INDEX trends_by_change ON trends (tenant, changed_at);

-- Who takes in which partition of a stream. The token rises with each change of hands: a fold that began
-- under an older one is refused.
CREATE TABLE intake_leases (
    stream     TEXT    COLLATE "C" NOT NULL,
    partition  INTEGER NOT NULL,
    token      BIGINT  NOT NULL,
    holder     TEXT    NOT NULL, -- empty when it was given back
    until      BIGINT  NOT NULL, -- by this database's clock
    PRIMARY KEY (stream, partition)
);

-- The processes that share the partitions of a stream.
CREATE TABLE intake_workers (
    stream  TEXT   COLLATE "C" NOT NULL,
    holder  TEXT   COLLATE "C" NOT NULL,
    until   BIGINT NOT NULL, -- by this database's clock
    PRIMARY KEY (stream, holder)
);
