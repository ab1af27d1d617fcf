//! Releases come and go under load: no page fails, every page names a release that was live, and going back takes less
//! than a second until pages show it.

use std::{
    fs,
    path::PathBuf,
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
/// How many listeners ask at once, and how long each rests between two pages: a load that a build without optimisation
/// bears beside other work, so that what fails, fails by the swap.
const LISTENERS: usize = 4;
const REST: Duration = Duration::from_millis(40);
/// A page may name a release for so long after another one was made live: the services look every 50 ms, and make the
/// release ready first.
const LATE: Duration = Duration::from_secs(5);

/// A page that was answered.
struct Seen {
    asked: Instant,
    answered: Instant,
    release: Option<String>,
    level: String,
    missing: Vec<serde_json::Value>,
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
        content: of.content.clone(),
        neighbours: of.neighbours.clone(),
        popularity: of.popularity.clone(),
        rates: of.rates.clone(),
        segments: of.segments.clone(),
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

/// The surfaces with a budget that a build without optimisation keeps.
fn patient(folder: &Folder) -> Result<PathBuf> {
    let surfaces = folder.join("surfaces");
    fs::create_dir(&surfaces)?;
    for path in tests::files(&tests::root().join("crates/edge-api/surfaces"), &[".yaml"]) {
        let text = fs::read_to_string(&path)?;
        let patient: Vec<&str> =
            text.lines().map(|line| if line.starts_with("budget:") { "budget: 5s" } else { line }).collect();
        fs::write(surfaces.join(path.file_name().context("a surface without a name")?), patient.join("\n"))?;
    }
    Ok(surfaces)
}

async fn ask(client: Client, user: String, stop: Arc<AtomicBool>, seen: Arc<Mutex<Vec<Result<Seen>>>>) {
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let page = client.page("home", &user, None).await;
        let answered = Instant::now();
        let page = page.map(|(page, _)| Seen {
            asked,
            answered,
            release: page.release,
            level: page.degraded.level,
            missing: page.degraded.stages,
        });
        seen.lock().push(page);
        tokio::time::sleep(REST).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_while_releases_come_and_go() -> Result<()> {
    let folder = Folder::new()?;
    let often = "50ms".to_owned();
    let settings = [
        ("candidates.releases.poll", often.clone()),
        ("ranking.releases.poll", often),
        ("edge.surfaces.folder", patient(&folder)?.display().to_string()),
    ];
    let (config, key) = configure(&folder, &settings)?;
    let stand = Stand::start(false, &config, &key, folder).await?;
    let tenant = TenantId::new("demo")?;
    let store = Store::open(&config.ranking.releases.path)?;
    let first = store.live(&tenant)?.context("nothing is live")?;
    let trained = store.load(&tenant, &first)?;
    let second = other(&store, &tenant, &trained, |_, meta| meta.notes = "the same again".to_owned())?;
    let half = halved(trained.factors.as_ref().context("no factors")?)?;
    let third = other(&store, &tenant, &trained, |parts, _| {
        parts.factors = Some(half);
        // It was learned for all of the dimensions.
        parts.content = None;
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
            let (store, tenant, goes_back) = (store.clone(), tenant.clone(), n % 2 == 1);
            let (next, force) =
                if n % 4 == 0 { (&second, None) } else { (&third, Some("half the dimensions, on purpose")) };
            let next = next.clone();
            // As an operator does it: not on a thread that answers pages.
            let moved = tokio::task::spawn_blocking(move || -> Result<ReleaseId> {
                if goes_back {
                    return Ok(store.roll_back_as(&tenant, &Act::now("test", "and back"))?);
                }
                let act = Act::now("test", "and on");
                let verdict = gates::promote(&store, &tenant, &next, &Limits::default(), act, force)?;
                ensure!(verdict.promoted, "{verdict}");
                Ok(next)
            });
            let id = moved.await??;
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
    let (mut failed, mut late, mut broken) = (Vec::new(), 0, Vec::new());
    for answer in &seen {
        match answer {
            Ok(page) => {
                ensure!(was_live(&lives, page), "a page named {:?}, which was not live", page.release);
                late += usize::from(page.level != "none");
                broken.extend(page.missing.iter().filter(|stage| !is_late(stage)).map(ToString::to_string));
            }
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    back.sort();
    println!(
        "{} pages over {MOVES} moves: {} failed, {late} with something late; back in {:?} at most",
        seen.len(),
        failed.len(),
        back.last()
    );
    ensure!(failed.is_empty(), "{} of {} pages failed: {:?}", failed.len(), seen.len(), failed.first());
    ensure!(seen.len() > 100, "only {} pages were asked for", seen.len());
    ensure!(broken.is_empty(), "{} stages missed something: {:?}", broken.len(), broken.first());
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

/// Whether a stage was missing for want of time, as happens on a busy machine, and not for want of a release.
fn is_late(stage: &serde_json::Value) -> bool {
    matches!(stage["cause"].as_str(), Some("timeout" | "skipped"))
}
