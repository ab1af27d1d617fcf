//! The plan compiler: a surface and a request become the questions to the services.
//!
//! Must not know HTTP, nor what the services do with a plan.

mod candidates;
mod ranking;

use std::{sync::Arc, time::Duration};

use contracts::records::EncodedPlan;
use shared_models::{
    ItemKey, ReleaseId, Seed, ShelfId, TenantId, UserId,
    candidates::CandidateSet,
    plan::{CandidatePlan, CandidateQuery, RankQuery, RequestContext},
    surface::Surface,
};

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Shelves of cards.
    Page,
    /// One flat slate.
    Flat,
}

/// The shelf that stands for the whole surface in a flat answer.
pub(crate) const FLAT_SHELF: &str = "recommended";

/// The releases that answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Releases {
    /// candidate-generation's.
    pub candidates: Option<ReleaseId>,
    /// ranking's.
    pub ranking: Option<ReleaseId>,
}

/// What an answer goes on from: the answers before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The seed of the first answer.
    pub seed: Seed,
    /// How many answers came before.
    pub page: u16,
    /// What they showed, ascending.
    pub shown: Vec<ItemKey>,
    /// What the first one was made with.
    pub releases: Releases,
}

/// A checked request, in the words of the plan.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The listener; `None` is somebody unknown.
    pub user: Option<UserId>,
    /// When and where.
    pub context: RequestContext,
    /// The items the request is about.
    pub seed_items: Vec<ItemKey>,
    /// Items the answer must not hold.
    pub exclude: Vec<ItemKey>,
    /// The most cards on a shelf.
    pub limit: Option<u16>,
    /// Whether positions may be drawn at random.
    pub explore: bool,
    /// What the answer looks like.
    pub shape: Shape,
    /// How long the answer may take, when the client says so.
    pub budget: Option<Duration>,
    /// Whether the answer is recorded whole, with all candidates.
    pub whole: bool,
    /// The answers before this one; `None` where it is the first.
    pub continuation: Option<Continuation>,
}

impl Ask {
    /// The same, going on from answers before: without what they showed, and with a seed that follows from theirs.
    #[must_use]
    pub fn after(mut self, continuation: Continuation) -> Self {
        self.exclude.extend(&continuation.shown);
        self.exclude.sort_unstable();
        self.exclude.dedup();
        self.context.seed = Seed(continuation.seed.0.wrapping_add(u64::from(continuation.page)));
        self.continuation = Some(continuation);
        self
    }

    fn releases(&self) -> Releases {
        self.continuation.as_ref().map(|continuation| continuation.releases.clone()).unwrap_or_default()
    }
}

/// A surface compiled for one shape: everything that does not change from request to request.
#[derive(Clone, Debug)]
pub struct Blueprint {
    shelves: Vec<ranking::ShelfRules>,
    order: shared_models::plan::ShelfOrder,
    candidates: Arc<CandidatePlan>,
    encoded: EncodedPlan,
    source_budget: Duration,
}

impl Blueprint {
    /// Compiles a surface. A source may take `source_budget`.
    #[must_use]
    pub fn compile(surface: &Surface, shape: Shape, source_budget: Duration) -> Self {
        let flat;
        let surface = match shape {
            Shape::Page => surface,
            Shape::Flat => {
                flat = flattened(surface);
                &flat
            }
        };
        let candidates = candidates::compile(surface, source_budget);
        let shelves = surface
            .shelves
            .iter()
            .zip(&candidates.shelves)
            .map(|(shelf, plan)| ranking::ShelfRules::of(shelf, plan))
            .collect();
        let encoded = EncodedPlan::of(&candidates);
        Self { shelves, order: surface.order, candidates: Arc::new(candidates), encoded, source_budget }
    }

    /// The question to candidate-generation.
    #[must_use]
    pub fn candidate_query(&self, tenant: &TenantId, ask: &Ask, source_budget: Duration) -> CandidateQuery {
        let plan = if source_budget == self.source_budget {
            Arc::clone(&self.candidates)
        } else {
            let mut plan = CandidatePlan::clone(&self.candidates);
            for source in &mut plan.sources {
                source.budget = source_budget;
            }
            Arc::new(plan)
        };
        CandidateQuery {
            tenant: tenant.clone(),
            user: ask.user.clone(),
            context: ask.context.clone(),
            seed_items: ask.seed_items.clone(),
            exclude: ask.exclude.clone(),
            plan,
            whole: ask.whole,
            release: ask.releases().candidates,
        }
    }

    /// The question to ranking, for the candidates that came back.
    #[must_use]
    pub fn rank_query(&self, tenant: &TenantId, ask: &Ask, set: &CandidateSet) -> RankQuery {
        let shelves = self.shelves.iter().filter_map(|rules| rules.plan(ask, set)).collect();
        RankQuery {
            tenant: tenant.clone(),
            context: ask.context.clone(),
            seed_items: ask.seed_items.clone(),
            listener: Arc::clone(&set.listener),
            table: Arc::clone(&set.table),
            shelves,
            order: self.order,
            whole: ask.whole,
            release: ask.releases().ranking,
        }
    }

    /// The title of a shelf.
    #[must_use]
    pub fn title(&self, shelf: &ShelfId) -> Option<&Arc<str>> {
        self.shelves.iter().find(|rules| rules.id == *shelf).map(|rules| &rules.title)
    }

    /// The most cards that a shelf may have in an answer.
    #[must_use]
    pub fn size_of(&self, shelf: &ShelfId, ask: &Ask) -> u16 {
        let rules = self.shelves.iter().find(|rules| rules.id == *shelf);
        rules.map_or(u16::MAX, |rules| rules.size(ask))
    }

    /// How shelves are ordered.
    #[must_use]
    pub fn order(&self) -> shared_models::plan::ShelfOrder {
        self.order
    }

    /// The candidate plan, for the record.
    #[must_use]
    pub fn candidates(&self) -> &Arc<CandidatePlan> {
        &self.candidates
    }

    /// The same as it stands in every record.
    #[must_use]
    pub fn encoded_candidates(&self) -> &EncodedPlan {
        &self.encoded
    }
}

/// One shelf with the sources of all, and the first shelf's filters, objective and rules: what the
/// team put first is what the surface is for.
fn flattened(surface: &Surface) -> Surface {
    let mut flat = surface.clone();
    let mut shelves = flat.shelves.into_iter();
    let mut only: Vec<_> = shelves.next().into_iter().collect();
    if let Some(first) = only.first_mut() {
        // The name is a constant of the right alphabet; should it ever not be, the first shelf keeps its own.
        if let Ok(id) = ShelfId::new(FLAT_SHELF) {
            first.id = id;
        }
        first.slot = None;
        for source in shelves.flat_map(|shelf| shelf.sources) {
            match first.sources.iter_mut().find(|known| known.name == source.name && known.params == source.params) {
                Some(known) => known.limit = known.limit.max(source.limit),
                None => first.sources.push(source),
            }
        }
    }
    flat.shelves = only;
    flat
}

#[cfg(test)]
mod tests {
    use shared_models::component::{FilterName, SourceName};

    use super::*;
    use crate::surfaces::Surfaces;

    fn home(shape: Shape) -> Blueprint {
        let surfaces = Surfaces::load(None).unwrap();
        Blueprint::compile(&surfaces.by_name("home").unwrap().surface, shape, Duration::from_millis(50))
    }

    #[test]
    fn a_source_is_asked_once_with_the_largest_limit() {
        let plan = home(Shape::Page).candidates;
        let mut seen = std::collections::HashSet::new();
        for source in &plan.sources {
            assert!(seen.insert((source.name, source.params)), "{} twice", source.name);
        }
        for shelf in &plan.shelves {
            for used in &shelf.sources {
                assert!(plan.sources[usize::from(used.source)].limit >= used.limit);
            }
        }
        let trending = plan.sources.iter().find(|s| s.name == SourceName::Trending).unwrap();
        assert_eq!(trending.limit, 100);
    }

    #[test]
    fn what_the_request_excludes_is_dropped_on_every_shelf() {
        for shelf in &home(Shape::Page).candidates.shelves {
            assert!(shelf.filters.iter().any(|filter| filter.name == FilterName::ExcludedByRequest), "{}", shelf.shelf);
        }
    }

    #[test]
    fn a_flat_answer_has_one_shelf_with_every_source() {
        let plan = home(Shape::Flat).candidates;
        assert_eq!(plan.shelves.len(), 1);
        assert_eq!(plan.shelves[0].shelf.as_str(), FLAT_SHELF);
        assert_eq!(plan.shelves[0].sources.len(), home(Shape::Page).candidates.sources.len());
    }
}
