//! Last.fm HetRec 2011: `artists.dat`, `user_artists.dat` and, when there, the tags (`tags.dat` with
//! `user_taggedartists.dat` or `user_taggedartists_dates.csv.gz`).
//!
//! Artists become items of the kind `artist`; the five tags given most often are their genres. The
//! data set has one listening count per pair and no times, so a count becomes a bounded number of
//! `play` events, `1 + ln(count)` rounded down and at most [`MAX_PLAYS`], over a [`SPELL`] that lies anywhere in the
//! [`WINDOW`] before the import, at a moment derived from the pair's ids: so that a hold-out by time holds pairs out.
//! Orders and
//! recencies in such events mean nothing, and the report says so.

use std::{path::Path, time::Duration};

use rustc_hash::FxHashMap;
use shared_models::{
    ItemId, ItemKey, Timestamp, UserId, UserKey,
    event::EventKind,
    item::{Item, ItemKind},
};
use smallvec::SmallVec;

use super::{
    Error, Import, Options,
    import::{Builder, Place},
    lines::{Encoding, Lines},
};
use crate::progress::Progress;

/// The most plays that a listening count becomes.
pub const MAX_PLAYS: u32 = 10;
/// How long before the import the plays are spread.
pub const WINDOW: Duration = Duration::from_secs(180 * 86_400);
/// How long the plays of one listener and artist take.
pub const SPELL: Duration = Duration::from_secs(10 * 86_400);

const GENRES: usize = 5;

/// Imports a HetRec folder.
///
/// # Errors
/// When a file is absent or cannot be read.
pub fn import(folder: &Path, options: Options, progress: &dyn Progress) -> Result<Import, Error> {
    let mut builder = Builder::new("lastfm", options.now);
    for needed in ["artists.dat", "user_artists.dat"] {
        if !folder.join(needed).exists() {
            return Err(Error::Missing {
                path: folder.join(needed),
                expected: "give a folder with artists.dat and user_artists.dat",
            });
        }
    }
    rows(&folder.join("artists.dat"), Encoding::Utf8, '\t', progress, &mut builder, artist)?;
    read_tags(folder, &mut builder, progress)?;
    let now = options.now;
    rows(&folder.join("user_artists.dat"), Encoding::Utf8, '\t', progress, &mut builder, |fields, builder| {
        plays(fields, builder, now)
    })?;
    builder.note(format!(
        "listening counts have no times: a count became 1 + ln(count) plays, at most {MAX_PLAYS}, over a spell of 10 days that begins anywhere in {} days; orders and recencies mean nothing",
        WINDOW.as_secs() / 86_400
    ));
    Ok(builder.finish())
}

type Refusal = (&'static str, String);

/// Gives each row after the heading to `row`, as fields.
fn rows(
    path: &Path,
    encoding: Encoding,
    separator: char,
    progress: &dyn Progress,
    builder: &mut Builder,
    mut row: impl FnMut(&[&str], &mut Builder) -> Result<(), Refusal>,
) -> Result<(), Error> {
    let mut lines = Lines::open(path, encoding, progress)?;
    let file = lines.name().to_owned();
    while let Some(line) = lines.next_line()? {
        let place = Place { file: &file, line: line.number };
        let text = match line.text {
            Ok(text) => text,
            Err(reason) => {
                builder.skip(place, reason, "");
                continue;
            }
        };
        if line.number == 1 {
            builder.used(place);
            continue;
        }
        let fields: SmallVec<[&str; 8]> = text.split(separator).collect();
        match row(&fields, builder) {
            Ok(()) => builder.used(place),
            Err((kind, detail)) => builder.skip(place, kind, detail),
        }
    }
    Ok(())
}

fn number(text: &str, what: &'static str) -> Result<u32, Refusal> {
    text.trim().parse().map_err(|_| (what, format!("{text:?}")))
}

fn artist_id(id: u32) -> Result<ItemId, Refusal> {
    ItemId::new(format!("artist-{id}")).map_err(|error| ("the artist's id is no identifier", error.to_string()))
}

fn artist(fields: &[&str], builder: &mut Builder) -> Result<(), Refusal> {
    let [id, name, ..] = fields else {
        return Err(("not id, name, url, pictureURL", fields.join(" ")));
    };
    let id = artist_id(number(id, "the artist's id is no number")?)?;
    let item = Item {
        id: id.clone(),
        kind: ItemKind::Artist,
        title: (*name).to_owned(),
        artist_id: None,
        artist_name: Some((*name).to_owned()),
        genres: Vec::new(),
        released_at: None,
        duration_ms: None,
        explicit: false,
        markets: SmallVec::new(),
        numbers: None,
    };
    if builder.add_item(item) { Ok(()) } else { Err(("the artist is there already", id.to_string())) }
}

fn read_tags(folder: &Path, builder: &mut Builder, progress: &dyn Progress) -> Result<(), Error> {
    let names_path = folder.join("tags.dat");
    let plain = folder.join("user_taggedartists.dat");
    let dated = folder.join("user_taggedartists_dates.csv.gz");
    let (path, separator) = if plain.exists() { (plain, '\t') } else { (dated, ',') };
    if !names_path.exists() || !path.exists() {
        builder.note("there are no tags (tags.dat and user_taggedartists.dat): artists have no genres");
        return Ok(());
    }
    let mut names: FxHashMap<u32, String> = FxHashMap::default();
    rows(&names_path, Encoding::Latin1, '\t', progress, builder, |fields, _| {
        let [id, name] = fields else {
            return Err(("not tagID, tagValue", fields.join(" ")));
        };
        names.insert(number(id, "the tag's id is no number")?, name.trim().to_lowercase());
        Ok(())
    })?;
    let mut given: FxHashMap<u32, FxHashMap<u32, u32>> = FxHashMap::default();
    rows(&path, Encoding::Utf8, separator, progress, builder, |fields, builder| {
        let [_, artist, tag, ..] = fields else {
            return Err(("not userID, artistID, tagID", fields.join(" ")));
        };
        let (artist, tag) =
            (number(artist, "the artist's id is no number")?, number(tag, "the tag's id is no number")?);
        if !names.contains_key(&tag) {
            return Err(("the tag is not in tags.dat", tag.to_string()));
        }
        if builder.item(&artist_id(artist)?).is_none() {
            return Err(("the artist is not in artists.dat", artist.to_string()));
        }
        *given.entry(artist).or_default().entry(tag).or_default() += 1;
        Ok(())
    })?;
    for (artist, tags) in given {
        let mut tags: Vec<(u32, u32)> = tags.into_iter().map(|(tag, count)| (count, tag)).collect();
        tags.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        if let Some(item) = artist_id(artist).ok().and_then(|id| builder.item_mut(&id)) {
            item.genres = tags.iter().take(GENRES).filter_map(|(_, tag)| names.get(tag).cloned()).collect();
        }
    }
    Ok(())
}

fn plays(fields: &[&str], builder: &mut Builder, now: Timestamp) -> Result<(), Refusal> {
    let [user, artist, count] = fields else {
        return Err(("not userID, artistID, weight", fields.join(" ")));
    };
    let user_number = number(user, "the user is no number")?;
    let item = artist_id(number(artist, "the artist's id is no number")?)?;
    let count = number(count, "the weight is no number")?;
    if count == 0 {
        return Err(("the weight is 0", String::new()));
    }
    if builder.item(&item).is_none() {
        return Err(("the artist is not in artists.dat", item.to_string()));
    }
    let user = UserId::new(format!("lastfm-{user_number}"))
        .map_err(|error| ("the user is no identifier", error.to_string()))?;
    let plays = (1 + f64::from(count).ln() as u32).min(MAX_PLAYS);
    let (window, spell) = (WINDOW.as_millis() as u64, SPELL.as_millis() as u64);
    let step = spell / u64::from(plays);
    // Multiplying by an odd constant spreads the pair's bits over the moments.
    let taken_up = (UserKey::of(&user).0 ^ ItemKey::of(&item).0).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (window - spell);
    for play in 0..plays {
        let before_now = taken_up + u64::from(play) * step;
        builder.add_event(
            &user,
            &item,
            EventKind::Play,
            now.before(Duration::from_millis(before_now)),
            &[&play.to_string()],
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::import::tests::assert_nothing_is_lost, *};
    use crate::progress::Silent;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn sample(tags: bool) -> Import {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("artists.dat", "id\tname\turl\tpictureURL\n1\tMALICE MIZER\thttp://x\thttp://y\n2\tBj\u{f6}rk\thttp://x\nnone\n2\tTwice\tx\ty\n".as_bytes());
        write(
            "user_artists.dat",
            b"userID\tartistID\tweight\r\n2\t1\t13883\r\n2\t2\t1\r\n3\t99\t5\r\n3\t1\t0\r\n3\tx\t4\r\n",
        );
        if tags {
            write("tags.dat", b"tagID\ttagValue\r\n1\tMetal\r\n2\tcaf\xe9\r\n");
            write("user_taggedartists.dat", b"userID\tartistID\ttagID\tday\tmonth\tyear\r\n2\t1\t2\t1\t4\t2009\r\n3\t1\t2\t1\t4\t2009\r\n3\t1\t1\t1\t4\t2009\r\n3\t1\t7\t1\t4\t2009\r\n");
        }
        let import = import(folder.path(), Options { now: NOW }, &Silent).unwrap();
        assert_nothing_is_lost(&import);
        import
    }

    #[test]
    fn counts_become_bounded_plays_spread_over_the_window() {
        let import = sample(true);
        let plays = |item: &str| import.events.iter().filter(|event| event.item.as_str() == item).count();
        assert_eq!((plays("artist-1"), plays("artist-2")), (10, 1));
        assert!(import.events.iter().all(|event| event.occurred_at <= NOW && event.occurred_at > NOW.before(WINDOW)));
        let distinct: std::collections::BTreeSet<_> = import.events.iter().map(|event| event.occurred_at).collect();
        assert_eq!(distinct.len(), 11);
        assert_eq!(import.events, sample(true).events, "the same data give the same events");
    }

    #[test]
    fn tags_become_genres_most_given_first() {
        let import = sample(true);
        assert_eq!(import.items[0].genres, ["caf\u{e9}", "metal"]);
        assert_eq!(import.items[1].title, "Bj\u{f6}rk");
        assert!(sample(false).report.notes[0].starts_with("there are no tags"));
    }

    #[test]
    fn bad_rows_are_listed_with_file_line_and_reason() {
        let listed: Vec<_> = sample(true).report.skipped.iter().map(ToString::to_string).collect();
        assert_eq!(
            listed,
            [
                "artists.dat:4: not id, name, url, pictureURL: none",
                "artists.dat:5: the artist is there already: artist-2",
                "user_taggedartists.dat:5: the tag is not in tags.dat: 7",
                "user_artists.dat:4: the artist is not in artists.dat: artist-99",
                "user_artists.dat:5: the weight is 0",
                "user_artists.dat:6: the artist's id is no number: \"x\"",
            ]
        );
    }
}
