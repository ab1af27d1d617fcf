//! The replay: each listener's events in time order, folded as intake folds them; at every page that
//! was shown, the features that serving would have computed, and what then happened.
//!
//! It must not know the model. Columns that come from the sources' own evidence (ranks and scores)
//! are at their defaults here, because events do not tell which sources gave a card: a model trained
//! on these rows gives them no weight.

use std::sync::Arc;

use candidate_generation::{
    hydrators::facts as arithmetic,
    profiles::{Profile, context, counted_at, fold_in},
};
use rand::RngExt;
use ranking::features::{self, COLUMNS, Matrix};
use rayon::prelude::*;
use releases::Release;
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    ItemKey, TenantId, Timestamp, UserId,
    candidates::CandidateTable,
    component::{Action, Fact},
    event::{Event, EventKind},
    item::Market,
    listener::ListenerContext,
    plan::{RankQuery, ShelfOrder},
};
use uuid::Uuid;

use super::{
    ACTIONS, Settings,
    facts::{Catalogue, Popularities},
    moment::{action_of, request_at},
    trend::Trends,
};
use crate::progress::Stage;

/// How long after a card was shown what happens on it still counts as its doing.
const ATTRIBUTION_MS: i64 = 2 * 3_600_000;
/// The same where events name no recommendation, and the item alone ties them to the card.
const ATTRIBUTION_BY_ITEM_MS: i64 = 30 * 60_000;
/// Recent items, as serving keeps them at hand.
const RECENT: usize = 50;

/// Where rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Cards that were shown.
    Impressions,
    /// Plays, each beside items drawn evenly from those that are played: the data have no impressions.
    SampledNegatives,
    /// Pages of the past, as our own sources would have made them.
    Pages,
}

impl Source {
    /// The source in words, for the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Impressions => "impressions",
            Self::SampledNegatives => "sampled negatives",
            Self::Pages => "pages of the past",
        }
    }
}

/// Training rows in the order in which their cards were shown.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The features, row by row, as ranking computes them.
    pub features: Vec<f32>,
    /// What happened, in the order of `Action::ALL`.
    pub labels: Vec<[bool; ACTIONS]>,
    /// Where they come from.
    pub source: Source,
    /// Pages that rows were made of.
    pub pages: usize,
    /// Rows that were left out because a feature was not finite.
    pub unusable: usize,
}

impl Rows {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Some of them, as ranking reads them; nothing past the end.
    #[must_use]
    pub fn matrix(&self, part: std::ops::Range<usize>) -> Matrix {
        let numbers = self.features.get(part.start * COLUMNS..part.end * COLUMNS);
        numbers.and_then(Matrix::from_rows).unwrap_or_default()
    }

    /// How many of some of them have an action, by its place in `Action::ALL`.
    pub(super) fn positives(&self, part: &std::ops::Range<usize>, action: usize) -> usize {
        self.labels.get(part.clone()).unwrap_or(&[]).iter().filter(|labels| labels[action]).count()
    }
}

/// What a replay needs.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Whose events.
    pub tenant: &'a TenantId,
    /// All events of some listeners, or of all, in time order.
    pub events: &'a [Event],
    /// All listeners' plays of the items among these events.
    pub trends: &'a Trends,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// A release of what was known before `from`.
    pub release: &'a Release,
    /// Pages shown from here on become rows; what happened before is folded only.
    pub from: Timestamp,
}

/// Replays all listeners, in parallel; the rows do not depend on the number of threads.
#[must_use]
pub fn replay(input: Input<'_>, settings: &Settings, stage: &dyn Stage) -> Rows {
    let popularities = Popularities::of(input.release);
    let shown = |event: &&Event| event.kind == EventKind::Impression && event.occurred_at >= input.from;
    let impressions = input.events.iter().filter(shown).count();
    let source = if impressions > 0 { Source::Impressions } else { Source::SampledNegatives };
    let pool = if source == Source::SampledNegatives { played_items(input.events) } else { Vec::new() };
    let plays =
        input.events.iter().filter(|event| event.kind == EventKind::Play && event.occurred_at >= input.from).count();
    let available = if source == Source::Impressions { impressions } else { plays * (1 + settings.negatives) };
    let keep = if available == 0 { 0.0 } else { (settings.rows as f64 / available as f64).min(1.0) };
    let replayer = Replayer { input, settings, popularities, source, pool, keep };
    let mut by_user: FxHashMap<&UserId, Vec<&Event>> = FxHashMap::default();
    for event in input.events {
        by_user.entry(&event.user).or_default().push(event);
    }
    let mut users: Vec<(&UserId, Vec<&Event>)> = by_user.into_iter().collect();
    users.sort_unstable_by_key(|(user, _)| *user);
    let mut pages: Vec<Page> = users
        .into_par_iter()
        .flat_map_iter(|(user, events)| {
            stage.advance(events.len() as u64);
            replayer.listener(user, &events)
        })
        .collect();
    pages.sort_by_key(|page| page.at);
    let mut rows = Rows { features: Vec::new(), labels: Vec::new(), source, pages: pages.len(), unusable: 0 };
    for page in pages {
        for (row, labels) in page.features.chunks_exact(COLUMNS).zip(page.labels) {
            if row.iter().all(|value| value.is_finite()) {
                rows.features.extend_from_slice(row);
                rows.labels.push(labels);
            } else {
                rows.unusable += 1;
            }
        }
    }
    rows
}

fn played_items(events: &[Event]) -> Vec<ItemKey> {
    let mut items: Vec<ItemKey> =
        events.iter().filter(|event| event.kind == EventKind::Play).map(Event::item_key).collect();
    items.sort_unstable();
    items.dedup();
    items
}

struct Page {
    at: Timestamp,
    features: Vec<f32>,
    labels: Vec<[bool; ACTIONS]>,
}

struct Replayer<'a> {
    input: Input<'a>,
    settings: &'a Settings,
    popularities: Popularities<'a>,
    source: Source,
    pool: Vec<ItemKey>,
    keep: f64,
}

/// The moment and place of a page.
struct Scene<'a> {
    at: Timestamp,
    recommendation: Option<Uuid>,
    market: Market,
    device: &'a str,
}

impl<'a> Scene<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            at: counted_at(event),
            recommendation: event.recommendation,
            market: event.market.unwrap_or_default(),
            device: event.device.as_deref().unwrap_or_default(),
        }
    }
}

impl Replayer<'_> {
    /// One listener's pages. What happened at one moment is folded after the pages of that moment:
    /// a data set that knows seconds only must not tell a page what came of it.
    fn listener(&self, user: &UserId, events: &[&Event]) -> Vec<Page> {
        let mut random = self.settings.seed.stream(user.as_str());
        let mut profile = Profile::default();
        let mut pages = Vec::new();
        let mut start = 0;
        while let Some(first) = events.get(start) {
            let together = |event: &&&Event| event.occurred_at == first.occurred_at || is_same_page(first, event);
            let end = start + events[start..].iter().take_while(together).count().max(1);
            for (opener, mut items) in self.shown(&events[start..end]) {
                // The draw is made for every page, so that its outcome is the same whatever `from` is.
                let is_drawn = random.random::<f64>() < self.keep;
                if self.source == Source::SampledNegatives {
                    let draws =
                        (0..self.settings.negatives * 4).map(|_| self.pool[random.random_range(0..self.pool.len())]);
                    let others: Vec<ItemKey> =
                        draws.filter(|key| *key != opener.item_key()).take(self.settings.negatives).collect();
                    items.extend(others);
                }
                if is_drawn && opener.occurred_at >= self.input.from {
                    let mut seen = FxHashSet::default();
                    items.retain(|key| seen.insert(*key));
                    let scene = Scene::of(opener);
                    let labels = self.labels(&scene, &items, &events[start..]);
                    pages.push(Page { at: scene.at, features: self.features(&profile, &scene, &items), labels });
                }
            }
            for event in &events[start..end] {
                profile.apply(event, &self.input.catalogue.for_fold(event.item_key()));
            }
            start = end;
        }
        pages
    }

    /// The pages among events that belong together: each with the event that opens it and its items.
    fn shown<'e>(&self, events: &[&'e Event]) -> Vec<(&'e Event, Vec<ItemKey>)> {
        let mut pages: Vec<(&Event, Vec<ItemKey>)> = Vec::new();
        for &event in events {
            match self.source {
                Source::Impressions if event.kind == EventKind::Impression => {
                    match pages.iter_mut().find(|(opener, _)| is_same_page(opener, event)) {
                        Some((_, items)) => items.push(event.item_key()),
                        None => pages.push((event, vec![event.item_key()])),
                    }
                }
                Source::SampledNegatives if event.kind == EventKind::Play => {
                    pages.push((event, vec![event.item_key()]));
                }
                Source::Impressions | Source::SampledNegatives | Source::Pages => {}
            }
        }
        pages
    }

    fn labels(&self, scene: &Scene<'_>, items: &[ItemKey], events: &[&Event]) -> Vec<[bool; ACTIONS]> {
        let mut labels = vec![[false; ACTIONS]; items.len()];
        let until = scene.at.0 + ATTRIBUTION_MS;
        for event in events.iter().take_while(|event| counted_at(event).0 <= until) {
            let Some(action) = action_of(&event.kind) else { continue };
            let is_ours = match (scene.recommendation, event.recommendation) {
                (Some(shown), Some(acted)) => shown == acted,
                (Some(_), None) => false,
                (None, _) => counted_at(event).0 <= scene.at.0 + ATTRIBUTION_BY_ITEM_MS,
            };
            if is_ours && let Some(row) = items.iter().position(|key| *key == event.item_key()) {
                labels[row][action as usize] = true;
                // Who completes or skips has played, whether or not the client said so.
                labels[row][Action::Play as usize] |= matches!(action, Action::Complete | Action::Skip);
            }
        }
        labels
    }

    fn features(&self, profile: &Profile, scene: &Scene<'_>, items: &[ItemKey]) -> Vec<f32> {
        let query = self.query(profile, scene, items);
        let matrix = features::compute(&query, Some(self.input.release));
        (0..matrix.rows()).flat_map(|row| matrix.row(row)).collect()
    }

    /// The question that the edge would have asked ranking.
    fn query(&self, profile: &Profile, scene: &Scene<'_>, items: &[ItemKey]) -> RankQuery {
        let recent = profile.items.recent(RECENT);
        let vector = fold_in(profile, self.input.release);
        let listener: ListenerContext =
            context(profile, &recent, Some(&vector), |key| self.popularities.everywhere(key), scene.at);
        RankQuery {
            tenant: self.input.tenant.clone(),
            context: request_at(scene.at, scene.market, scene.device, self.settings.seed),
            seed_items: Vec::new(),
            listener: Arc::new(listener),
            table: Arc::new(self.table(profile, scene, items)),
            shelves: Vec::new(),
            order: ShelfOrder::default(),
            whole: false,
            release: None,
        }
    }

    fn table(&self, profile: &Profile, scene: &Scene<'_>, items: &[ItemKey]) -> CandidateTable {
        let mut facts = vec![Vec::with_capacity(items.len()); Fact::ALL.len()];
        let mut artists = Vec::with_capacity(items.len());
        for key in items {
            let known = self.input.catalogue.get(*key);
            let artist = known.map_or(ItemKey::NONE, |known| known.artist);
            let genres = known.map_or(&[][..], |known| &known.genres);
            artists.push(artist);
            let mut put = |fact: Fact, value: f32| facts[fact as usize].push(value);
            put(Fact::Popularity, self.popularities.everywhere(*key));
            put(Fact::MarketPopularity, self.popularities.in_market(*key, scene.market));
            // A moment before: a play at the page's own moment may be what came of it.
            put(Fact::Trend, (self.input.trends.plays(*key, Timestamp(scene.at.0 - 1)) as f32).ln_1p());
            for (fact, value) in arithmetic::ITEM.into_iter().zip(self.input.catalogue.of_item(*key, scene.at)) {
                put(fact, value);
            }
            for (fact, value) in
                arithmetic::LISTENER.into_iter().zip(arithmetic::listener(profile, *key, artist, genres, scene.at))
            {
                put(fact, value);
            }
        }
        CandidateTable {
            items: items.to_vec(),
            artists,
            sources: Vec::new(),
            evidence_ends: vec![0; items.len()],
            evidence: Vec::new(),
            facts,
        }
    }
}

/// Whether two events are cards of one answer, or of one moment where cards name no answer.
fn is_same_page(first: &Event, event: &Event) -> bool {
    let both_shown = first.kind == EventKind::Impression && event.kind == EventKind::Impression;
    both_shown
        && first.recommendation == event.recommendation
        && (first.recommendation.is_some() || first.occurred_at == event.occurred_at)
}
