//! The tables of an export that are JSON lines: their fields, defined once. The data dictionary, and the test that holds
//! it and what is written together, are made of them. It must not know where rows come from.

use std::fmt::Write as _;

/// One field of a line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds, as the dictionary says it.
    pub kind: &'static str,
    /// What it means.
    pub means: &'static str,
}

/// A table of JSON lines.
#[derive(Debug)]
pub struct Lines {
    /// Its name; the file is `<name>.jsonl`.
    pub name: &'static str,
    /// What a line is.
    pub about: &'static str,
    /// The fields of every line.
    pub fields: &'static [Field],
}

const fn field(name: &'static str, kind: &'static str, means: &'static str) -> Field {
    Field { name, kind, means }
}

impl Lines {
    /// Its section of the data dictionary.
    #[must_use]
    pub fn dictionary(&self) -> String {
        let mut text = format!("### `{}`\n\n{}\n\n| field | type | meaning |\n|---|---|---|\n", self.name, self.about);
        for Field { name, kind, means } in self.fields {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| `{name}` | {kind} | {means} |");
        }
        text
    }
}

/// The catalogue.
pub static ITEMS: Lines = Lines {
    name: "items",
    about: "One line for each item of the catalogue.",
    fields: &[
        field("item_id", "text", "the tenant's id"),
        field(
            "item_key",
            "integer",
            "the 64-bit hash of `item_id` as a signed number; joins with `events` and `recommendations`",
        ),
        field(
            "kind",
            "text",
            "`track`, `album`, `artist`, `playlist`, `show`, `episode`, or a kind of the tenant's own",
        ),
        field("title", "text", "what a listener reads"),
        field("artist_id", "text or null", "the artist's item id"),
        field("artist_name", "text or null", "the artist's name"),
        field("genres", "list of text", "genres and tags, most telling first"),
        field("released_at", "moment or null", "when it came out"),
        field("duration_ms", "integer or null", "how long it plays, in milliseconds"),
        field("explicit", "bool", "whether it carries an explicit-content warning"),
        field("markets", "list of text", "where it may be played; empty means everywhere"),
        field("features", "object or null", "numbers that the tenant measured of it, by name"),
        field("embedding", "list of numbers or null", "an embedding that the tenant made of it"),
    ],
};

/// The listeners.
pub static LISTENERS: Lines = Lines {
    name: "listeners",
    about: "One line for each listener that the tenant told of or that an event named: what was told, and the profile \
            that was folded from events. Decayed numbers stand as they stood at their moment, and halve every 30 days.",
    fields: &[
        field(
            "user_id",
            "text or null",
            "the tenant's id; null where neither the tenant nor an archived event tells it",
        ),
        field("user_key", "integer", "the 64-bit hash of the id as a signed number"),
        field("market", "text or null", "where they are at home, as the tenant told"),
        field("explicit_allowed", "bool or null", "whether explicit items may be shown, as the tenant told"),
        field("updated_at", "moment or null", "when the tenant last told"),
        field("profile_version", "integer", "how often the profile was written; 0 is never"),
        field("problem", "text or null", "why the profile is missing here: it does not read back"),
        field("counters", "object", "`events`, `plays`, `completes`, `skips`, `repeats`, `impressions` folded so far"),
        field("last_event_at", "moment or null", "when the last event happened"),
        field(
            "items",
            "list of objects",
            "the history with each item: `item_key`, `item_id` (null when it left the catalogue), `artist_key`, \
             `plays`, `skips`, `weight`, `liked`, `last_played_at`, `last_positive_at`, `touched_at`",
        ),
        field(
            "artists",
            "list of objects",
            "decayed plays by artist: `artist_key`, `artist_id`, `weight`, `at`, `plays`",
        ),
        field(
            "genres",
            "list of objects",
            "decayed plays by genre: `genre_key`, `genre` (null when no item has it), `weight`, `at`, `plays`",
        ),
        field("impressions", "list of objects", "what was shown when: `item_key`, `item_id`, `at`"),
        field("hidden", "list of objects", "items and artists never to show again: `item_key`, `item_id`, `at`"),
        field("followed", "list of objects", "artists and shows that are followed: `item_key`, `item_id`, `at`"),
        field("hours", "list of integers", "plays by hour of the day, UTC, from 0 to 23"),
        field("days", "list of objects", "plays of the last days: `day` since 1970, `plays`"),
    ],
};

/// What everybody plays.
pub static TRENDS: Lines = Lines {
    name: "trends",
    about: "One line for each item of the trending index.",
    fields: &[
        field("item_key", "integer", "the item"),
        field("item_id", "text or null", "its id; null when it left the catalogue"),
        field("plays", "number", "decayed plays as they stood at `at`"),
        field("at", "moment", "when they last changed"),
    ],
};

/// The surfaces.
pub static SURFACES: Lines = Lines {
    name: "surfaces",
    about: "One line for each surface that the edge serves. Surfaces are files of the platform, the same for all its \
            tenants.",
    fields: &[
        field("surface", "text", "its name"),
        field("version", "text", "the version of its content; `recommendations.surface_version`"),
        field("definition", "object", "what the team wrote, defaults filled in"),
    ],
};

/// The API keys.
pub static KEYS: Lines = Lines {
    name: "keys",
    about: "One line for each API key of the tenant: what it is, never what opens it.",
    fields: &[
        field("id", "text", "the public part of the key"),
        field("scopes", "list of text", "what it may do"),
        field("expires_at", "text or null", "when it ends, in RFC 3339"),
    ],
};

/// The releases.
pub static RELEASES: Lines = Lines {
    name: "releases",
    about: "One line for each release of the tenant, without its files.",
    fields: &[
        field("release", "text", "its id; `recommendations.ranking_release`"),
        field("live", "bool", "whether it is served"),
        field("created_at", "moment", "when it was trained"),
        field("window", "object", "the events it was trained on: `from`, and `to`, which is not in it"),
        field("counts", "object", "how much it was trained on"),
        field("metrics", "object", "its measurements"),
        field("lineage", "object", "data, seed and settings"),
        field("code_version", "text", "the version that trained it"),
        field("notes", "text", "for people"),
        field("files", "object", "its files by name: `blake3`, `bytes`"),
    ],
};

/// All tables of JSON lines.
pub static ALL: [&Lines; 6] = [&ITEMS, &LISTENERS, &TRENDS, &SURFACES, &KEYS, &RELEASES];
