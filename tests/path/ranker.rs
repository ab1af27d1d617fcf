//! The ranker's loop: pages are served, their cards are seen and played, what was recorded lands in the archive, and a
//! ranker is trained from it that goes with the live candidate models.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use learning::{
    archive::Span,
    datasets::{Import, Report},
    gates::Gate,
    learner::{CatalogueItems, learn_ranker},
    progress::Silent,
    ranker::Source,
    train::Config,
    world,
};
use releases::Store;
use service_runtime::Runtime;
use setlist::{
    client::{Client, Told},
    import,
    platform::Platform,
    train,
};
use shared_models::{Clock, ItemId, ItemKey, Seed, SystemClock, TenantId, UserId};
use testkit::folder::Folder;

use crate::{one_process::configure, story};

/// How many listeners open their page.
const LISTENERS: usize = 60;
/// What they look at of each shelf.
const LOOKED_AT: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_served_seen_and_played_trains_the_ranker() -> Result<()> {
    let folder = Folder::new()?;
    let (config, key) = configure(&folder, &[])?;
    let tenant = TenantId::new("demo")?;
    let runtime = Runtime::new(Arc::new(SystemClock));
    let (listener, address) = Platform::bind(&config)?;
    let platform = Platform::build(&config, &runtime, false).await?;
    let world = world::generate(&world::Config::small(Seed(17), SystemClock.now()), &Silent)?;
    let users: Vec<UserId> = world.users.iter().take(LISTENERS).map(|user| user.id.clone()).collect();
    let import = Import { items: world.items, users: world.users, events: world.events, report: Report::default() };
    import::load(&platform.core, &tenant, import, &Silent).await?;
    train::learn_and_activate(&platform, &config, &tenant, &runtime, Arc::new(Silent)).await?;
    let (core, _ranking) = platform.serve(listener, &runtime);
    let client = Client::new(&format!("http://{address}"), key.expose())?;
    story::eventually(&client, users[0].as_str(), |page| page.release.is_some()).await?;

    let (mut seen, mut played) = (0, 0);
    for user in &users {
        let (page, _) = client.page("home", user.as_str(), None).await?;
        let mut told = Vec::new();
        for shelf in &page.shelves {
            for (place, card) in (0_u16..).zip(shelf.cards.iter().take(LOOKED_AT)) {
                let event = |kind, ms_played| Told {
                    user_id: user.as_str(),
                    kind,
                    item_id: &card.item_id,
                    ms_played,
                    recommendation_id: Some(&page.recommendation_id),
                    shelf: Some(&shelf.id),
                    ..Told::default()
                };
                seen += 1;
                told.push(event("impression", None));
                let item = ItemKey::of(&ItemId::new(&card.item_id)?);
                let chance = world.truth.probabilities(user, item, place).map_or(0.0, |chances| chances[0]);
                // A draw that is the same each time.
                if f64::from(chance) > (item.0 ^ seen as u64) as f64 / u64::MAX as f64 {
                    played += 1;
                    told.push(event("play", Some(120_000)));
                }
            }
        }
        client.events(&told).await?;
    }
    core.settle(|_| ()).await?;
    let answers = || -> Result<usize> {
        let rows = core.archive.read_recommendations(&tenant, Span::ALL, &Silent)?;
        let answers: BTreeMap<String, usize> = rows.iter().map(|row| (row.answer.recommendation.clone(), 1)).collect();
        Ok(answers.len())
    };
    let end = std::time::Instant::now() + story::PATIENCE;
    while answers()? <= LISTENERS {
        ensure!(std::time::Instant::now() < end, "only {} answers are in the archive", answers()?);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    let store = Store::open(&config.ranking.releases.path)?;
    let live = store.live(&tenant)?.context("nothing is live")?;
    let items = CatalogueItems(core.candidates.catalogue());
    let settings = Config::new(runtime.clock.now());
    let archive = Arc::clone(&core.archive);
    let report = learn_ranker(&tenant, &items, archive, store.clone(), settings, &runtime, Arc::new(Silent)).await?;
    println!("{report}");
    let joined = report.joined;
    ensure!(joined.seen == seen && joined.astray == 0, "{seen} cards were seen: {joined:?}");
    ensure!(joined.cards > seen, "what was not looked at is no example: {joined:?}");
    ensure!(joined.acted[0] == played && played > 0, "{played} cards were played: {joined:?}");
    ensure!(report.rows == Some((seen, Source::Records)), "{:?}", report.rows);
    let id = report.release.clone().context("no release")?;
    let (before, after) = (store.manifest(&tenant, &live)?, store.manifest(&tenant, &id)?);
    ensure!(after.lineage["parent"] == live.as_str() && after.lineage["candidates_of"] == live.as_str());
    ensure!(after.files["factors.bin"] == before.files["factors.bin"], "the candidate models stay");
    ensure!(after.files["scorer.json"] != before.files["scorer.json"], "the scorer is another one");
    let verdict = report.verdict.context("no gate was asked")?;
    // Sixty pages may well teach less than the live ranker knows: that is for these two gates to say.
    let is_judgement = |gate| matches!(gate, Gate::Quality | Gate::Calibration);
    ensure!(verdict.failed().all(|finding| is_judgement(finding.gate)), "{verdict}");
    runtime.drain(story::PATIENCE).await;
    Ok(())
}
