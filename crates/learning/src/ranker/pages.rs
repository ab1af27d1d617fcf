//! Pages of the past: what our own sources would have offered a listener at a moment, by the code that serves, and what
//! the listener then played.
//!
//! Cards that were shown tell a scorer about what some earlier scorer liked. A page holds everything that the scorer
//! will have to order, the source's word for each candidate included. It must not know the model. **Invariant:** a page
//! sees nothing that happened at or after its moment; the release must be of before `from`.

use std::{sync::Arc, time::Duration};

use candidate_generation::{
    catalog::Snapshot,
    index::{Serving, Trending, Trends, embedding},
    pipeline::Pipeline,
    profiles::{Profile, context, counted_at, memory::ServingProfile},
    query::PageQuery,
};
use rand::{RngExt, seq::SliceRandom};
use ranking::features::{self, Matrix};
use rayon::prelude::*;
use releases::Release;
use rustc_hash::{FxHashMap, FxHashSet};
use service_runtime::Deadline;
use shared_models::{
    ItemKey, Seed, ShelfId, TenantId, Timestamp, UserId,
    component::{Action, SourceName, SourceParams},
    event::{Event, EventKind},
    item::Item,
    plan::{CandidatePlan, CandidateQuery, RankQuery, ShelfCandidatePlan, ShelfOrder, SourcePlan, SourceUse},
};

use super::{
    ACTIONS, Rows, Source,
    facts::Catalogue,
    moment::{action_of, request_at},
};
use crate::progress::Stage;

/// After a pause as long as this, what a listener plays is a new visit: they would have opened the page.
const PAUSE_MS: i64 = 30 * 60_000;
/// How long trends are good for, in the time of the data: serving refreshes them within a second, which nobody sees in
/// counts that halve in a day.
const TRENDS_MS: i64 = 30 * 60_000;
/// No source of the past has to hurry.
const UNHURRIED: Duration = Duration::from_secs(60);

/// How pages are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// About how many; visits are drawn evenly.
    pub pages: usize,
    /// What the listener plays within this long of the page's moment is what they wanted.
    pub window: Duration,
    /// The most candidates of one source.
    pub of_source: u32,
    /// The most candidates of a page.
    pub candidates: u32,
    /// After this long a play counts half in `trend`: candidate-generation's `trending.half_life`.
    pub trend_half_life: Duration,
    /// The source of every draw.
    pub seed: Seed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pages: 2_000,
            window: Duration::from_secs(86_400),
            of_source: 200,
            candidates: 400,
            trend_half_life: Duration::from_secs(86_400),
            seed: Seed(1),
        }
    }
}

/// What pages are made of.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// The catalogue.
    pub items: &'a [Item],
    /// All events of some listeners, or of all, in time order.
    pub events: &'a [Event],
    /// Everybody's plays, in time order, from long enough before `from` for what is trending.
    pub plays: &'a [(Timestamp, ItemKey)],
    /// A release of what was known before `from`, with all that sources read.
    pub release: &'a Arc<Release>,
    /// Visits from here on become pages.
    pub from: Timestamp,
}

/// One page of the past.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its moment.
    pub at: Timestamp,
    /// The candidates in the order of their sources, best first: what is shown where ranking is missing.
    pub items: Vec<ItemKey>,
    /// Their features, as ranking computes them.
    pub matrix: Matrix,
    /// What the listener did with each, in the order of `Action::ALL`.
    pub labels: Vec<[bool; ACTIONS]>,
    /// How many items the listener played, whether or not a source had found them.
    pub played: usize,
}

/// Makes the pages, in the order of their moments; they do not depend on the number of threads.
#[must_use]
pub fn pages(input: Input<'_>, settings: &Settings, stage: &dyn Stage) -> Vec<Page> {
    let catalogue = Catalogue::of(input.items);
    let snapshot = Arc::new(Snapshot::of(input.items.iter().cloned()));
    let serving = Arc::new(Serving::build(Arc::clone(input.release), &snapshot, &embedding::Config::default()));
    let visits = drawn_visits(&input, settings);
    let mut by_user: FxHashMap<&UserId, Vec<&Event>> = visits.iter().map(|visit| (visit.user, Vec::new())).collect();
    for event in input.events {
        if let Some(events) = by_user.get_mut(&event.user) {
            events.push(event);
        }
    }
    let mut visits_of: FxHashMap<&UserId, Vec<Visit<'_>>> = FxHashMap::default();
    for visit in visits {
        visits_of.entry(visit.user).or_default().push(visit);
    }
    let mut listeners: Vec<(&UserId, Vec<Visit<'_>>)> = visits_of.into_iter().collect();
    listeners.sort_unstable_by_key(|(user, _)| *user);
    let maker = Maker {
        input,
        settings,
        catalogue,
        snapshot,
        serving,
        pipeline: Pipeline::unobserved(),
        plan: Arc::new(plan(settings)),
    };
    let mut pages: Vec<Page> = listeners
        .into_par_iter()
        .flat_map_iter(|(user, visits)| {
            stage.advance(visits.len() as u64);
            maker.listener(by_user.get(user).map_or(&[][..], Vec::as_slice), visits)
        })
        .collect();
    pages.sort_by_key(|page| page.at);
    pages
}

/// Rows to train on: of each page all that were played and `others` of the rest, drawn evenly.
#[must_use]
pub fn rows(pages: &[Page], others: usize, seed: Seed) -> Rows {
    let mut rows = Rows { pages: pages.len(), ..Rows::none(Source::Pages) };
    let mut random = seed.stream("others of pages");
    for page in pages {
        let (mut chosen, mut rest): (Vec<usize>, Vec<usize>) =
            (0..page.labels.len()).partition(|row| page.labels.get(*row).is_some_and(|labels| labels.contains(&true)));
        rest.shuffle(&mut random);
        rest.truncate(others);
        chosen.append(&mut rest);
        chosen.sort_unstable();
        for row in chosen {
            if let Some(labels) = page.labels.get(row) {
                rows.add(&page.matrix.row(row), *labels, None);
            }
        }
    }
    rows
}

/// Every source, once, for one shelf that takes what they find.
fn plan(settings: &Settings) -> CandidatePlan {
    let limit = settings.of_source;
    let source =
        |name: &SourceName| SourcePlan { name: *name, limit, params: SourceParams::default(), budget: UNHURRIED };
    let shelf = ShelfId::new("page").ok().map(|shelf| ShelfCandidatePlan {
        shelf,
        sources: (0..).zip(SourceName::ALL).map(|(source, _)| SourceUse { source, limit }).collect(),
        filters: Vec::new(),
        limit: settings.candidates,
    });
    CandidatePlan {
        sources: SourceName::ALL.iter().map(source).collect(),
        shelves: shelf.into_iter().collect(),
        crowd: false,
    }
}

/// A visit that becomes a page: whose, when, and what everybody played then.
struct Visit<'a> {
    user: &'a UserId,
    opener: &'a Event,
    trends: Arc<Trends>,
}

/// The visits from `from` on, drawn evenly, in time order.
fn drawn_visits<'a>(input: &Input<'a>, settings: &Settings) -> Vec<Visit<'a>> {
    let mut last: FxHashMap<&UserId, Timestamp> = FxHashMap::default();
    let mut openers: Vec<&Event> = Vec::new();
    for event in input.events.iter().filter(|event| event.kind == EventKind::Play) {
        let before = last.insert(&event.user, event.occurred_at);
        let is_visit = before.is_none_or(|before| event.occurred_at.0 - before.0 > PAUSE_MS);
        if is_visit && event.occurred_at >= input.from {
            openers.push(event);
        }
    }
    let mut random = settings.seed.stream("visits");
    let keep = settings.pages as f64 / openers.len().max(1) as f64;
    openers.retain(|_| random.random::<f64>() < keep);
    let trending = Trending::new(settings.trend_half_life);
    let mut plays = input.plays.iter().peekable();
    let (mut trends, mut as_of) = (Arc::<Trends>::default(), None);
    let with_trends = openers.into_iter().map(|opener| {
        if as_of.is_none_or(|as_of: Timestamp| opener.occurred_at.0 - as_of.0 > TRENDS_MS) {
            let before = std::iter::from_fn(|| plays.next_if(|(at, _)| *at < opener.occurred_at));
            trending.add(before.map(|(at, key)| (*key, 1.0, *at)));
            trending.refresh();
            (trends, as_of) = (trending.trends(), Some(opener.occurred_at));
        }
        Visit { user: &opener.user, opener, trends: Arc::clone(&trends) }
    });
    with_trends.collect()
}

struct Maker<'a> {
    input: Input<'a>,
    settings: &'a Settings,
    catalogue: Catalogue,
    snapshot: Arc<Snapshot>,
    serving: Arc<Serving>,
    pipeline: Pipeline,
    plan: Arc<CandidatePlan>,
}

impl Maker<'_> {
    /// One listener's pages. What happened at the very moment of a page is not folded before it.
    fn listener(&self, events: &[&Event], visits: Vec<Visit<'_>>) -> Vec<Page> {
        // The pipeline's budgets are the runtime's timers.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
            return Vec::new();
        };
        let mut profile = Profile::default();
        let mut folded = 0;
        let mut pages = Vec::with_capacity(visits.len());
        for visit in visits {
            let at = visit.opener.occurred_at;
            while let Some(event) = events.get(folded).filter(|event| event.occurred_at < at) {
                profile.apply(event, &self.catalogue.for_fold(event.item_key()));
                folded += 1;
            }
            let rest = events.get(folded..).unwrap_or(&[]);
            pages.extend(runtime.block_on(self.page(&visit, profile.clone(), rest)));
        }
        pages
    }

    /// A page, where a source finds anything.
    async fn page(&self, visit: &Visit<'_>, profile: Profile, rest: &[&Event]) -> Option<Page> {
        let (opener, seed) = (visit.opener, self.settings.seed);
        let (market, device) = (opener.market.unwrap_or_default(), opener.device.as_deref().unwrap_or_default());
        let request = request_at(counted_at(opener), market, device, seed);
        let asked = CandidateQuery {
            tenant: self.input.tenant.clone(),
            user: Some(visit.user.clone()),
            context: request.clone(),
            seed_items: Vec::new(),
            exclude: Vec::new(),
            plan: Arc::clone(&self.plan),
            whole: false,
            release: None,
        };
        let listener = Arc::new(ServingProfile::new(1, profile, None));
        let query = PageQuery::new(
            asked,
            Arc::clone(&self.snapshot),
            Some(Arc::clone(&self.serving)),
            listener,
            Arc::clone(&visit.trends),
        );
        let gathered = self.pipeline.run(&query, Deadline::within(UNHURRIED)).await.ok()?;
        let popularity = |key: ItemKey| self.serving.popularity_of(key);
        let of_listener =
            context(&query.listener.profile, query.listener.recent(), query.vector.as_deref(), popularity, request.now);
        let set = gathered.answer(Arc::new(of_listener), Vec::new(), Some(self.serving.id().clone()));
        let order = set.shelves.into_iter().next()?.rows;
        let ranked = RankQuery {
            tenant: self.input.tenant.clone(),
            context: request,
            seed_items: Vec::new(),
            listener: set.listener,
            table: set.table,
            shelves: Vec::new(),
            order: ShelfOrder::default(),
            whole: false,
            release: None,
        };
        let computed = features::compute(&ranked, Some(self.input.release));
        let ordered: Vec<f32> = order.iter().flat_map(|row| computed.row(*row as usize)).collect();
        let items: Vec<ItemKey> =
            order.iter().filter_map(|row| ranked.table.items.get(*row as usize).copied()).collect();
        let (labels, played) = self.labels(&items, visit.opener.occurred_at, rest);
        Some(Page { at: visit.opener.occurred_at, matrix: Matrix::from_rows(&ordered)?, items, labels, played })
    }

    /// What the listener did within the window, and how many items they played.
    fn labels(&self, items: &[ItemKey], at: Timestamp, rest: &[&Event]) -> (Vec<[bool; ACTIONS]>, usize) {
        let row_of: FxHashMap<ItemKey, usize> = items.iter().enumerate().map(|(row, key)| (*key, row)).collect();
        let mut labels = vec![[false; ACTIONS]; items.len()];
        let mut played = FxHashSet::default();
        let until = at.0.saturating_add(i64::try_from(self.settings.window.as_millis()).unwrap_or(i64::MAX));
        for event in rest.iter().take_while(|event| event.occurred_at.0 < until) {
            let Some(action) = action_of(&event.kind) else { continue };
            let plays = matches!(action, Action::Play | Action::Complete | Action::Skip);
            if plays {
                played.insert(event.item_key());
            }
            if let Some(labels) = row_of.get(&event.item_key()).and_then(|row| labels.get_mut(*row)) {
                labels[action as usize] = true;
                labels[Action::Play as usize] |= plays;
            }
        }
        (labels, played.len())
    }
}
