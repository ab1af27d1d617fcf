//! ListenBrainz listens: one JSON object a line, as in the public dumps (`*.listens`, with the user
//! in each row) and in a listener's own export (`listens/2024/1.jsonl`, without); plain or gzipped.
//!
//! A recording becomes a track. It is known by the recording MBID that ListenBrainz mapped the listen
//! to, else by the one the player sent, else by a hash of artist and title; its artist likewise.
//! ListenBrainz takes a listen when half of it or four minutes have been heard: a listen is a `play`,
//! and whether it reached the end nobody knows.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared_models::{
    ItemId, Timestamp, UserId,
    event::EventKind,
    item::{Item, ItemKind},
};
use smallvec::SmallVec;

use super::{
    Error, Import, Options,
    import::{Builder, Place, id_of_names},
    lines::{Encoding, Lines},
};
use crate::progress::Progress;

#[derive(Deserialize)]
struct Listen {
    #[serde(alias = "user_id")]
    user_name: Option<serde_json::Value>,
    #[serde(alias = "timestamp")]
    listened_at: Option<i64>,
    track_metadata: Option<Track>,
}

#[derive(Deserialize)]
struct Track {
    track_name: Option<String>,
    artist_name: Option<String>,
    #[serde(default)]
    additional_info: Option<Info>,
    #[serde(default)]
    mbid_mapping: Option<Mapping>,
}

#[derive(Default, Deserialize)]
struct Info {
    recording_mbid: Option<String>,
    artist_mbids: Option<Vec<String>>,
    duration_ms: Option<u64>,
    duration: Option<f64>,
    tags: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
struct Mapping {
    recording_mbid: Option<String>,
    artist_mbids: Option<Vec<String>>,
}

/// Imports files of listens. `user` is whose listens they are where the rows do not say.
///
/// # Errors
/// When a file cannot be read.
pub fn import(files: &[PathBuf], user: &UserId, options: Options, progress: &dyn Progress) -> Result<Import, Error> {
    let mut builder = Builder::new("listenbrainz", options.now);
    for path in files {
        read(path, user, &mut builder, progress)?;
    }
    builder.note("a listen became one play: ListenBrainz does not record how far it was heard");
    Ok(builder.finish())
}

fn read(path: &Path, user: &UserId, builder: &mut Builder, progress: &dyn Progress) -> Result<(), Error> {
    let mut lines = Lines::open(path, Encoding::Utf8, progress)?;
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
        let outcome = serde_json::from_str::<Listen>(&text)
            .map_err(|error| ("not a listen in JSON", error.to_string()))
            .and_then(|listen| add(listen, user, builder));
        match outcome {
            Ok(()) => builder.used(place),
            Err((kind, detail)) => builder.skip(place, kind, detail),
        }
    }
    Ok(())
}

type Refusal = (&'static str, String);

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn add(listen: Listen, fallback: &UserId, builder: &mut Builder) -> Result<(), Refusal> {
    let missing = |what| (what, String::new());
    let at = listen.listened_at.filter(|at| *at > 0).ok_or_else(|| missing("listened_at is absent"))?;
    let track = listen.track_metadata.ok_or_else(|| missing("track_metadata is absent"))?;
    let title = filled(track.track_name).ok_or_else(|| missing("track_name is absent"))?;
    let artist = filled(track.artist_name).ok_or_else(|| missing("artist_name is absent"))?;
    let user = match listen.user_name {
        Some(serde_json::Value::String(name)) => {
            UserId::new(name).map_err(|error| ("the user is no identifier", error.to_string()))?
        }
        Some(serde_json::Value::Number(number)) => {
            UserId::new(number.to_string()).map_err(|error| ("the user is no identifier", error.to_string()))?
        }
        Some(serde_json::Value::Null) | None => fallback.clone(),
        Some(other) => return Err(("the user is no text", other.to_string())),
    };
    let (info, mapping) = (track.additional_info.unwrap_or_default(), track.mbid_mapping.unwrap_or_default());
    let first = |mbids: Option<Vec<String>>| mbids.and_then(|mbids| mbids.into_iter().next());
    let artist_id = filled(first(mapping.artist_mbids))
        .or_else(|| filled(first(info.artist_mbids)))
        .unwrap_or_else(|| id_of_names("artist-", &[&artist]));
    let id = filled(mapping.recording_mbid)
        .or_else(|| filled(info.recording_mbid))
        .unwrap_or_else(|| id_of_names("track-", &[&artist, &title]));
    let refused = |error: shared_models::ids::Error| ("an id is no identifier", error.to_string());
    let (id, artist_id) = (ItemId::new(id).map_err(refused)?, ItemId::new(artist_id).map_err(refused)?);
    let duration_ms = info
        .duration_ms
        .or_else(|| info.duration.map(|seconds| (seconds.max(0.0) * 1000.0) as u64))
        .and_then(|ms| u32::try_from(ms).ok())
        .filter(|ms| *ms > 0);
    if builder.item(&id).is_none() {
        let plain = |id: ItemId, kind: ItemKind, title: String| Item {
            id,
            kind,
            title,
            artist_id: None,
            artist_name: Some(artist.clone()),
            genres: Vec::new(),
            released_at: None,
            duration_ms: None,
            explicit: false,
            markets: SmallVec::new(),
            numbers: None,
        };
        let genres =
            info.tags.unwrap_or_default().into_iter().filter_map(|tag| filled(Some(tag.to_lowercase()))).collect();
        builder.add_item(plain(artist_id.clone(), ItemKind::Artist, artist.clone()));
        builder.add_item(Item {
            artist_id: Some(artist_id),
            genres,
            duration_ms,
            ..plain(id.clone(), ItemKind::Track, title)
        });
    }
    // One listener hears one recording once in a second: a row that says so again is the same listen.
    if !builder.first_time(&user, &id, at) {
        return Err(("the listen is there already", format!("{id} at {at}")));
    }
    builder.add_event(&user, &id, EventKind::Play, Timestamp(at.saturating_mul(1000)), &[&at.to_string()]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::import::tests::assert_nothing_is_lost, *};
    use crate::progress::Silent;

    fn check(text: &str) -> Import {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.listens");
        std::fs::write(&path, text).unwrap();
        let import =
            import(&[path], &UserId::new("me").unwrap(), Options { now: Timestamp(2_000_000_000_000) }, &Silent)
                .unwrap();
        assert_nothing_is_lost(&import);
        import
    }

    const MAPPED: &str = r#"{"user_name":"rob","listened_at":1700000000,"track_metadata":{"track_name":"Teardrop","artist_name":"Massive Attack","additional_info":{"duration_ms":330000,"tags":["Trip Hop"]},"mbid_mapping":{"recording_mbid":"rec-1","artist_mbids":["art-1"]}}}"#;

    #[test]
    fn a_mapped_listen_is_known_by_its_mbids() {
        let import = check(MAPPED);
        let [artist, track] = import.items.as_slice() else { panic!("{:?}", import.items) };
        assert_eq!(
            (artist.id.as_str(), artist.kind.as_str(), artist.title.as_str()),
            ("art-1", "artist", "Massive Attack")
        );
        assert_eq!((track.id.as_str(), track.title.as_str(), track.duration_ms), ("rec-1", "Teardrop", Some(330_000)));
        assert_eq!(track.genres, ["trip hop"]);
        assert_eq!(
            (import.events[0].user.as_str(), import.events[0].occurred_at),
            ("rob", Timestamp(1_700_000_000_000))
        );
    }

    #[test]
    fn an_unmapped_listen_is_known_by_its_names_whatever_their_case() {
        let row = |at: u32, title: &str| {
            format!(r#"{{"listened_at":{at},"track_metadata":{{"track_name":"{title}","artist_name":"Low"}}}}"#)
        };
        let import = check(&format!("{}\n{}\n", row(10, "Lies"), row(20, "lies")));
        assert_eq!(import.items.len(), 2);
        assert_eq!(import.events.len(), 2);
        assert_eq!(import.events[0].user.as_str(), "me");
    }

    #[test]
    fn bad_rows_are_listed_with_file_line_and_reason() {
        let import = check(&format!(
            "{MAPPED}\n{{\n{}\n{MAPPED}\n",
            r#"{"listened_at":5,"track_metadata":{"track_name":" ","artist_name":"x"}}"#
        ));
        let listed: Vec<_> = import.report.skipped.iter().map(ToString::to_string).collect();
        assert!(listed[0].starts_with("1.listens:2: not a listen in JSON: EOF"), "{}", listed[0]);
        assert_eq!(
            listed[1..],
            ["1.listens:3: track_name is absent", "1.listens:4: the listen is there already: rec-1 at 1700000000"]
        );
    }
}
