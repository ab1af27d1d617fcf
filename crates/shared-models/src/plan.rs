//! Plans: what the edge compiles from a surface, and the only thing the services know of it.
//!
//! A plan is complete in itself: with the data it ran on and its seed, it can be run again.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ItemKey, ReleaseId, Seed, ShelfId, TenantId, Timestamp, UserId,
    candidates::CandidateTable,
    component::{FilterName, FilterParams, SourceName, SourceParams},
    explore::{Explore, NewItems},
    item::Market,
    listener::ListenerContext,
};

/// The moment and place of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestContext {
    /// The server's time of the request: the only time its stages may use.
    pub now: Timestamp,
    /// The listener's local hour, 0..=23.
    pub local_hour: u8,
    /// The listener's local weekday, 0 (Monday) ..=6.
    pub local_weekday: u8,
    /// Where the listener is.
    pub market: Market,
    /// The kind of device, such as `phone`; empty when not told.
    pub device: String,
    /// The listener's session, when told.
    pub session: Option<String>,
    /// The seed of every random draw.
    pub seed: Seed,
}

/// One source, once per page however many shelves use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourcePlan {
    /// Which source.
    pub name: SourceName,
    /// How many candidates it may return, 1..=2,000: the largest limit of the shelves that use it.
    pub limit: u32,
    /// Its settings.
    pub params: SourceParams,
    /// How long it may take; the lesser of this and what remains of the run counts.
    #[serde(with = "humantime_serde")]
    pub budget: Duration,
}

/// A shelf's use of a page's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceUse {
    /// Index into [`CandidatePlan::sources`].
    pub source: u16,
    /// How many of its candidates, by its own order, the shelf takes.
    pub limit: u32,
}

/// One filter with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FilterPlan {
    /// Which filter.
    pub name: FilterName,
    /// Its settings, defaults filled in.
    pub params: FilterParams,
}

/// The candidates one shelf wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShelfCandidatePlan {
    /// Which shelf.
    pub shelf: ShelfId,
    /// Where its candidates come from, most wanted first.
    pub sources: Vec<SourceUse>,
    /// What drops them, in order; the first drop wins.
    pub filters: Vec<FilterPlan>,
    /// The most candidates it may keep.
    pub limit: u32,
}

/// The candidates of all shelves of a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CandidatePlan {
    /// The page's sources, each once.
    pub sources: Vec<SourcePlan>,
    /// The page's shelves.
    pub shelves: Vec<ShelfCandidatePlan>,
    /// Whether facts about what everybody was shown and took of late are wanted: exploration reads them.
    #[serde(default)]
    pub crowd: bool,
}

/// One page's question to candidate-generation.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateQuery {
    /// Whose catalogue and users.
    pub tenant: TenantId,
    /// The listener; `None` is somebody unknown.
    pub user: Option<UserId>,
    /// When and where.
    pub context: RequestContext,
    /// The items an item surface is about; they are never candidates themselves.
    pub seed_items: Vec<ItemKey>,
    /// Items the request excludes.
    pub exclude: Vec<ItemKey>,
    /// What to gather.
    pub plan: Arc<CandidatePlan>,
    /// Whether the answer is recorded whole: then it also tells which candidates were dropped.
    pub whole: bool,
    /// The release to answer with, while it is the live one or the one before.
    pub release: Option<ReleaseId>,
}

/// How much each action is worth on a shelf. The blended score is `Σ weight · P(action)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Worth of a start.
    pub play: f32,
    /// Worth of a play to the end.
    pub complete: f32,
    /// Worth of a yes.
    pub like: f32,
    /// Worth of an early move on; usually negative.
    pub skip: f32,
}

impl Objective {
    /// The weights in the order of [`crate::component::Action::ALL`].
    #[must_use]
    pub fn weights(self) -> [f32; 4] {
        [self.play, self.complete, self.like, self.skip]
    }
}

/// A card the surface sets at a place of the shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The item; it is shown when it is among the shelf's candidates.
    pub item: ItemKey,
    /// The position, from 0.
    pub position: u16,
}

/// The rules of selection on one shelf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlatePlan {
    /// The most cards, 1..=100.
    pub size: u16,
    /// The most cards of one artist; 0 is no cap.
    pub max_per_artist: u16,
    /// 0..=1: the share of maximal marginal relevance that speaks for difference.
    pub diversity: f32,
    /// How positions are left to chance.
    pub explore: Explore,
    /// Positions that are kept for new items.
    pub new_items: Option<NewItems>,
    /// Cards set at a place.
    pub pins: Vec<Pin>,
}

/// What ranking does with one shelf's candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct ShelfRankPlan {
    /// Which shelf.
    pub shelf: ShelfId,
    /// Its candidates: rows of the table.
    pub rows: Vec<u32>,
    /// The sources (indices of [`CandidateTable::sources`]) whose evidence counts on this shelf.
    pub sources: Vec<u16>,
    /// What its cards are worth.
    pub objective: Objective,
    /// The rules of selection.
    pub slate: SlatePlan,
    /// The slot of the page it is pinned to, from 0.
    pub pinned_slot: Option<u16>,
}

/// How the shelves of a page are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShelfOrder {
    /// By what each is worth to this listener, largest first; pinned shelves keep their slot.
    #[default]
    ByScore,
    /// As the surface lists them.
    Fixed,
}

/// One page's question to ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct RankQuery {
    /// Whose models.
    pub tenant: TenantId,
    /// When and where.
    pub context: RequestContext,
    /// The items an item surface is about.
    pub seed_items: Vec<ItemKey>,
    /// Who listens, as candidate-generation derived it.
    pub listener: Arc<ListenerContext>,
    /// The page's candidates with their facts and evidence.
    pub table: Arc<CandidateTable>,
    /// The page's shelves.
    pub shelves: Vec<ShelfRankPlan>,
    /// How they are ordered.
    pub order: ShelfOrder,
    /// Whether the answer is recorded whole: then it also tells the scores of all candidates and the features of the
    /// cards.
    pub whole: bool,
    /// The release to answer with, while it is the live one or the one before.
    pub release: Option<ReleaseId>,
}
