//! MovieLens: a folder with `movies.dat` and the ratings, either as GroupLens gives them
//! (`ratings.dat`) or as a table with bounds for the times that are unknown (`ratings_merged.csv.gz`).
//!
//! A film becomes an item of the kind `movie`, its title with the year as GroupLens writes it, its
//! release the first day of that year. A rating is a viewing: every one gives a `play`; 4 and 5 give
//! `complete` and `like` as well, 1 and 2 give `skip`. Nobody knows when within a viewing they would
//! have happened, so all events of a rating share its time.

use std::path::Path;

use shared_models::{
    ItemId, Timestamp, UserId,
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

const MOVIES: &str = "movies.dat";
const RATINGS: &str = "ratings.dat";
const MERGED: &str = "ratings_merged.csv.gz";

/// Imports a MovieLens folder. Where both forms of the ratings are there, `ratings.dat` counts.
///
/// # Errors
/// When a file is absent or cannot be read.
pub fn import(folder: &Path, options: Options, progress: &dyn Progress) -> Result<Import, Error> {
    let mut builder = Builder::new("movielens", options.now);
    read_movies(folder, &mut builder, progress)?;
    let (plain, merged) = (folder.join(RATINGS), folder.join(MERGED));
    let ratings = if plain.exists() {
        read_ratings(&plain, &mut builder, progress, plain_rating)?
    } else if merged.exists() {
        read_ratings(&merged, &mut builder, progress, merged_rating)?
    } else {
        return Err(Error::Missing {
            path: plain,
            expected: "give a folder with movies.dat and ratings.dat or ratings_merged.csv.gz",
        });
    };
    emit(ratings, &mut builder);
    Ok(builder.finish())
}

/// The films alone, of a folder with `movies.dat`.
///
/// # Errors
/// When the file is absent or cannot be read.
pub fn films(folder: &Path, progress: &dyn Progress) -> Result<Vec<Item>, Error> {
    let mut builder = Builder::new("movielens", Timestamp(0));
    read_movies(folder, &mut builder, progress)?;
    Ok(builder.finish().items)
}

fn read_movies(folder: &Path, builder: &mut Builder, progress: &dyn Progress) -> Result<(), Error> {
    let path = folder.join(MOVIES);
    if !path.exists() {
        return Err(Error::Missing { path, expected: "give a folder with movies.dat and the ratings" });
    }
    let mut lines = Lines::open(&path, Encoding::Latin1, progress)?;
    while let Some(line) = lines.next_line()? {
        let place = Place { file: MOVIES, line: line.number };
        let text = line.text.unwrap_or_default();
        match movie(&text) {
            Ok(item) => {
                let id = item.id.clone();
                if builder.add_item(item) {
                    builder.used(place);
                } else {
                    builder.skip(place, "the film is there already", id);
                }
            }
            Err(reason) => builder.skip(place, reason, &text),
        }
    }
    Ok(())
}

fn movie(text: &str) -> Result<Item, &'static str> {
    let mut fields = text.split("::");
    let (Some(id), Some(title), Some(genres), None) = (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("not id::title::genres");
    };
    id.parse::<u32>().map_err(|_| "the film's id is no number")?;
    Ok(Item {
        id: item_id(id)?,
        kind: ItemKind::Other("movie".to_owned()),
        title: title.trim().to_owned(),
        artist_id: None,
        artist_name: None,
        genres: genres
            .split('|')
            .map(|genre| genre.trim().to_lowercase())
            .filter(|genre| !genre.is_empty() && genre != "(no genres listed)")
            .collect(),
        released_at: year_of(title).and_then(first_day),
        duration_ms: None,
        explicit: false,
        markets: SmallVec::new(),
        numbers: None,
    })
}

fn item_id(id: &str) -> Result<ItemId, &'static str> {
    ItemId::new(format!("movie-{id}")).map_err(|_| "the film's id is no identifier")
}

/// The year in brackets at the title's end.
fn year_of(title: &str) -> Option<i16> {
    title.trim_end().strip_suffix(')')?.rsplit_once('(')?.1.parse().ok()
}

fn first_day(year: i16) -> Option<Timestamp> {
    let day = jiff::civil::Date::new(year, 1, 1).ok()?;
    let moment = day.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp(moment.as_millisecond()))
}

/// When a rating was made, as far as it is known, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Known(i64),
    /// Between two bounds, either of which may be absent.
    Between(Option<i64>, Option<i64>),
}

struct Rating {
    line: u64,
    user: u32,
    movie: u32,
    stars: u8,
    time: Time,
    /// The place in the user's chronological order; `i64::MAX` when unknown.
    order: i64,
}

type Parse = fn(&str) -> Result<Rating, &'static str>;

fn read_ratings(path: &Path, builder: &mut Builder, progress: &dyn Progress, parse: Parse) -> Result<Ratings, Error> {
    let mut lines = Lines::open(path, Encoding::Utf8, progress)?;
    let file = lines.name().to_owned();
    let mut rows = Vec::new();
    while let Some(line) = lines.next_line()? {
        let place = Place { file: &file, line: line.number };
        let text = match line.text {
            Ok(text) => text,
            Err(reason) => {
                builder.skip(place, reason, "");
                continue;
            }
        };
        if line.number == 1 && text.starts_with("user,item,rating") {
            builder.used(place);
            continue;
        }
        match parse(&text) {
            Ok(rating) => {
                // The ids were numbers, so they are identifiers.
                match item_id(&rating.movie.to_string()) {
                    Ok(id) if builder.item(&id).is_none() => {
                        builder.skip(place, "the film is not in movies.dat", rating.movie);
                    }
                    _ => rows.push(Rating { line: line.number, ..rating }),
                }
            }
            Err(reason) => builder.skip(place, reason, &text),
        }
    }
    Ok(Ratings { file, rows })
}

struct Ratings {
    file: String,
    rows: Vec<Rating>,
}

fn stars(text: &str) -> Result<u8, &'static str> {
    match text.trim().parse::<u8>() {
        Ok(stars @ 1..=5) => Ok(stars),
        _ => Err("the rating is not 1 to 5"),
    }
}

fn plain_rating(text: &str) -> Result<Rating, &'static str> {
    let mut fields = text.split("::");
    let (Some(user), Some(movie), Some(rating), Some(time), None) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("not user::movie::rating::timestamp");
    };
    Ok(Rating {
        line: 0,
        user: user.parse().map_err(|_| "the user is no number")?,
        movie: movie.parse().map_err(|_| "the film's id is no number")?,
        stars: stars(rating)?,
        time: Time::Known(time.trim().parse().map_err(|_| "the time is no number of seconds")?),
        order: i64::MAX,
    })
}

/// `user,item,rating,infae_split,seq_pos,timestamp,ts_lo,ts_hi,ncf_split`, -1 where unknown.
fn merged_rating(text: &str) -> Result<Rating, &'static str> {
    let fields: SmallVec<[&str; 9]> = text.split(',').collect();
    let [user, movie, rating, _, order, time, low, high, _] = fields.as_slice() else {
        return Err("not 9 columns");
    };
    let seconds = |text: &str| -> Result<Option<i64>, &'static str> {
        let seconds = text.parse::<i64>().map_err(|_| "a time is no number of seconds")?;
        Ok((seconds >= 0).then_some(seconds))
    };
    let order = order.parse::<i64>().map_err(|_| "seq_pos is no number")?;
    let time = match seconds(time)? {
        Some(known) => Time::Known(known),
        None => Time::Between(seconds(low)?, seconds(high)?),
    };
    Ok(Rating {
        line: 0,
        user: user.parse().map_err(|_| "the user is no number")?,
        movie: movie.parse().map_err(|_| "the film's id is no number")?,
        stars: stars(rating)?,
        time,
        order: if order < 0 { i64::MAX } else { order },
    })
}

/// Gives every rating a time and adds its events. Ratings of one user with the same bounds are spread
/// evenly between them, in their chronological order.
fn emit(ratings: Ratings, builder: &mut Builder) {
    let Ratings { file, mut rows } = ratings;
    rows.sort_by_key(|row| (row.user, bounds(row.time), row.order, row.line));
    let (mut interpolated, mut one_sided) = (0_u64, 0_u64);
    let mut start = 0;
    for end in 1..=rows.len() {
        let same = |a: &Rating, b: &Rating| a.user == b.user && a.time == b.time && matches!(a.time, Time::Between(..));
        if end < rows.len() && same(&rows[start], &rows[end]) {
            continue;
        }
        let group = &rows[start..end];
        for (index, row) in group.iter().enumerate() {
            let place = Place { file: &file, line: row.line };
            let millis = match row.time {
                Time::Known(seconds) => seconds * 1000,
                Time::Between(Some(low), Some(high)) => {
                    interpolated += 1;
                    low * 1000 + (high - low).max(0) * 1000 * (index as i64 + 1) / (group.len() as i64 + 1)
                }
                Time::Between(Some(only), None) | Time::Between(None, Some(only)) => {
                    one_sided += 1;
                    only * 1000
                }
                Time::Between(None, None) => {
                    builder.skip(
                        place,
                        "the time is unknown and has no bounds",
                        format_args!("user {}, film {}", row.user, row.movie),
                    );
                    continue;
                }
            };
            add(row, Timestamp(millis), place, builder);
        }
        start = end;
    }
    if interpolated + one_sided > 0 {
        builder.note(format!(
            "{interpolated} ratings have no time of their own: they are spread evenly between their bounds, in the user's order; \
             {one_sided} have a bound on one side only and stand at it"
        ));
    }
    builder.note("ratings of 4 and 5 became play, complete and like; 3 play; 1 and 2 play and skip");
}

fn bounds(time: Time) -> (Option<i64>, Option<i64>) {
    match time {
        Time::Known(seconds) => (Some(seconds), Some(seconds)),
        Time::Between(low, high) => (low, high),
    }
}

fn add(row: &Rating, at: Timestamp, place: Place<'_>, builder: &mut Builder) {
    let (Ok(user), Ok(item)) = (UserId::new(format!("ml-{}", row.user)), item_id(&row.movie.to_string())) else {
        builder.skip(place, "an id is no identifier", "");
        return;
    };
    let kinds: &[EventKind] = match row.stars {
        4.. => &[EventKind::Play, EventKind::Complete, EventKind::Like],
        3 => &[EventKind::Play],
        _ => &[EventKind::Play, EventKind::Skip],
    };
    // A pair that is rated twice gives two sets of events: the line tells them apart.
    let line = row.line.to_string();
    for kind in kinds {
        builder.add_event(&user, &item, kind.clone(), at, &[&line]);
    }
    builder.used(place);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{super::import::tests::assert_nothing_is_lost, *};
    use crate::progress::Silent;

    const MOVIES_SAMPLE: &[u8] = b"1::Toy Story (1995)::Animation|Children's|Comedy\n2::Caf\xe9 Noir (2001)::Drama\nbroken\n2::Again (1999)::Drama\n";

    fn check(ratings: (&str, &[u8])) -> Import {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MOVIES), MOVIES_SAMPLE).unwrap();
        std::fs::write(folder.path().join(ratings.0), ratings.1).unwrap();
        let import = import(folder.path(), Options { now: Timestamp(2_000_000_000_000) }, &Silent).unwrap();
        assert_nothing_is_lost(&import);
        import
    }

    fn listed(import: &Import) -> Vec<String> {
        import.report.skipped.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn films_keep_their_accents_year_and_genres() {
        let import = check((RATINGS, b""));
        assert_eq!(import.items.len(), 2);
        assert_eq!(import.items[1].title, "Caf\u{e9} Noir (2001)");
        assert_eq!(import.items[0].genres, ["animation", "children's", "comedy"]);
        assert_eq!(import.items[0].released_at.unwrap().to_string(), "1995-01-01T00:00:00.000Z");
        assert_eq!(
            listed(&import),
            ["movies.dat:3: not id::title::genres: broken", "movies.dat:4: the film is there already: movie-2"]
        );
    }

    #[test]
    fn plain_ratings_become_events_and_bad_ones_are_listed() {
        let import = check((RATINGS, b"7::1::5::978300760\n7::2::2::978300761\n7::9::4::978300762\n8::1::9::978300763\n8::1::4\n9::2::3::978300764\n"));
        let kinds: Vec<_> = import.events.iter().map(|event| (event.user.as_str(), event.kind.as_str())).collect();
        assert_eq!(kinds.len(), 6);
        for expected in [("ml-7", "play"), ("ml-7", "complete"), ("ml-7", "like"), ("ml-7", "skip"), ("ml-9", "play")] {
            assert!(kinds.contains(&expected), "{expected:?}");
        }
        assert_eq!(
            listed(&import)[2..],
            [
                "ratings.dat:3: the film is not in movies.dat: 9",
                "ratings.dat:4: the rating is not 1 to 5: 8::1::9::978300763",
                "ratings.dat:5: not user::movie::rating::timestamp: 8::1::4"
            ]
        );
        assert!(import.users.is_empty(), "a history tells nothing that a tenant would write of a user");
        assert!(import.events.iter().all(|event| event.received_at == Timestamp(2_000_000_000_000)));
    }

    #[test]
    fn unknown_times_are_spread_between_their_bounds_and_the_report_says_so() {
        let table = "user,item,rating,infae_split,seq_pos,timestamp,ts_lo,ts_hi,ncf_split\n\
                     1,1,3,0,5,-1,100,400,0\n1,2,3,0,4,-1,100,400,0\n1,1,3,0,9,1000,1000,1000,0\n2,1,3,0,-1,-1,50,-1,0\n2,2,3,0,-1,-1,-1,-1,0\n";
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(table.as_bytes()).unwrap();
        let import = check((MERGED, &packer.finish().unwrap()));
        let times: Vec<_> = import.events.iter().map(|event| (event.item.as_str(), event.occurred_at.0)).collect();
        assert_eq!(times, [("movie-1", 50_000), ("movie-2", 200_000), ("movie-1", 300_000), ("movie-1", 1_000_000)]);
        assert!(
            listed(&import)
                .contains(&"ratings_merged.csv.gz:6: the time is unknown and has no bounds: user 2, film 2".to_owned())
        );
        assert!(import.report.notes[0].starts_with("2 ratings have no time of their own"), "{:?}", import.report.notes);
    }

    #[test]
    fn a_folder_without_ratings_is_refused_with_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MOVIES), MOVIES_SAMPLE).unwrap();
        let error = import(folder.path(), Options { now: Timestamp(0) }, &Silent).unwrap_err();
        assert!(
            error.to_string().ends_with("give a folder with movies.dat and ratings.dat or ratings_merged.csv.gz"),
            "{error}"
        );
    }
}
