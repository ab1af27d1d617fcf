//! The replay: each listener's events in time order, folded as intake folds them; at every page that
//! was shown, the features that serving would have computed, and what then happened.
//!
//! It must not know the model, nor how features are asked for.

use candidate_generation::profiles::{Profile, counted_at};
use rand::RngExt;
use ranking::features::COLUMNS;
use rayon::prelude::*;
use releases::Release;
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    ItemKey, TenantId, Timestamp, UserId, UserKey,
    component::Action,
    event::{Event, EventKind},
};

use super::{
    ACTIONS, Place, Rows, Settings, Source,
    facts::{Catalogue, Popularities},
    moment::action_of,
    scene::{Asker, Scene},
    trend::Trends,
};
use crate::progress::Stage;

/// How long after a card was shown what happens on it still counts as its doing.
const ATTRIBUTION_MS: i64 = 2 * 3_600_000;
/// The same where events name no recommendation, and the item alone ties them to the card.
const ATTRIBUTION_BY_ITEM_MS: i64 = 30 * 60_000;
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
    let asker = Asker {
        tenant: input.tenant,
        catalogue: input.catalogue,
        release: input.release,
        trends: input.trends,
        popularities: Popularities::of(input.release),
        seed: settings.seed,
    };
    let shown = |event: &&Event| event.kind == EventKind::Impression && event.occurred_at >= input.from;
    let impressions = input.events.iter().filter(shown).count();
    let source = if impressions > 0 { Source::Impressions } else { Source::SampledNegatives };
    let pool = if source == Source::SampledNegatives { played_items(input.events) } else { Vec::new() };
    let plays =
        input.events.iter().filter(|event| event.kind == EventKind::Play && event.occurred_at >= input.from).count();
    let available = if source == Source::Impressions { impressions } else { plays * (1 + settings.negatives) };
    let keep = if available == 0 { 0.0 } else { (settings.rows as f64 / available as f64).min(1.0) };
    let replayer = Replayer { input, settings, asker, source, pool, keep };
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
    let mut rows = Rows { pages: pages.len(), ..Rows::none(source) };
    for (number, page) in (0..).zip(pages) {
        for (at, (row, labels)) in page.features.chunks_exact(COLUMNS).zip(page.labels).enumerate() {
            rows.add(row, labels, page.places.get(at).map(|place| Place { page: number, ..*place }));
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
    /// Which cards they are, where cards were shown.
    places: Vec<Place>,
}

struct Replayer<'a> {
    input: Input<'a>,
    settings: &'a Settings,
    asker: Asker<'a>,
    source: Source,
    pool: Vec<ItemKey>,
    keep: f64,
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
            for (opener, mut items, mut places) in self.shown(&events[start..end]) {
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
                    seen.clear();
                    places.retain(|place| seen.insert(place.item));
                    let scene = Scene::of(opener);
                    let labels = self.labels(&scene, &items, &events[start..]);
                    let features = self.asker.features(&profile, &scene, &items);
                    pages.push(Page { at: scene.at, features, labels, places });
                }
            }
            for event in &events[start..end] {
                profile.apply(event, &self.input.catalogue.for_fold(event.item_key()));
            }
            start = end;
        }
        pages
    }

    /// The pages among events that belong together: each with the event that opens it, its items, and where they stood.
    fn shown<'e>(&self, events: &[&'e Event]) -> Vec<(&'e Event, Vec<ItemKey>, Vec<Place>)> {
        let mut pages: Vec<(&Event, Vec<ItemKey>, Vec<Place>)> = Vec::new();
        for &event in events {
            let key = event.item_key();
            match self.source {
                Source::Impressions if event.kind == EventKind::Impression => {
                    let at = match pages.iter().position(|(opener, ..)| is_same_page(opener, event)) {
                        Some(at) => at,
                        None => {
                            pages.push((event, Vec::new(), Vec::new()));
                            pages.len() - 1
                        }
                    };
                    let (_, items, places) = &mut pages[at];
                    // Where a client does not say, all cards count as standing first: nothing is made of it.
                    let position = event.position.unwrap_or_default();
                    items.push(key);
                    let user = UserKey::of(&event.user);
                    places.push(Place { page: 0, position, shelf: 0, user, item: key });
                }
                Source::SampledNegatives if event.kind == EventKind::Play => {
                    pages.push((event, vec![key], Vec::new()));
                }
                Source::Impressions | Source::SampledNegatives | Source::Pages | Source::Records | Source::Kept => {}
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
}

/// Whether two events are cards of one answer, or of one moment where cards name no answer.
fn is_same_page(first: &Event, event: &Event) -> bool {
    let both_shown = first.kind == EventKind::Impression && event.kind == EventKind::Impression;
    both_shown
        && first.recommendation == event.recommendation
        && (first.recommendation.is_some() || first.occurred_at == event.occurred_at)
}
