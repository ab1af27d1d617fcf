-- What a tenant measured of an item. Rows of before have neither.

ALTER TABLE items ADD COLUMN features TEXT; -- a JSON object of numbers

ALTER TABLE items ADD COLUMN embedding BYTEA; -- 32-bit floats, little-endian
