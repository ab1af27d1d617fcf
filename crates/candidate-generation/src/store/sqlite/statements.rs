//! The statements that are too long to stand where they are used, and those for many rows.
//!
//! Many rows go in parts of a few sizes, so that few distinct statements are prepared.

use super::rows::ITEM;

/// The rows of one statement, largest first.
const SIZES: [usize; 6] = [1_024, 256, 64, 16, 4, 1];

/// Cuts rows into parts of the fixed sizes.
pub(super) fn parts<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    parts_of_at_most(rows, SIZES[0])
}

/// The same, for rows that carry much.
pub(super) fn parts_of_at_most<T>(mut rows: &[T], most: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= most && *size <= rows.len())?;
        let (part, rest) = rows.split_at(size);
        rows = rest;
        Some(part)
    })
}

/// `rows` tuples: in each, `{}` is the row's next parameter, counted from `first`.
fn tuples(sql: &mut String, tuple: &str, rows: usize, first: usize) {
    use std::fmt::Write as _;
    let mut parameter = first;
    for row in 0..rows {
        if row > 0 {
            sql.push_str(", ");
        }
        for (at, piece) in tuple.split("{}").enumerate() {
            if at > 0 {
                // Writing to a text cannot fail.
                let _infallible = write!(sql, "?{parameter}");
                parameter += 1;
            }
            sql.push_str(piece);
        }
    }
}

fn with_tuples(before: &str, tuple: &str, rows: usize, first: usize, after: &str) -> String {
    let mut sql = String::with_capacity(before.len() + after.len() + rows * (tuple.len() + 12));
    sql.push_str(before);
    tuples(&mut sql, tuple, rows, first);
    sql.push_str(after);
    sql
}

/// ?1 tenant, ?2 item_id, ?3 limit.
pub(super) fn items_after() -> String {
    format!("SELECT {ITEM} FROM items WHERE tenant = ?1 AND item_id > ?2 ORDER BY item_id LIMIT ?3")
}

/// ?1 tenant, ?2 bucket, ?3 user_key, ?4 limit. Each arm walks its own primary key.
pub(super) const USERS_AFTER: &str = "WITH wanted (bucket, user_key) AS (\
     SELECT * FROM (SELECT bucket, user_key FROM profiles WHERE tenant = ?1 AND (bucket, user_key) > (?2, ?3) \
     ORDER BY bucket, user_key LIMIT ?4) UNION \
     SELECT * FROM (SELECT bucket, user_key FROM users WHERE tenant = ?1 AND (bucket, user_key) > (?2, ?3) \
     ORDER BY bucket, user_key LIMIT ?4) ORDER BY 1, 2 LIMIT ?4) \
     SELECT w.user_key, COALESCE(p.version, 0), p.format, p.profile, u.user_id, u.market, u.explicit_allowed, \
     u.updated_at FROM wanted w \
     LEFT JOIN profiles p ON p.tenant = ?1 AND p.bucket = w.bucket AND p.user_key = w.user_key \
     LEFT JOIN users u ON u.tenant = ?1 AND u.bucket = w.bucket AND u.user_key = w.user_key \
     ORDER BY w.bucket, w.user_key";

/// ?1 tenant; per row item_key.
pub(super) fn items_by_key(rows: usize) -> String {
    let after =
        format!(") SELECT {ITEM} FROM wanted w CROSS JOIN items i ON i.tenant = ?1 AND i.item_key = w.wanted_key");
    with_tuples("WITH wanted (wanted_key) AS (VALUES ", "({})", rows, 2, &after)
}

/// ?1 tenant, ?2 now; per row the columns in the order of the insert.
pub(super) fn put_items(rows: usize) -> String {
    let after = " ON CONFLICT (tenant, item_key) DO UPDATE SET kind = excluded.kind, title = excluded.title, artist_id = excluded.artist_id, \
         artist_name = excluded.artist_name, genres = excluded.genres, released_at = excluded.released_at, duration_ms = excluded.duration_ms, \
         explicit = excluded.explicit, markets = excluded.markets, features = excluded.features, embedding = excluded.embedding, \
         updated_at = excluded.updated_at";
    let before = format!("INSERT INTO items (tenant, item_key, {ITEM}, updated_at) VALUES ");
    with_tuples(&before, "(?1, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, ?2)", rows, 3, after)
}

pub(super) const PUT_USER: &str = "INSERT INTO users (tenant, bucket, user_key, user_id, market, explicit_allowed, updated_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant, bucket, user_key) DO UPDATE SET user_id = excluded.user_id, \
     market = excluded.market, explicit_allowed = excluded.explicit_allowed, updated_at = excluded.updated_at";

/// ?1 tenant; per row item_key, plays, at.
pub(super) fn put_trends(rows: usize) -> String {
    let after = " ON CONFLICT (tenant, item_key) DO UPDATE SET plays = excluded.plays, at = excluded.at";
    with_tuples("INSERT INTO trends (tenant, item_key, plays, at) VALUES ", "(?1, {}, {}, {})", rows, 2, after)
}

/// ?1 tenant; per row item_key.
pub(super) fn forget_trends(rows: usize) -> String {
    with_tuples("DELETE FROM trends WHERE tenant = ?1 AND item_key IN (", "{}", rows, 2, ")")
}

/// ?1 before, ?2 how many at most: the oldest of them. Row values, because not every database limits a delete.
pub(super) const FORGET_EVENTS: &str = "DELETE FROM folded_events WHERE (tenant, bucket, event_key) IN \
     (SELECT tenant, bucket, event_key FROM folded_events WHERE folded_at < ?1 ORDER BY folded_at LIMIT ?2)";

/// The same for positions.
pub(super) const FORGET_POSITIONS: &str = "DELETE FROM folded_positions WHERE (tenant, stream, partition, sequence) IN \
     (SELECT tenant, stream, partition, sequence FROM folded_positions WHERE folded_at < ?1 ORDER BY folded_at LIMIT ?2)";

/// ?1 tenant, ?2 now; per row stream, partition, sequence, envelope. Gives the positions that are new.
pub(super) fn claim_positions(rows: usize) -> String {
    let after = " ON CONFLICT (tenant, stream, partition, sequence) DO UPDATE SET envelope = excluded.envelope, folded_at = excluded.folded_at \
         WHERE folded_positions.envelope <> excluded.envelope RETURNING stream, partition, sequence";
    let before = "INSERT INTO folded_positions (tenant, stream, partition, sequence, envelope, folded_at) VALUES ";
    with_tuples(before, "(?1, {}, {}, {}, {}, ?2)", rows, 3, after)
}

/// ?1 tenant, ?2 now; per row bucket, event_key. Gives the events that are new.
pub(super) fn claim_events(rows: usize) -> String {
    let after = " ON CONFLICT (tenant, bucket, event_key) DO NOTHING RETURNING event_key";
    let before = "INSERT INTO folded_events (tenant, bucket, event_key, folded_at) VALUES ";
    with_tuples(before, "(?1, {}, {}, ?2)", rows, 3, after)
}

/// ?1 tenant; per row bucket, user_key.
pub(super) fn users(rows: usize) -> String {
    // The cross join keeps the wanted users outside: one look-up by primary key for each.
    let after = ") SELECT w.user_key, p.version, p.format, p.profile, u.user_id, u.market, u.explicit_allowed, u.updated_at \
         FROM wanted w CROSS JOIN profiles p ON p.tenant = ?1 AND p.bucket = w.bucket AND p.user_key = w.user_key \
         LEFT JOIN users u ON u.tenant = ?1 AND u.bucket = w.bucket AND u.user_key = w.user_key \
         UNION ALL SELECT w.user_key, 0, 0, NULL, u.user_id, u.market, u.explicit_allowed, u.updated_at \
         FROM wanted w CROSS JOIN users u ON u.tenant = ?1 AND u.bucket = w.bucket AND u.user_key = w.user_key \
         WHERE NOT EXISTS (SELECT 1 FROM profiles p WHERE p.tenant = ?1 AND p.bucket = w.bucket AND p.user_key = w.user_key)";
    with_tuples("WITH wanted (bucket, user_key) AS (VALUES ", "({}, {})", rows, 2, after)
}

/// ?1 tenant, ?2 now, ?3 format; per row bucket, user_key, version, profile.
pub(super) fn save(rows: usize) -> String {
    let after = " ON CONFLICT (tenant, bucket, user_key) DO UPDATE SET version = excluded.version, format = excluded.format, \
         profile = excluded.profile, updated_at = excluded.updated_at WHERE profiles.version = excluded.version - 1";
    let before = "INSERT INTO profiles (tenant, bucket, user_key, version, format, profile, updated_at) VALUES ";
    with_tuples(before, "(?1, {}, {}, {}, ?3, {}, ?2)", rows, 4, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_few_sizes_and_lose_nothing() {
        let rows: Vec<u32> = (0..1_367).collect();
        let sizes: Vec<usize> = parts(&rows).map(<[u32]>::len).collect();
        assert_eq!(sizes, [1_024, 256, 64, 16, 4, 1, 1, 1]);
        assert_eq!(parts_of_at_most(&rows, 64).flatten().copied().collect::<Vec<_>>(), rows);
    }

    #[test]
    fn parameters_count_up_over_the_rows() {
        assert!(claim_events(2).contains("(?1, ?3, ?4, ?2), (?1, ?5, ?6, ?2) ON CONFLICT"));
    }
}
