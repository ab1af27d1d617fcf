//! What a cluster serves: a small generated world and a release that was learned from it. This file must not know how
//! a cluster is run.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use learning::{
    datasets::{Import, Report},
    progress::Silent,
    world::{self, World},
};
use reqwest::header::RETRY_AFTER;
use serde_json::json;
use service_runtime::{Runtime, cli::Options};
use setlist::{
    client::Told,
    config::{self, Loaded},
    platform::Core,
    train,
};
use shared_models::{Clock, Seed, SystemClock, TenantId};
use testkit::{Folder, cluster::TENANT};
use tokio::time::Instant;

/// Items of one request.
const ITEMS: usize = 500;
/// Events of one request.
const EVENTS: usize = 1_000;
/// How long a cluster may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before it is told the same again.
const PAUSE: Duration = Duration::from_millis(100);

/// A world, and a release learned from it.
pub struct Stock {
    /// The world.
    pub world: World,
    folder: Folder,
}

impl Stock {
    /// Makes a world and learns from it, in this process and on storage of its own.
    ///
    /// # Errors
    /// When the world makes no sense, or there is too little to learn from.
    pub async fn make(shape: &world::Config) -> Result<Self> {
        let world = world::generate(shape, &Silent)?;
        let folder = Folder::new()?;
        let Loaded::Run(config) = config::load(&Options::default(), folder.path()) else {
            bail!("the configuration is refused")
        };
        let runtime = Runtime::new(Arc::new(SystemClock));
        let tenant = TenantId::new(TENANT)?;
        let core = Core::build(&config, &runtime).await?;
        let import = Import {
            items: world.items.clone(),
            users: world.users.clone(),
            events: world.events.clone(),
            report: Report::default(),
        };
        setlist::import::load(&core, &tenant, import, &Silent).await?;
        train::learn(&core, &config, &tenant, &runtime, Arc::new(Silent)).await?;
        drop(core);
        runtime.drain(PATIENCE).await;
        Ok(Self { world, folder })
    }

    /// The world that tests serve.
    ///
    /// # Errors
    /// As [`Stock::make`].
    pub async fn small(seed: u64) -> Result<Self> {
        Self::make(&world::Config::small(Seed(seed), SystemClock.now())).await
    }

    /// Puts the release where services look for one; its pointer last, so that nobody finds half of it.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn put_release(&self, into: &Path) -> Result<()> {
        let from = self.folder.join("releases");
        copy(&from, into).with_context(|| format!("{} was not copied", from.display()))
    }

    /// Puts catalogue and listeners' events into a running cluster through its public API, and waits until a page of a
    /// listener comes from the release with nothing missing.
    ///
    /// # Errors
    /// When an edge refuses, or the page does not become whole.
    pub async fn put_through(&self, edge: &str, key: &str, events: usize) -> Result<()> {
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        for items in self.world.items.chunks(ITEMS) {
            let items: Vec<_> = items.iter().map(item).collect();
            post(&http, &format!("{edge}/v1/items:batch"), key, &json!({ "items": items })).await?;
        }
        // The newest tell most of a listener's taste.
        let skipped = self.world.events.len().saturating_sub(events);
        for events in self.world.events.get(skipped..).unwrap_or_default().chunks(EVENTS) {
            let events: Vec<_> = events
                .iter()
                .map(|event| Told {
                    event_id: Some(event.id.to_string()),
                    user_id: event.user.as_str(),
                    kind: event.kind.as_str(),
                    item_id: event.item.as_str(),
                    occurred_at: Some(event.occurred_at.to_string()),
                    ms_played: event.ms_played,
                    ..Told::default()
                })
                .collect();
            post(&http, &format!("{edge}/v1/events"), key, &json!({ "events": events })).await?;
        }
        self.whole(&http, edge, key).await
    }

    /// The listeners who have events, by name.
    #[must_use]
    pub fn listeners(&self) -> Vec<String> {
        let all: BTreeSet<String> = self.world.events.iter().map(|event| event.user.to_string()).collect();
        all.into_iter().collect()
    }

    async fn whole(&self, http: &reqwest::Client, edge: &str, key: &str) -> Result<()> {
        let listener = self.listeners().pop().context("an empty world")?;
        let end = Instant::now() + PATIENCE;
        loop {
            let page =
                post(http, &format!("{edge}/v1/surfaces/home:page"), key, &json!({ "user_id": listener })).await?;
            let level = page.pointer("/degraded/level").and_then(|level| level.as_str());
            if level == Some("none") && page.get("release").is_some_and(|release| !release.is_null()) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "the page of {listener} is never whole: {}", page["degraded"]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn item(item: &shared_models::item::Item) -> serde_json::Value {
    json!({
        "item_id": item.id, "type": item.kind.as_str(), "title": item.title, "artist_id": item.artist_id,
        "artist_name": item.artist_name, "genres": item.genres, "duration_ms": item.duration_ms,
    })
}

/// Asks, and asks the same again while an edge says to come later, as clients are told to: a cluster that has just begun
/// may not have chosen its leaders yet.
async fn post(http: &reqwest::Client, url: &str, key: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = http.post(url).bearer_auth(key).json(body).send().await?;
        let status = answer.status();
        let later = answer.headers().contains_key(RETRY_AFTER) && Instant::now() < end;
        let text = answer.text().await?;
        if status.is_success() {
            return serde_json::from_str(&text).with_context(|| format!("{url} answered something else than JSON"));
        }
        ensure!(later, "{url}: {status}: {text}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Copies a folder: folders first, then files, so that a pointer comes after what it points at.
fn copy(from: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    let mut all: Vec<PathBuf> =
        fs::read_dir(from)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    all.sort_by_key(|path| !path.is_dir());
    for path in all {
        let name = path.file_name().context("a path without a name")?;
        if path.is_dir() {
            copy(&path, &into.join(name))?;
        } else {
            fs::copy(&path, into.join(name))?;
        }
    }
    Ok(())
}
