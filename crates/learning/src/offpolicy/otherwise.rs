//! Another policy by a tenant's own answers, as far as they were recorded whole: another objective, or nothing left to
//! chance. The archive's candidates tell what else might have stood at each place, and ranking's own rules say with which
//! probability the other policy would have put there what did.
//!
//! Order of shelves stays as it was: a shelf's policy is that of the cards which it might choose, given those above.

use std::{path::Path, sync::Arc};

use ranking::{
    features::Gathered,
    objective,
    slate::{self, Rules as SlateRules},
};
use releases::{Release, Store};
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    ItemKey, ReleaseId, Seed, TenantId, Timestamp,
    candidates::CandidateTable,
    explore::Explore,
    item::Market,
    plan::{Objective, RankQuery, RequestContext, ShelfOrder, SlatePlan},
};

use super::{
    Error,
    answers::Asked,
    report::Comparison,
    slates::{self, List, Slot},
};
use crate::{
    archive::{
        Archive, CandidateRow,
        candidates::{Candidate, Rules},
    },
    progress::Progress,
};

/// A recomputed probability may be so far from the recorded one, as a share of it: scores are kept exactly, and a release's
/// vectors are the same.
const APART: f64 = 0.01;

/// The other policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Otherwise {
    /// What cards are worth; as it was where `None`.
    pub objective: Option<Objective>,
    /// Whether places are left to chance as they were; else the best card stands at each.
    pub explores: bool,
}

impl Otherwise {
    /// It in words.
    #[must_use]
    pub fn name(&self) -> String {
        let Some(Objective { play, complete, like, skip }) = self.objective else {
            return "without exploration".to_owned();
        };
        let of = [("play", play), ("complete", complete), ("like", like), ("skip", skip)];
        let of: Vec<String> = of
            .into_iter()
            .filter(|(_, weight)| *weight != 0.0)
            .map(|(name, weight)| format!("{name}={weight}"))
            .collect();
        format!("objective {}{}", of.join(","), if self.explores { "" } else { ", without exploration" })
    }
}

/// A card as it was shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownCard {
    pub(super) item: ItemKey,
    pub(super) reward: f64,
    pub(super) propensity: f64,
}

/// The cards of a shelf as they were shown, and what stood above it.
#[derive(Clone, Debug, Default)]
pub(super) struct ShownShelf {
    pub(super) unit: u32,
    pub(super) cards: Vec<ShownCard>,
    pub(super) above: FxHashSet<ItemKey>,
}

/// What was shown, by answer and shelf.
pub(super) type ShownShelves = FxHashMap<(String, String), ShownShelf>;

/// Why lists do not count.
#[derive(Clone, Copy, Debug, Default)]
struct LeftOut {
    unshown: usize,
    unpredicted: usize,
    unsupported: usize,
    without_release: usize,
    unlike: usize,
}

impl LeftOut {
    fn notes(self) -> Vec<String> {
        let of = [
            (self.unshown, "have no card in the table of recommendations yet"),
            (self.unpredicted, "hold no prediction of every candidate: an earlier version recorded them"),
            (
                self.unsupported,
                "keep places for new items or draw by belief, which needs counts that records do not hold",
            ),
            (
                self.without_release,
                "ask for difference between cards, and the release whose vectors tell it is kept no more",
            ),
            (self.unlike, "do not come out with the probability that was recorded: a part of ranking was missing then"),
        ];
        of.into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{count} lists are left out: they {why}"))
            .collect()
    }
}

/// The whole records of a span, by surface and shelf.
pub(super) struct Whole {
    shelves: Vec<(String, Vec<Vec<CandidateRow>>)>,
}

impl Whole {
    pub(super) fn read(
        archive: &Archive,
        tenant: &TenantId,
        asked: &Asked,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let rows = archive.read_candidates(tenant, asked.span, progress)?;
        let mut shelves: Vec<(String, Vec<Vec<CandidateRow>>)> = Vec::new();
        let is_same =
            |a: &CandidateRow, b: &CandidateRow| a.origin.message == b.origin.message && a.shelf.shelf == b.shelf.shelf;
        for group in rows.chunk_by(is_same) {
            let Some(first) = group.first() else { continue };
            let name = format!("{}/{}", first.shelf.surface, first.shelf.shelf);
            let at = shelves.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                shelves.push((name, Vec::new()));
                shelves.len() - 1
            });
            if let Some((_, lists)) = shelves.get_mut(at) {
                lists.push(group.to_vec());
            }
        }
        shelves.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { shelves })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shelves.is_empty()
    }

    /// The shelves that have whole records.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.shelves.iter().map(|(name, _)| name.as_str())
    }

    /// What the other policy would bring on a shelf; `None` where no record of it is whole.
    pub(super) fn shelf(
        &self,
        name: &str,
        other: Otherwise,
        shown: &ShownShelves,
        tenant: &TenantId,
        asked: &Asked,
    ) -> Result<Option<Comparison>, Error> {
        let Some((_, groups)) = self.shelves.iter().find(|(known, _)| known == name) else { return Ok(None) };
        let mut releases = Releases { root: asked.releases.as_deref(), tenant, open: FxHashMap::default() };
        let (mut lists, mut left) = (Vec::new(), LeftOut::default());
        for group in groups {
            match list(group, other, shown, &mut releases) {
                Ok(mut list) => {
                    list.slots.truncate(asked.places.unwrap_or(usize::MAX));
                    lists.push(list);
                }
                Err(why) => *why(&mut left) += 1,
            }
        }
        let mut notes = vec![format!("{} answers of this shelf were recorded whole", groups.len())];
        notes.extend(left.notes());
        if let Some(places) = asked.places {
            notes.push(format!("the first {places} places alone"));
        }
        let estimates =
            if lists.is_empty() { Vec::new() } else { slates::evaluate(&lists, asked.clip, asked.intervals)? };
        let never = lists.iter().filter(|list| list.slots.iter().any(|slot| slot.policy <= 0.0)).count();
        if never > 0 {
            let share = 100.0 * never as f64 / lists.len().max(1) as f64;
            notes.push(format!("{share:.0} % of the lists the other policy would never show; they have no weight"));
        }
        let live = Comparison::by_live(name, other.name(), &lists, asked.intervals);
        Ok(Some(Comparison { estimates, notes, ..live }))
    }
}

/// Which count of the lists that are left out goes up.
type Why = fn(&mut LeftOut) -> &mut usize;

/// One shelf of one answer, with both policies' probabilities.
fn list(
    group: &[CandidateRow],
    other: Otherwise,
    shown: &ShownShelves,
    releases: &mut Releases<'_>,
) -> Result<List, Why> {
    let of = group.first().map(|row| Arc::clone(&row.shelf)).unwrap_or_default();
    let shelf = shown.get(&(of.recommendation.clone(), of.shelf.clone())).filter(|shelf| !shelf.cards.is_empty());
    let Some(shelf) = shelf else { return Err(|left| &mut left.unshown) };
    let rules: Rules = serde_json::from_str(&of.rules).map_err(|_| -> Why { |left| &mut left.unsupported })?;
    let plan = rules.slate;
    if plan.new_items.is_some() || matches!(plan.explore, Explore::Thompson { .. }) {
        return Err(|left| &mut left.unsupported);
    }
    // What stands above is not a candidate any more.
    let free = |row: &&CandidateRow| !shelf.above.contains(&row.candidate.item);
    let scored: Vec<(&Candidate, f32)> =
        group.iter().filter(free).filter_map(|row| Some((&row.candidate, row.candidate.scored?.1))).collect();
    let table = CandidateTable {
        items: scored.iter().map(|(candidate, _)| candidate.item).collect(),
        artists: scored.iter().map(|(candidate, _)| candidate.artist).collect(),
        evidence_ends: vec![0; scored.len()],
        ..CandidateTable::default()
    };
    let release = releases.of(of.ranking_release.as_deref());
    if plan.diversity > 0.0 && release.is_none() {
        return Err(|left| &mut left.without_release);
    }
    let query = question(releases.tenant, &table, of.requested_at);
    let gathered = Gathered::of(&query, release.as_deref());
    let chances = |plan: &SlatePlan, scores: &[(u32, f32)], cards: &[u32]| {
        let rules = SlateRules { plan, table: &table, units: &gathered.candidates, crowd: None };
        slate::chances(rules, scores, cards)
    };
    let place_of = |item: ItemKey| table.items.iter().position(|known| *known == item).map(|row| row as u32);
    let cards: Option<Vec<u32>> = shelf.cards.iter().map(|card| place_of(card.item)).collect();
    let Some(cards) = cards else { return Err(|left| &mut left.unlike) };
    let logged: Vec<(u32, f32)> = (0..).zip(&scored).map(|(row, (_, score))| (row, *score)).collect();
    let recomputed = chances(&plan, &logged, &cards);
    let is_alike = shelf
        .cards
        .iter()
        .zip(&recomputed)
        .all(|(card, chance)| (f64::from(*chance) - card.propensity).abs() <= APART * card.propensity);
    if !is_alike {
        return Err(|left| &mut left.unlike);
    }
    let ordered = match other.objective {
        None => logged,
        Some(objective) => {
            let blend = |(row, (candidate, _)): (u32, &(&Candidate, f32))| {
                let score = objective::blend(objective, &candidate.predictions?)?;
                Some((row, score.value()))
            };
            let blended: Option<Vec<(u32, f32)>> = (0..).zip(&scored).map(blend).collect();
            let Some(blended) = blended else { return Err(|left| &mut left.unpredicted) };
            blended
        }
    };
    let plan = SlatePlan { explore: if other.explores { plan.explore } else { Explore::None }, ..plan };
    let policy = chances(&plan, &ordered, &cards);
    let slot = |(card, policy): (&ShownCard, f32)| Slot {
        reward: card.reward,
        logged: card.propensity,
        policy: f64::from(policy),
        ..Slot::default()
    };
    Ok(List { unit: shelf.unit, slots: shelf.cards.iter().zip(policy).map(slot).collect() })
}

/// A question about nothing but where candidates lie.
fn question(tenant: &TenantId, table: &CandidateTable, now: Timestamp) -> RankQuery {
    RankQuery {
        tenant: tenant.clone(),
        context: RequestContext {
            now,
            local_hour: 0,
            local_weekday: 0,
            market: Market::UNKNOWN,
            device: String::new(),
            session: None,
            seed: Seed(0),
        },
        seed_items: Vec::new(),
        listener: Arc::default(),
        table: Arc::new(table.clone()),
        shelves: Vec::new(),
        order: ShelfOrder::default(),
        whole: false,
        release: None,
    }
}

/// The releases that answers were ranked with, as far as they are kept.
struct Releases<'a> {
    root: Option<&'a Path>,
    tenant: &'a TenantId,
    open: FxHashMap<String, Option<Arc<Release>>>,
}

impl Releases<'_> {
    fn of(&mut self, id: Option<&str>) -> Option<Arc<Release>> {
        let (id, root) = (id?, self.root?);
        if let Some(known) = self.open.get(id) {
            return known.clone();
        }
        let read = || Store::open(root).ok()?.load(self.tenant, &ReleaseId::new(id).ok()?).ok();
        let found = read().map(Arc::new);
        self.open.insert(id.to_owned(), found.clone());
        found
    }
}
