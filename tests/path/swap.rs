//! Releases come and go under load: no page fails, every page names a release that was live, and going back takes less
//! than a second until pages show it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use learning::gates::{self, Limits};
use parking_lot::Mutex;
use releases::{Factors, Meta, Parts, Release, Store, golden, promotions::Act};
use setlist::client::Client;
use shared_models::{ReleaseId, TenantId};
use testkit::folder::Folder;
use tokio::task::JoinSet;

use crate::{
    one_process::{Stand, configure},
    story,
};

/// How often the live release changes.
const MOVES: usize = 20;
/// How many listeners ask at once.
const LISTENERS: usize = 8;
/// A page may name a release for so long after another one was made live: the services look every 50 ms, and make the
/// release ready first.
const LATE: Duration = Duration::from_secs(5);

/// A page that was answered.
struct Seen {
    asked: Instant,
    answered: Instant,
    release: Option<String>,
    level: String,
}

/// Another release made of one, by hand.
fn other(
    store: &Store,
    tenant: &TenantId,
    of: &Release,
    change: impl FnOnce(&mut Parts, &mut Meta),
) -> Result<ReleaseId> {
    let manifest = &of.manifest;
    let mut parts = Parts {
        items: of.items.to_vec(),
        factors: of.factors.clone(),
        lists: None,
        neighbours: of.neighbours.clone(),
        popularity: of.popularity.clone(),
        scorer: of.scorer.clone(),
        blobs: of.blobs.clone(),
    };
    let mut meta = Meta {
        created_at: manifest.created_at,
        feature_schema: manifest.schema.feature_schema,
        metrics: manifest.metrics.clone(),
        window: manifest.window,
        code_version: manifest.code_version.clone(),
        ..Meta::default()
    };
    change(&mut parts, &mut meta);
    Ok(store.write(tenant, &parts, meta)?)
}

/// The same factors with half of their dimensions: a listener's vector of the one release fits no other.
fn halved(factors: &Factors) -> Result<Factors> {
    let dimensions = factors.dimensions / 2;
    let values: Vec<f32> = (0..factors.rows as u32).flat_map(|row| factors.row(row)[..dimensions].to_vec()).collect();
    Ok(Factors::new(dimensions, &values, factors.alpha, factors.regularisation, factors.regularisation_exponent)?)
}

async fn ask(client: Client, user: String, stop: Arc<AtomicBool>, seen: Arc<Mutex<Vec<Result<Seen>>>>) {
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let page = client.page("home", &user, None).await;
        let answered = Instant::now();
        seen.lock().push(page.map(|(page, _)| Seen {
            asked,
            answered,
            release: page.release,
            level: page.degraded.level,
        }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_while_releases_come_and_go() -> Result<()> {
    let folder = Folder::new()?;
    let often = "50ms".to_owned();
    let (config, key) =
        configure(&folder, &[("candidates.releases.poll", often.clone()), ("ranking.releases.poll", often)])?;
    let stand = Stand::start(false, &config, &key, folder).await?;
    let tenant = TenantId::new("demo")?;
    let store = Store::open(&config.ranking.releases.path)?;
    let first = store.live(&tenant)?.context("nothing is live")?;
    let trained = store.load(&tenant, &first)?;
    let second = other(&store, &tenant, &trained, |_, meta| meta.notes = "the same again".to_owned())?;
    let half = halved(trained.factors.as_ref().context("no factors")?)?;
    let third = other(&store, &tenant, &trained, |parts, _| {
        parts.factors = Some(half);
        parts.blobs.remove(golden::FILE);
    })?;
    story::eventually(&stand.client, &stand.user, |page| page.release.as_deref() == Some(first.as_str())).await?;

    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let mut askers = JoinSet::new();
    for n in 0..LISTENERS {
        let user = if n == 0 { stand.user.clone() } else { format!("user-{n:05}") };
        askers.spawn(ask(stand.client.clone(), user, Arc::clone(&stop), Arc::clone(&seen)));
    }

    // Each entry: from when a release was live.
    let mut lives = vec![(Instant::now(), first.clone())];
    let mut back = Vec::new();
    let moving = async {
        for n in 0..MOVES {
            let at = Instant::now();
            let (id, goes_back) = if n % 2 == 1 {
                (store.roll_back_as(&tenant, &Act::now("test", "and back"))?, true)
            } else {
                let id = if n % 4 == 0 { &second } else { &third };
                let force = (id == &third).then_some("half the dimensions, on purpose");
                let verdict = gates::promote(&store, &tenant, id, &Limits::default(), Act::now("test", "on"), force)?;
                ensure!(verdict.promoted, "{verdict}");
                (id.clone(), false)
            };
            lives.push((at, id.clone()));
            story::eventually(&stand.client, &stand.user, |page| page.release.as_deref() == Some(id.as_str())).await?;
            if goes_back {
                back.push(at.elapsed());
            }
        }
        anyhow::Ok(())
    };
    let moved = moving.await;
    stop.store(true, Ordering::Relaxed);
    askers.join_all().await;
    moved?;

    let seen = std::mem::take(&mut *seen.lock());
    let (mut failed, mut worse) = (Vec::new(), 0);
    for answer in &seen {
        match answer {
            Ok(page) => {
                ensure!(was_live(&lives, page), "a page named {:?}, which was not live", page.release);
                worse += usize::from(page.level != "none");
            }
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    back.sort();
    println!(
        "{} pages over {MOVES} moves: {} failed, {worse} degraded; back in {:?} at most",
        seen.len(),
        failed.len(),
        back.last()
    );
    ensure!(failed.is_empty(), "{} of {} pages failed: {:?}", failed.len(), seen.len(), failed.first());
    ensure!(seen.len() > 100, "only {} pages were asked for", seen.len());
    ensure!(worse == 0, "{worse} of {} pages were degraded", seen.len());
    ensure!(back.iter().all(|took| *took <= Duration::from_secs(1)), "going back took {back:?}");
    let log = store.promotions(&tenant)?;
    ensure!(log.len() > MOVES, "{} lines in the log", log.len());
    stand.stop().await
}

/// Whether the release of a page was live at some moment between its question, and a little before, and its answer.
fn was_live(lives: &[(Instant, ReleaseId)], page: &Seen) -> bool {
    let Some(release) = &page.release else { return false };
    lives.iter().enumerate().any(|(n, (from, id))| {
        let until = lives.get(n + 1).map(|(next, _)| *next + LATE);
        id.as_str() == release && *from <= page.answered && until.is_none_or(|until| page.asked <= until)
    })
}
