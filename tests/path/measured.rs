//! Tracks whose genres say nothing and whose embedding says everything: a new one that is put through the API with an
//! embedding alone is near those who like what it is, before its first play; one whose embedding is of another length is not,
//! and that is said.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use candidate_generation::index::{Basis, PassedOver};
use learning::{
    datasets::{Import, Report},
    progress::Silent,
};
use service_runtime::Runtime;
use setlist::{client::Client, import, platform::Platform, train};
use shared_models::{
    Clock, EventId, ItemId, ItemKey, SystemClock, TenantId, Timestamp, UserId,
    event::{Event, EventKind},
    item::{Item, ItemKind},
    numbers::Numbers,
};
use testkit::folder::Folder;

use crate::{newcomer::place, one_process::configure, story};

/// Tastes, and of each so many tracks and listeners.
const TASTES: usize = 4;
const TRACKS: usize = 60;
const LISTENERS: usize = 30;
/// How long an embedding is: as nothing else here.
const LENGTH: usize = 24;

/// Noise that is the same every time, within ±1.
fn noise(n: usize) -> f32 {
    (n as f32 * 12.9898).sin()
}

/// An embedding of a track of a taste, such as a model of the tenant's would give: near its taste's corner, in units of its own.
fn embedding(taste: usize, track: usize, length: usize) -> Result<Option<Arc<Numbers>>> {
    let number = |at: usize| 40.0 * noise(taste * 131 + at + 7) + 10.0 * noise(track * 997 + at * 31) + 300.0;
    Ok(Numbers::new([], (0..length).map(number).collect())?)
}

fn track(id: &str, numbers: Option<Arc<Numbers>>) -> Result<Item> {
    Ok(Item {
        id: ItemId::new(id)?,
        kind: ItemKind::Track,
        title: id.to_owned(),
        artist_id: None,
        artist_name: None,
        genres: vec!["music".to_owned()],
        released_at: None,
        duration_ms: Some(180_000),
        explicit: false,
        markets: Default::default(),
        numbers,
    })
}

fn listener(taste: usize, number: usize) -> Result<UserId> {
    Ok(UserId::new(format!("listener-{taste}-{number}"))?)
}

/// Everybody plays half of the tracks of their taste, and a few of the others.
fn past(now: Timestamp) -> Result<Import> {
    let (mut items, mut events) = (Vec::new(), Vec::new());
    for taste in 0..TASTES {
        for number in 0..TRACKS {
            items.push(track(&format!("track-{taste}-{number}"), embedding(taste, number, LENGTH)?)?);
        }
        for number in 0..LISTENERS {
            for played in 0..TASTES * TRACKS {
                let (of, track) = (played / TRACKS, played % TRACKS);
                let draw = (number * 37 + track * 53 + of * 11) % 100;
                if draw >= if of == taste { 50 } else { 3 } {
                    continue;
                }
                let at = Timestamp(now.0 - ((number * 7919 + played * 104_729) % 2_400_000) as i64 * 1_000 - 60_000);
                events.push(Event {
                    id: EventId::new(format!("{taste}-{number}-{played}"))?,
                    user: listener(taste, number)?,
                    kind: EventKind::Play,
                    item: ItemId::new(format!("track-{of}-{track}"))?,
                    occurred_at: at,
                    received_at: at,
                    ms_played: Some(180_000),
                    recommendation: None,
                    shelf: None,
                    position: None,
                    session: None,
                    device: None,
                    market: None,
                });
            }
        }
    }
    events.sort_by(|a, b| a.occurred_at.cmp(&b.occurred_at).then_with(|| a.id.cmp(&b.id)));
    Ok(Import { items, users: Vec::new(), events, report: Report::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_track_with_an_embedding_alone_is_near_those_who_like_what_it_is() -> Result<()> {
    let folder = Folder::new()?;
    let (config, key) = configure(&folder, &[])?;
    let tenant = TenantId::new("demo")?;
    let runtime = Runtime::new(Arc::new(SystemClock));
    let (listens, address) = Platform::bind(&config)?;
    let platform = Platform::build(&config, &runtime, false).await?;
    import::load(&platform.core, &tenant, past(SystemClock.now())?, &Silent).await?;
    let report = train::learn_and_activate(&platform, &config, &tenant, &runtime, Arc::new(Silent)).await?;
    let told = report.content.context("no mapping was learnt")?;
    // Of vectors of so few plays most is chance; what tastes differ by is the embedding's to tell.
    ensure!(told.items == TASTES * TRACKS && told.explained > 0.05 && told.passed_over == 0, "{told:?}");
    let (core, _ranking) = platform.serve(listens, &runtime);
    let client = Client::new(&format!("http://{address}"), key.expose())?;

    let world = core.candidates.world(&tenant);
    let serving = || world.serving().context("no release serves");
    ensure!(serving()?.passed_over() == PassedOver { items: 0, takes: LENGTH });
    let new: Vec<Item> = (0..TASTES)
        .map(|taste| track(&format!("new-{taste}"), embedding(taste, TRACKS + taste, LENGTH)?))
        .collect::<Result<_>>()?;
    ensure!(client.items(&new).await? == 0, "an item is refused");
    ensure!(serving()?.expectations()[&Basis::Content] == TASTES, "{:?}", serving()?.expectations());
    for taste in 0..TASTES {
        for number in 0..3 {
            let user = listener(taste, number)?;
            let own = place(&core, &tenant, &user, new[taste].key(), TRACKS as u32).await?;
            let own = own.with_context(|| format!("not among the {TRACKS} nearest to {user}"))?;
            for other in (0..TASTES).filter(|other| *other != taste) {
                let found = place(&core, &tenant, &user, new[other].key(), TRACKS as u32).await?;
                ensure!(found.is_none_or(|found| found > own), "{user}: taste {other} at {found:?}, own at {own}");
            }
        }
    }

    // An embedding of another length is kept, says nothing to this release, and that is said.
    let odd = track("odd", embedding(0, 99, 3)?)?;
    ensure!(client.items(&[odd]).await? == 0, "the item is refused");
    ensure!(serving()?.passed_over() == PassedOver { items: 1, takes: LENGTH }, "{:?}", serving()?.passed_over());
    let kept = client.get("/v1/items/odd").await?;
    ensure!(kept["embedding"].as_array().is_some_and(|numbers| numbers.len() == 3), "{kept}");
    let told = "passing over embeddings of 1 items (it takes 24 numbers)";
    let is_told =
        || runtime.health.report().components.values().any(|component| format!("{component:?}").contains(told));
    let end = tokio::time::Instant::now() + story::PATIENCE;
    while !is_told() {
        ensure!(tokio::time::Instant::now() < end, "{:?}", runtime.health.report().components);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(place(&core, &tenant, &listener(0, 0)?, ItemKey::of(&ItemId::new("track-0-1")?), 240).await?.is_some());
    drop(core);
    let dropped = runtime.drain(story::PATIENCE).await;
    ensure!(dropped == 0, "{dropped} tasks did not stop");
    Ok(())
}
