//! The conductor: candidates, then ranking, each with its share of the budget, and the ladder down when
//! something is missing. A valid request always gets a page.
//!
//! Must not know HTTP, nor how the services work.

use std::{sync::Arc, time::Duration};

use contracts::{Candidates, Deadline, Failure, Ranking};
use service_runtime::{
    client::CIRCUIT_OPEN,
    deadline,
    trace::{self, Attribute, names},
};
use shared_models::{
    ErrorCode, ItemKey, ReleaseId, TenantId,
    candidates::CandidateSet,
    degraded::{DegradedCause, DegradedLevel, DegradedStage},
    plan::RankQuery,
    slate::{RankDetail, RankedPage, Slate},
    surface::{Fallback, Surface},
};

use crate::{
    fallback::{Fallbacks, GoodPage, PageKey, Wanted},
    page::{DisplayCache, PageShelf, assemble, keys_of, source_order},
    plan::{Ask, Blueprint},
};

/// How many popular cards a page falls back to where the client sets no limit.
const POPULAR_CARDS: u16 = 20;

/// How a budget is divided. What is left is the edge's own: reading titles, assembling, writing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shares {
    /// The share of candidate-generation.
    pub(crate) candidates: f64,
    /// The share of ranking; it also gets what candidates leave over.
    pub(crate) ranking: f64,
}

impl Shares {
    /// How long a source may take, given the budget of the answer: a little less than the whole call, so
    /// that a slow source is left out instead of failing the call.
    #[must_use]
    pub(crate) fn source_budget(self, budget: Duration) -> Duration {
        budget.mul_f64(self.candidates * 0.8)
    }
}

/// A finished page.
pub(crate) struct Conducted {
    pub(crate) shelves: Arc<Vec<PageShelf>>,
    pub(crate) release: Option<ReleaseId>,
    pub(crate) level: DegradedLevel,
    pub(crate) stages: Vec<DegradedStage>,
    /// What the page was made of, for the record; nothing on the lower rungs.
    pub(crate) made_of: Option<MadeOf>,
}

/// What `degraded` says when everything worked and no candidate is left,
const NO_CANDIDATE: &str = "candidates.none_left";
/// or none could be scored.
const NO_CARD: &str = "ranking.none_left";

impl Conducted {
    /// Whether there is no page because nothing is left to show.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.stages.iter().any(|stage| stage.stage == NO_CANDIDATE || stage.stage == NO_CARD)
    }
}

/// What a page was made of.
pub(crate) struct MadeOf {
    pub(crate) set: CandidateSet,
    pub(crate) query: RankQuery,
    pub(crate) slates: Vec<Slate>,
    pub(crate) ranking_release: Option<ReleaseId>,
    pub(crate) detail: Option<RankDetail>,
}

/// Conducts the services through one page.
pub(crate) struct Conductor {
    pub(crate) candidates: Arc<dyn Candidates>,
    pub(crate) ranking: Arc<dyn Ranking>,
    pub(crate) display: Arc<DisplayCache>,
    pub(crate) fallbacks: Fallbacks,
    pub(crate) shares: Shares,
}

impl Conductor {
    /// One page of a surface for a listener, within the budget. What became of it stands in the request's span.
    pub(crate) async fn conduct(
        &self,
        tenant: &TenantId,
        surface: &Surface,
        blueprint: &Blueprint,
        ask: &Ask,
    ) -> Conducted {
        let done = self.climb(tenant, surface, blueprint, ask).await;
        trace::annotate(|| {
            let reasons = done.stages.iter().map(|stage| format!("{}={}", stage.stage, stage.cause.as_str()));
            let release = done.release.as_ref().map_or("", ReleaseId::as_str);
            [
                (names::TENANT, Attribute::Text(tenant.as_str().to_owned())),
                (names::SURFACE, Attribute::Text(surface.surface.as_str().to_owned())),
                (names::RELEASE, Attribute::Text(release.to_owned())),
                (names::DEGRADED, Attribute::Text(done.level.as_str().to_owned())),
                (names::DEGRADED_REASONS, Attribute::Texts(reasons.collect())),
                (names::SHELVES, Attribute::Count(done.shelves.len())),
                (names::CARDS, Attribute::Count(done.shelves.iter().map(|shelf| shelf.cards.len()).sum())),
            ]
        });
        done
    }

    async fn climb(&self, tenant: &TenantId, surface: &Surface, blueprint: &Blueprint, ask: &Ask) -> Conducted {
        let budget = ask.budget.unwrap_or(surface.budget);
        let end = Deadline::within(budget);
        let mut stages = Vec::new();
        self.fallbacks.expect(tenant, ask.context.market);
        let moment = self.fallbacks.now();
        // A page that goes on is none to fall back to, and none is right in its place.
        let is_first = ask.continuation.is_none();
        let key = ask.user.as_ref().filter(|_| is_first && !surface.about_items).map(|user| PageKey {
            tenant: tenant.clone(),
            surface: surface.surface.clone(),
            user: user.clone(),
            shape: ask.shape,
            market: ask.context.market,
        });

        if let Some(made) = self.make(tenant, blueprint, ask, budget, end, &mut stages).await {
            // A page about some items is another page than the listener's own.
            if made.level < DegradedLevel::SourceOrder
                && ask.seed_items.is_empty()
                && let Some(key) = key
            {
                let (shelves, release) = (Arc::clone(&made.shelves), made.release.clone());
                let page = GoodPage { shelves, release, level: made.level, limit: ask.limit, made: moment };
                self.fallbacks.keep(key, page);
            }
            return Conducted { stages, ..made };
        }

        let fallen = self.fallbacks.fall(&Wanted {
            kind: if is_first { surface.fallback } else { Fallback::Empty },
            tenant,
            user: ask.user.as_ref(),
            market: ask.context.market,
            key: key.as_ref(),
            unwanted: ask.exclude.iter().chain(&ask.seed_items).copied().collect(),
            size: usize::from(ask.limit.unwrap_or(POPULAR_CARDS)),
            most: &|shelf| usize::from(blueprint.size_of(shelf, ask)),
        });
        Conducted {
            shelves: Arc::new(fallen.shelves),
            release: fallen.release,
            level: fallen.level,
            stages,
            made_of: None,
        }
    }

    /// The upper rungs: a page from candidates. `None` when it would be empty; `stages` says why.
    async fn make(
        &self,
        tenant: &TenantId,
        blueprint: &Blueprint,
        ask: &Ask,
        budget: Duration,
        end: Deadline,
        stages: &mut Vec<DegradedStage>,
    ) -> Option<Conducted> {
        let set = match self.gather(tenant, blueprint, ask, budget).await {
            Ok(set) => set,
            Err(cause) => {
                stages.push(DegradedStage::new("candidates", cause));
                return None;
            }
        };
        stages.extend(set.degraded.iter().cloned());
        for source in &set.sources {
            if let Some(cause) = source.degraded {
                let stage = DegradedStage::new(format!("source.{}", source.name), cause);
                if !stages.iter().any(|known| known.stage == stage.stage) {
                    stages.push(stage);
                }
            }
        }

        let query = blueprint.rank_query(tenant, ask, &set);
        if query.shelves.is_empty() {
            // Everything worked, and nothing was left: a new tenant, or filters that drop everything.
            let cause = if set.release.is_none() { DegradedCause::NoRelease } else { DegradedCause::Skipped };
            stages.push(DegradedStage::new(NO_CANDIDATE, cause));
            return None;
        }
        let table = Arc::clone(&query.table);
        let until = end.sooner(budget.mul_f64((1.0 - self.shares.candidates - self.shares.ranking).max(0.0)));
        let (slates, ranking_release, detail, mut level) = match self.order(query.clone(), until).await {
            Ok(page) => {
                stages.extend(page.degraded);
                (page.slates, page.release, page.detail, DegradedLevel::None)
            }
            Err(cause) => {
                stages.push(DegradedStage::new("ranking", cause));
                (source_order(&query), None, None, DegradedLevel::SourceOrder)
            }
        };
        stages.extend(missing_pins(&query, &slates));
        let release = ranking_release.clone().or_else(|| set.release.clone());

        let keys = keys_of(&slates, &table);
        let (displayed, failure) = self.display.read(tenant, &keys, end).await;
        if let Some(failure) = failure {
            stages.push(DegradedStage::new("display", cause_of(&failure)));
        }
        let shelves = assemble(blueprint, &slates, &table, &displayed, ask.context.market);
        if shelves.is_empty() {
            if !stages.iter().any(|stage| stage.stage == "display") {
                stages.push(DegradedStage::new(NO_CARD, DegradedCause::Skipped));
            }
            return None;
        }
        if level == DegradedLevel::None && !stages.is_empty() {
            level = DegradedLevel::Partial;
        }
        Some(Conducted {
            shelves: Arc::new(shelves),
            release,
            level,
            stages: Vec::new(),
            made_of: Some(MadeOf { set, query, slates, ranking_release, detail }),
        })
    }

    async fn gather(
        &self,
        tenant: &TenantId,
        blueprint: &Blueprint,
        ask: &Ask,
        budget: Duration,
    ) -> Result<CandidateSet, DegradedCause> {
        let until = Deadline::within(budget.mul_f64(self.shares.candidates));
        let query = blueprint.candidate_query(tenant, ask, self.shares.source_budget(budget));
        let set = answer_of(deadline::run(until, self.candidates.generate(query, until)).await, "candidates")?;
        match set.table.inconsistency() {
            None => Ok(set),
            Some(inconsistency) => {
                tracing::error!(inconsistency, "candidates contradict themselves");
                Err(DegradedCause::Failed)
            }
        }
    }

    async fn order(&self, query: RankQuery, until: Deadline) -> Result<RankedPage, DegradedCause> {
        let shelves: Vec<_> = query.shelves.iter().map(|shelf| shelf.shelf.clone()).collect();
        let rows = query.table.len();
        let page = answer_of(deadline::run(until, self.ranking.rank(query, until)).await, "ranking")?;
        // An answer to another question is no answer.
        let sound = page.slates.iter().all(|slate| {
            shelves.contains(&slate.shelf)
                && slate.cards.iter().all(|card| {
                    (card.row as usize) < rows
                        && card.score.is_finite()
                        && card.propensity > 0.0
                        && card.propensity <= 1.0
                })
        });
        if sound && page.slates.iter().any(|slate| !slate.cards.is_empty()) {
            return Ok(page);
        }
        tracing::error!(slates = page.slates.len(), sound, "ranking's answer does not fit the question");
        Err(DegradedCause::Failed)
    }
}

/// What the surface pins and the page does not show: no candidate of its shelf, or dropped by a filter.
fn missing_pins<'a>(query: &'a RankQuery, slates: &'a [Slate]) -> impl Iterator<Item = DegradedStage> + 'a {
    query.shelves.iter().filter(|shelf| !shelf.slate.pins.is_empty()).filter_map(|shelf| {
        let slate = slates.iter().find(|slate| slate.shelf == shelf.shelf)?;
        let shows =
            |item: &ItemKey| slate.cards.iter().any(|card| query.table.items.get(card.row as usize) == Some(item));
        let missing = shelf.slate.pins.iter().any(|pin| !shows(&pin.item));
        missing.then(|| DegradedStage::new(format!("slate.{}.pins", shelf.shelf), DegradedCause::Skipped))
    })
}

fn answer_of<T>(
    outcome: Result<Result<T, Failure>, deadline::Elapsed>,
    stage: &'static str,
) -> Result<T, DegradedCause> {
    match outcome {
        Ok(Ok(answer)) => Ok(answer),
        // The breaker has told it once; now it would be told for every page.
        Ok(Err(failure)) if failure.reason == CIRCUIT_OPEN => Err(cause_of(&failure)),
        Ok(Err(failure)) => {
            tracing::warn!(stage, error.code = failure.code.as_str(), error.reason = %failure.reason, "stage is missing");
            Err(cause_of(&failure))
        }
        Err(_) => {
            tracing::warn!(stage, "stage is too slow");
            Err(DegradedCause::Timeout)
        }
    }
}

fn cause_of(failure: &Failure) -> DegradedCause {
    match failure.code {
        ErrorCode::DeadlineExceeded => DegradedCause::Timeout,
        ErrorCode::Unavailable | ErrorCode::ResourceExhausted => DegradedCause::Unavailable,
        ErrorCode::InvalidArgument
        | ErrorCode::Unauthenticated
        | ErrorCode::PermissionDenied
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::Internal => DegradedCause::Failed,
    }
}
