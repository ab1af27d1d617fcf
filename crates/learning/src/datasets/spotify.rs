//! A listener's own Spotify streaming history ("extended"): a folder of
//! `Streaming_History_Audio_*.json`, each one array of streams.
//!
//! A track is known by its Spotify URI's last part; a stream without one by a hash of its names; the
//! artist always by a hash of the name, since the history gives no artist id. Episodes become
//! `episode` items with their show as artist. A stream becomes a `play` with `ms_played`, placed where
//! it began (`ts` is its end); `reason_end` "trackdone" adds a `complete` at the end; a stream that
//! was skipped within [`EARLY`] adds a `skip` there. The longest completed play is taken as the
//! item's length.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use serde::Deserialize;
use shared_models::{
    ItemId, Timestamp, UserId,
    event::EventKind,
    item::{Item, ItemKind, Market},
};
use smallvec::SmallVec;

use super::{
    Error, Import, Options,
    import::{Builder, Place, id_of_names},
    lines::{name_of, open},
};
use crate::progress::Progress;

/// A stream that is moved on from before this many milliseconds was skipped early.
pub const EARLY: u64 = 30_000;

#[derive(Deserialize)]
struct Stream {
    ts: Option<String>,
    username: Option<String>,
    platform: Option<String>,
    ms_played: Option<i64>,
    conn_country: Option<String>,
    master_metadata_track_name: Option<String>,
    master_metadata_album_artist_name: Option<String>,
    spotify_track_uri: Option<String>,
    episode_name: Option<String>,
    episode_show_name: Option<String>,
    spotify_episode_uri: Option<String>,
    reason_end: Option<String>,
    skipped: Option<bool>,
}

/// Imports a folder of history files. `user` is whose history it is where the rows do not say.
///
/// # Errors
/// When the folder holds no such file, or one cannot be read or is no JSON array.
pub fn import(folder: &Path, user: &UserId, options: Options, progress: &dyn Progress) -> Result<Import, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = name_of(&path);
        if name.starts_with("Streaming_History_Audio") && name.ends_with(".json") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::Missing {
            path: folder.join("Streaming_History_Audio_*.json"),
            expected: "give the folder of an extended streaming history",
        });
    }
    let mut builder = Builder::new("spotify", options.now);
    let mut lengths: FxHashMap<ItemId, u32> = FxHashMap::default();
    for path in &files {
        read(path, user, &mut builder, &mut lengths, progress)?;
    }
    for (id, length) in lengths {
        if let Some(item) = builder.item_mut(&id) {
            item.duration_ms = Some(length);
        }
    }
    builder.note("a play stands at its beginning (ts less ms_played); lengths are the longest completed plays; genres and releases are not in a history");
    Ok(builder.finish())
}

fn read(
    path: &Path,
    user: &UserId,
    builder: &mut Builder,
    lengths: &mut FxHashMap<ItemId, u32>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let (mut reader, stage) = open(path, progress)?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    stage.finish("");
    let file = name_of(path);
    let body = text.trim_start_matches('\u{feff}').trim();
    if !body.starts_with('[') || !body.ends_with(']') {
        return Err(Error::Format { file, expected: "a history file is one JSON array of streams".to_owned() });
    }
    for (line, element) in elements(&text) {
        let place = Place { file: &file, line };
        let outcome = serde_json::from_str::<Stream>(element)
            .map_err(|error| ("not a stream in JSON", error.to_string()))
            .and_then(|stream| add(stream, user, builder, lengths));
        match outcome {
            Ok(()) => builder.used(place),
            Err((kind, detail)) => builder.skip(place, kind, detail),
        }
    }
    Ok(())
}

/// The elements of a JSON array with the line on which each begins, found by brackets and strings
/// alone, so that one broken element does not lose the rest.
fn elements(text: &str) -> Vec<(u64, &str)> {
    let (mut found, mut line, mut depth) = (Vec::new(), 1_u64, 0_u32);
    let (mut start, mut started_on, mut in_string, mut escaped) = (None, 1_u64, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if byte == b'\n' {
            line += 1;
        }
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        let ends = depth == 1 && (byte == b',' || byte == b']');
        if ends {
            if let Some(start) = start.take() {
                found.push((started_on, text.get(start..at).unwrap_or_default().trim()));
            }
        } else if depth == 1 && start.is_none() && !byte.is_ascii_whitespace() {
            start = Some(at);
            started_on = line;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    // What an unclosed element swallowed is one row that will not parse: it is reported, not lost.
    if let Some(start) = start {
        found.push((started_on, text.get(start..).unwrap_or_default().trim()));
    }
    found
}

type Refusal = (&'static str, String);

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn last_part(uri: Option<String>) -> Option<String> {
    filled(uri).and_then(|uri| uri.rsplit(':').next().map(str::to_owned))
}

fn add(
    stream: Stream,
    fallback: &UserId,
    builder: &mut Builder,
    lengths: &mut FxHashMap<ItemId, u32>,
) -> Result<(), Refusal> {
    let text = filled(stream.ts).ok_or_else(|| ("ts is absent", String::new()))?;
    let ended: jiff::Timestamp = text.parse().map_err(|_| ("ts is no moment", text.clone()))?;
    let ms = stream.ms_played.ok_or_else(|| ("ms_played is absent", String::new()))?;
    let ms = u32::try_from(ms).map_err(|_| ("ms_played is out of range", ms.to_string()))?;
    let user = match filled(stream.username) {
        Some(name) => UserId::new(name).map_err(|error| ("the user is no identifier", error.to_string()))?,
        None => fallback.clone(),
    };
    let (kind, title, artist, id) = if let Some(title) = filled(stream.master_metadata_track_name) {
        let artist = filled(stream.master_metadata_album_artist_name)
            .ok_or_else(|| ("the track has no artist", title.clone()))?;
        let id = last_part(stream.spotify_track_uri).unwrap_or_else(|| id_of_names("track-", &[&artist, &title]));
        (ItemKind::Track, title, artist, id)
    } else if let Some(title) = filled(stream.episode_name) {
        let show = filled(stream.episode_show_name).ok_or_else(|| ("the episode has no show", title.clone()))?;
        let id = last_part(stream.spotify_episode_uri).unwrap_or_else(|| id_of_names("episode-", &[&show, &title]));
        (ItemKind::Episode, title, show, id)
    } else {
        return Err(("neither a track nor an episode", text));
    };
    let maker_prefix = if kind == ItemKind::Track { "artist-" } else { "show-" };
    let refused = |error: shared_models::ids::Error| ("an id is no identifier", error.to_string());
    let id = ItemId::new(id).map_err(refused)?;
    let maker = ItemId::new(id_of_names(maker_prefix, &[&artist])).map_err(refused)?;
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
        let maker_kind = if kind == ItemKind::Track { ItemKind::Artist } else { ItemKind::Show };
        builder.add_item(plain(maker.clone(), maker_kind, artist.clone()));
        builder.add_item(Item { artist_id: Some(maker), ..plain(id.clone(), kind, title) });
    }
    let end = ended.as_millisecond();
    if !builder.first_time(&user, &id, end) {
        return Err(("the stream is there already", format!("{id} at {text}")));
    }
    let (market, device) = (stream.conn_country.as_deref().and_then(Market::parse), filled(stream.platform));
    let done = stream.reason_end.as_deref() == Some("trackdone");
    let moved_on =
        stream.skipped == Some(true) || matches!(stream.reason_end.as_deref(), Some("fwdbtn" | "backbtn" | "clickrow"));
    let begun = Timestamp(end.saturating_sub(i64::from(ms)));
    let mut push = |kind: EventKind, at: Timestamp, ms_played: Option<u32>| {
        let event = builder.add_event(&user, &id, kind, at, &[&end.to_string()]);
        event.ms_played = ms_played;
        event.market = market;
        event.device = device.clone();
    };
    push(EventKind::Play, begun, Some(ms));
    if done {
        push(EventKind::Complete, Timestamp(end), None);
        let length = lengths.entry(id.clone()).or_default();
        *length = ms.max(*length);
    } else if moved_on && u64::from(ms) < EARLY {
        push(EventKind::Skip, Timestamp(end), None);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::import::tests::assert_nothing_is_lost, *};
    use crate::progress::Silent;

    fn run(files: &[(&str, &str)]) -> Result<Import, Error> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let import =
            import(folder.path(), &UserId::new("me").unwrap(), Options { now: Timestamp(2_000_000_000_000) }, &Silent)?;
        assert_nothing_is_lost(&import);
        Ok(import)
    }

    fn stream(ts: &str, ms: i64, track: &str, end: &str, skipped: bool) -> String {
        format!(
            r#"{{"ts":"{ts}","platform":"ios","ms_played":{ms},"conn_country":"SE","master_metadata_track_name":"{track}, \"live\" [x]","master_metadata_album_artist_name":"Low","spotify_track_uri":"spotify:track:{track}","episode_name":null,"reason_end":"{end}","skipped":{skipped}}}"#
        )
    }

    #[test]
    fn streams_become_plays_completes_and_early_skips() {
        let text = format!(
            "[\n{},\n{},\n{}\n]",
            stream("2024-01-02T03:04:05Z", 200_000, "aa", "trackdone", false),
            stream("2024-01-02T03:05:05Z", 5_000, "bb", "fwdbtn", true),
            stream("2024-01-02T04:05:05Z", 90_000, "bb", "fwdbtn", true)
        );
        let import = run(&[("Streaming_History_Audio_2024_0.json", &text)]).unwrap();
        let events: Vec<_> =
            import.events.iter().map(|event| (event.item.as_str(), event.kind.as_str(), event.ms_played)).collect();
        assert_eq!(
            events,
            [
                ("aa", "play", Some(200_000)),
                ("aa", "complete", None),
                ("bb", "play", Some(5_000)),
                ("bb", "skip", None),
                ("bb", "play", Some(90_000))
            ]
        );
        assert_eq!(import.events[1].occurred_at.since(import.events[0].occurred_at).as_millis(), 200_000);
        assert_eq!((import.events[0].market, import.events[0].device.as_deref()), (Market::parse("SE"), Some("ios")));
        assert_eq!(import.items[1].duration_ms, Some(200_000));
        assert_eq!(import.items[1].title, "aa, \"live\" [x]");
        assert_eq!(import.items[1].artist_id.as_ref(), Some(&import.items[0].id));
    }

    #[test]
    fn an_episode_has_its_show_as_maker() {
        let text = r#"[{"ts":"2024-01-02T03:04:05Z","ms_played":1000,"master_metadata_track_name":null,"episode_name":"One","episode_show_name":"Talk","spotify_episode_uri":"spotify:episode:e1","reason_end":"endplay","skipped":null}]"#;
        let import = run(&[("Streaming_History_Audio_2024.json", text)]).unwrap();
        assert_eq!(import.items.iter().map(|item| item.kind.as_str()).collect::<Vec<_>>(), ["show", "episode"]);
        assert_eq!(import.events.len(), 1);
    }

    #[test]
    fn one_broken_element_does_not_lose_the_rest() {
        let good = stream("2024-01-02T03:04:05Z", 200_000, "aa", "trackdone", false);
        let text = format!(
            "[\n{{\"ts\": 5}},\n{{\"ts\":\"yesterday\",\"ms_played\":1}},\n{{\"ts\":\"2024-01-02T03:04:05Z\",\"ms_played\":1}},\n{good},\n{good}]"
        );
        let import = run(&[("Streaming_History_Audio_2024.json", &text)]).unwrap();
        let listed: Vec<_> = import.report.skipped.iter().map(ToString::to_string).collect();
        assert!(listed[0].starts_with("Streaming_History_Audio_2024.json:2: not a stream in JSON"), "{}", listed[0]);
        assert_eq!(
            listed[1..],
            [
                "Streaming_History_Audio_2024.json:3: ts is no moment: yesterday",
                "Streaming_History_Audio_2024.json:4: neither a track nor an episode: 2024-01-02T03:04:05Z",
                "Streaming_History_Audio_2024.json:6: the stream is there already: aa at 2024-01-02T03:04:05Z",
            ]
        );
        assert_eq!(import.events.len(), 2);
    }

    #[test]
    fn a_folder_without_history_and_a_file_of_another_form_are_refused() {
        let check = |files: &[(&str, &str)], expected: &str| {
            let error = run(files).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        };
        check(&[("other.json", "[]")], "give the folder of an extended streaming history");
        check(&[("Streaming_History_Audio_1.json", "{}")], "a history file is one JSON array of streams");
    }
}
