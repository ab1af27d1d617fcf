//! A track that nobody has played is near those who like its artist from the moment it is put through the API: by the live
//! release's mapping from content to factors, until a release has learned from its plays.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use candidate_generation::index::Basis;
use contracts::Deadline;
use learning::{
    datasets::{Import, Report},
    progress::Silent,
    world,
};
use service_runtime::Runtime;
use setlist::{
    client::{Client, Told},
    import,
    platform::{Core, Platform},
    train,
};
use shared_models::{
    Clock, ItemId, ItemKey, Seed, ShelfId, SystemClock, TenantId, UserId,
    component::{SourceName, SourceParams},
    event::{Event, EventKind},
    item::{Item, Market},
    plan::{CandidatePlan, CandidateQuery, RequestContext, ShelfCandidatePlan, SourcePlan, SourceUse},
};
use testkit::folder::Folder;

use crate::{one_process::configure, story};

/// Of some two thousand tracks, how many are near.
const NEAR: u32 = 200;
/// Listeners who play the new track.
const HEARD_BY: usize = 30;

/// The place at which `embedding` finds an item among the `near` nearest to a listener.
pub(crate) async fn place(
    core: &Core,
    tenant: &TenantId,
    user: &UserId,
    item: ItemKey,
    near: u32,
) -> Result<Option<usize>> {
    let source = SourcePlan {
        name: SourceName::Embedding,
        limit: near,
        params: SourceParams::default(),
        budget: Duration::from_secs(5),
    };
    let shelf = ShelfCandidatePlan {
        shelf: ShelfId::new("near")?,
        sources: vec![SourceUse { source: 0, limit: near }],
        filters: Vec::new(),
        limit: near,
    };
    let query = CandidateQuery {
        tenant: tenant.clone(),
        user: Some(user.clone()),
        context: RequestContext {
            now: SystemClock.now(),
            local_hour: 12,
            local_weekday: 0,
            market: Market::UNKNOWN,
            device: String::new(),
            session: None,
            seed: Seed(1),
        },
        seed_items: Vec::new(),
        exclude: Vec::new(),
        plan: Arc::new(CandidatePlan { sources: vec![source], shelves: vec![shelf], crowd: false }),
        release: None,
        whole: false,
    };
    let set = core.candidates.candidates().generate(query, Deadline::within(story::PATIENCE)).await?;
    ensure!(set.degraded.is_empty(), "{:?}", set.degraded);
    let Some(row) = set.table.items.iter().position(|found| *found == item) else { return Ok(None) };
    let start = row.checked_sub(1).map_or(0, |before| set.table.evidence_ends[before] as usize);
    Ok(Some(usize::try_from(set.table.evidence[start].rank)?))
}

/// The listener who plays one artist most, with a track of that artist's.
fn fan(items: &[Item], events: &[Event]) -> Result<(UserId, Item)> {
    let of: BTreeMap<&ItemId, &Item> = items.iter().map(|item| (&item.id, item)).collect();
    let mut plays: BTreeMap<(&UserId, &ItemId), usize> = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind == EventKind::Play) {
        if let Some(artist) = of.get(&event.item).and_then(|item| item.artist_id.as_ref()) {
            *plays.entry((&event.user, artist)).or_default() += 1;
        }
    }
    let ((user, artist), _) = plays.into_iter().max_by_key(|(_, plays)| *plays).context("nobody plays anything")?;
    let track = items.iter().find(|item| item.artist_id.as_ref() == Some(artist)).context("no track")?;
    Ok((user.clone(), track.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_track_is_near_its_artists_listeners_before_its_first_play() -> Result<()> {
    let folder = Folder::new()?;
    let (config, key) = configure(&folder, &[])?;
    let tenant = TenantId::new("demo")?;
    let runtime = Runtime::new(Arc::new(SystemClock));
    let (listener, address) = Platform::bind(&config)?;
    let platform = Platform::build(&config, &runtime, false).await?;
    let shape = world::Config::small(Seed(11), SystemClock.now());
    let world = world::generate(&shape, &Silent)?;
    let (user, like) = fan(&world.items, &world.events)?;
    let others: Vec<UserId> = world.users.iter().map(|of| of.id.clone()).filter(|other| *other != user).collect();
    let import = Import { items: world.items, users: world.users, events: world.events, report: Report::default() };
    import::load(&platform.core, &tenant, import, &Silent).await?;
    train::learn_and_activate(&platform, &config, &tenant, &runtime, Arc::new(Silent)).await?;
    let (core, _ranking) = platform.serve(listener, &runtime);
    let client = Client::new(&format!("http://{address}"), key.expose())?;

    let serving = || core.candidates.world(&tenant).serving().context("no release serves");
    let before = serving()?.expectations()[&Basis::Content];
    let id = ItemId::new("brand-new")?;
    // Its artist and genres are all that is known of it, as of any track on the day before it comes out.
    let new = Item { id: id.clone(), title: "Brand New".to_owned(), released_at: None, ..like };
    ensure!(client.items(&[new]).await? == 0, "the item is refused");
    let serving_now = serving()?;
    ensure!(serving_now.release.content.is_some() && serving_now.release.segments.is_some());
    ensure!(serving_now.release.index_of(ItemKey::of(&id)).is_none());
    ensure!(serving_now.expectations()[&Basis::Content] == before + 1, "{:?}", serving_now.expectations());
    let found = place(&core, &tenant, &user, ItemKey::of(&id), NEAR).await?;
    let found = found.with_context(|| format!("not among the {NEAR} nearest to {user}"))?;
    // To most of the others it is not near: nearness is theirs who like what it is.
    let mut elsewhere = 0;
    for other in others.iter().take(60) {
        elsewhere +=
            usize::from(place(&core, &tenant, other, ItemKey::of(&id), NEAR).await?.is_none_or(|at| at > found));
    }
    ensure!(elsewhere >= 45, "found at {found}, and further away by {elsewhere} of 60 others only");

    // Once it is played, the next release has a vector of its own for it.
    let told: Vec<Told<'_>> = others
        .iter()
        .take(HEARD_BY)
        .map(|user| Told {
            user_id: user.as_str(),
            kind: "play",
            item_id: id.as_str(),
            ms_played: Some(180_000),
            ..Told::default()
        })
        .collect();
    client.events(&told).await?;
    core.settle(|_| ()).await?;
    let (release, _) = train::learn(&core, &config, &tenant, &runtime, Arc::new(Silent)).await?;
    let control = core.candidates.release_control();
    control.activate(&tenant, &release, Deadline::within(story::PATIENCE)).await?;
    let serving = serving()?;
    let row = serving.release.index_of(ItemKey::of(&id)).context("the next release does not know it")?;
    let factors = serving.release.factors.as_ref().context("no factors")?;
    ensure!(factors.row(row).iter().any(|value| *value != 0.0), "it has no vector of its own");
    ensure!(serving.added().context("no newcomers")?.is_empty() || serving.expectations()[&Basis::Content] <= before);
    ensure!(place(&core, &tenant, &others[0], ItemKey::of(&id), NEAR).await?.is_some(), "who played it is not near it");
    drop(core);
    let dropped = runtime.drain(story::PATIENCE).await;
    ensure!(dropped == 0, "{dropped} tasks did not stop");
    Ok(())
}
