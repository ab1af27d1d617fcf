//! The table of contents of a page: which hydrators always run, and how a plan becomes sources, shelves
//! and filters. The only place where components are listed with need and budget.

use std::{sync::Arc, time::Duration};

use ::pipeline::{
    Need, StageMetrics, Step,
    candidates::{CandidatePipeline, Dropped, Filter, Group, Merged, Run, Source, SourceStep},
};
use service_runtime::deadline::Deadline;
use shared_models::{
    ItemKey, ReleaseId,
    candidates::{CandidateSet, CandidateTable, DroppedItem, Evidence, ShelfCandidates},
    degraded::{DegradedStage, SourceReport},
    listener::ListenerContext,
    plan::{CandidatePlan, ShelfCandidatePlan},
};

use crate::{
    catalog::Handle,
    error::Error,
    filters::{InCatalogueFilter, filter},
    hydrators::{CrowdHydrator, Facts, ItemHydrator, ListenerHydrator, PopularityHydrator, no_facts},
    query::PageQuery,
    sources::source,
};

/// More than any hydrator needs; what remains of the run caps it.
const HYDRATOR: Duration = Duration::from_millis(20);

/// The candidate pipeline of this service.
pub struct Pipeline(CandidatePipeline<PageQuery, Handle, Facts>);

impl Pipeline {
    /// The pipeline with its hydrators.
    #[must_use]
    pub fn new(metrics: StageMetrics) -> Self {
        Self(CandidatePipeline::new(
            vec![
                Step::best_effort(HYDRATOR, Box::new(ItemHydrator)),
                Step::best_effort(HYDRATOR, Box::new(PopularityHydrator)),
                Step::best_effort(HYDRATOR, Box::new(ListenerHydrator)),
                Step::best_effort(HYDRATOR, Box::new(CrowdHydrator)),
            ],
            metrics,
        ))
    }

    /// The pipeline where nobody looks at its counts: for a trainer that makes pages of the past.
    #[must_use]
    pub fn unobserved() -> Self {
        Self::new(StageMetrics::register(&service_runtime::Metrics::new(), "candidates"))
    }

    /// Runs one page: every source of the plan once, whoever of its shelves uses it.
    ///
    /// # Errors
    /// When the plan contradicts itself.
    pub async fn run(&self, query: &PageQuery, deadline: Deadline) -> Result<Gathered, Error> {
        let plan = Arc::clone(&query.asked.plan);
        check(&plan)?;
        let sources: Vec<Box<dyn Source<PageQuery, Handle>>> = plan.sources.iter().map(source).collect();
        let steps: Vec<SourceStep<'_, PageQuery, Handle>> = plan
            .sources
            .iter()
            .zip(&sources)
            .map(|(plan, source)| SourceStep {
                source: &**source,
                limit: plan.limit as usize,
                budget: plan.budget,
                need: Need::BestEffort,
            })
            .collect();
        let groups: Vec<Group<'_, PageQuery, Handle>> = plan.shelves.iter().map(group).collect();
        let run = self.0.run(query, &steps, &groups, |_| no_facts(), deadline).await.map_err(Error::Stage)?;
        Ok(gathered(query, &plan, run))
    }
}

fn group(shelf: &ShelfCandidatePlan) -> Group<'_, PageQuery, Handle> {
    let mut filters: Vec<Box<dyn Filter<PageQuery, Handle>>> = Vec::with_capacity(shelf.filters.len() + 1);
    filters.push(Box::new(InCatalogueFilter));
    filters.extend(shelf.filters.iter().map(filter));
    Group {
        sources: shelf.sources.iter().map(|used| (usize::from(used.source), used.limit as usize)).collect(),
        filters,
        limit: shelf.limit as usize,
    }
}

/// What everything else takes for granted of a plan.
fn check(plan: &CandidatePlan) -> Result<(), Error> {
    for (index, source) in plan.sources.iter().enumerate() {
        if !(1..=2_000).contains(&source.limit) {
            return Err(Error::Limit { source_name: source.name, limit: source.limit });
        }
        if plan.sources.iter().take(index).any(|before| before.name == source.name && before.params == source.params) {
            return Err(Error::Twice { source_name: source.name });
        }
    }
    for shelf in &plan.shelves {
        if let Some(used) = shelf.sources.iter().find(|used| usize::from(used.source) >= plan.sources.len()) {
            return Err(Error::Source { shelf: shelf.shelf.clone(), index: used.source, sources: plan.sources.len() });
        }
    }
    Ok(())
}

/// What a page's run gave, in the words of the contract.
#[derive(Debug)]
pub struct Gathered {
    table: CandidateTable,
    shelves: Vec<ShelfCandidates>,
    sources: Vec<SourceReport>,
    degraded: Vec<DegradedStage>,
}

impl Gathered {
    /// The answer, with what was missing before the run.
    #[must_use]
    pub fn answer(
        self,
        listener: Arc<ListenerContext>,
        mut missing: Vec<DegradedStage>,
        release: Option<ReleaseId>,
    ) -> CandidateSet {
        missing.extend(self.degraded);
        CandidateSet {
            table: Arc::new(self.table),
            shelves: self.shelves,
            listener,
            sources: self.sources,
            degraded: missing,
            release,
        }
    }
}

fn dropped_items(merged: &Merged<Handle>, group: &::pipeline::candidates::Gathered) -> Vec<DroppedItem> {
    let of = |dropped: &Dropped| {
        let item = merged.keys.get(dropped.row as usize)?.key;
        Some(DroppedItem { item, reason: dropped.reason, source: dropped.source, rank: dropped.rank })
    };
    group.dropped_rows.iter().filter_map(of).collect()
}

/// Rows that no shelf keeps are counted in the shelves' drops, and not sent.
fn gathered(query: &PageQuery, plan: &CandidatePlan, run: Run<Handle, Facts>) -> Gathered {
    const UNUSED: u32 = u32::MAX;
    let Run { merged, facts, groups, sources, degraded } = run;
    let mut new_row = vec![UNUSED; merged.keys.len()];
    for row in groups.iter().flat_map(|group| &group.kept) {
        if let Some(used) = new_row.get_mut(*row as usize) {
            *used = 0;
        }
    }
    let kept: Vec<usize> =
        (0..merged.keys.len()).filter(|row| new_row.get(*row).is_some_and(|used| *used != UNUSED)).collect();
    let mut table = CandidateTable {
        sources: plan.sources.iter().map(|source| source.name).collect(),
        ..CandidateTable::default()
    };
    for (new, old) in kept.iter().enumerate() {
        let Some(item) = merged.keys.get(*old) else {
            continue;
        };
        if let Some(place) = new_row.get_mut(*old) {
            *place = new as u32;
        }
        table.items.push(item.key);
        table.artists.push(query.row(*item).map_or(ItemKey::NONE, |row| row.artist));
        let end = |row: usize| merged.evidence_ends.get(row).copied().unwrap_or(0) as usize;
        let start = old.checked_sub(1).map_or(0, end);
        let evidence = merged.evidence.get(start..end(*old)).unwrap_or(&[]);
        table.evidence.extend(evidence.iter().map(|word| Evidence {
            source: word.source,
            rank: word.rank,
            score: word.score,
            seed: word.seed.map_or(ItemKey::NONE, |seed| seed.key),
        }));
        table.evidence_ends.push(table.evidence.len() as u32);
    }
    table.facts =
        facts
            .into_iter()
            .map(|column| {
                if column.is_empty() {
                    column
                } else {
                    kept.iter().filter_map(|row| column.get(*row).copied()).collect()
                }
            })
            .collect();
    let shelves = plan
        .shelves
        .iter()
        .zip(groups)
        .map(|(shelf, group)| ShelfCandidates {
            shelf: shelf.shelf.clone(),
            rows: group.kept.iter().filter_map(|row| new_row.get(*row as usize).copied()).collect(),
            dropped_items: if query.asked.whole { dropped_items(&merged, &group) } else { Vec::new() },
            dropped: group.dropped,
        })
        .collect();
    let sources = plan
        .sources
        .iter()
        .zip(sources)
        .map(|(plan, outcome)| SourceReport {
            name: plan.name,
            returned: outcome.returned,
            degraded: outcome.degraded,
            elapsed: outcome.elapsed,
        })
        .collect();
    Gathered { table, shelves, sources, degraded }
}
