//! The candidate runner: sources → merge → hydrators → filters → cap.

use std::{
    fmt::Debug,
    hash::Hash,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream::FuturesUnordered};
use rustc_hash::FxHashMap;
use service_runtime::deadline::{self, Deadline};
use shared_models::{
    component::DropReason,
    degraded::{DegradedCause, DegradedStage},
};
use tracing::{Instrument, field};

use crate::{
    metrics::StageMetrics,
    stage::{Failure, Need, Patch, StageResult, Step},
};

/// What a candidate is known by inside the service: small, ordered, cheap to copy.
pub trait Key: Copy + Eq + Ord + Hash + Debug + Send + Sync + 'static {}
impl<K: Copy + Eq + Ord + Hash + Debug + Send + Sync + 'static> Key for K {}

/// One candidate as its source found it, best first in the source's list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<K> {
    /// Which candidate.
    pub key: K,
    /// The source's own score; not comparable between sources.
    pub score: f32,
    /// What of the listener's led to it, as the source defines it.
    pub seed: Option<K>,
}

/// Produces candidates.
#[async_trait]
pub trait Source<Q, K>: Send + Sync {
    /// The name in spans, metrics and `degraded`.
    fn name(&self) -> &'static str;

    /// At most `limit` candidates, best first.
    ///
    /// # Errors
    /// When the source cannot answer; whether that fails the run is the step's business.
    async fn retrieve(&self, query: &Q, limit: usize) -> StageResult<Vec<Found<K>>>;

    /// How old the data is that it answers from; `None` where that means nothing.
    fn data_age(&self, _query: &Q) -> Option<Duration> {
        None
    }
}

/// Adds facts to candidates.
#[async_trait]
pub trait Hydrator<Q, K, F>: Send + Sync {
    /// The name in spans, metrics and `degraded`.
    fn name(&self) -> &'static str;

    /// A patch for the facts of `keys`, in their order.
    ///
    /// # Errors
    /// When the facts cannot be had; the candidates stay, without them.
    async fn hydrate(&self, query: &Q, keys: &[K]) -> StageResult<Patch<F>>;
}

/// Keeps a candidate, or drops it with a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may stay.
    Keep,
    /// It may not.
    Drop(DropReason),
}

/// Judges one candidate. Pure: whatever it needs is in the query or in itself.
pub trait Filter<Q, K>: Send + Sync {
    /// Whether the candidate may stay.
    fn judge(&self, query: &Q, key: K) -> Verdict;
}

/// One source of a run.
pub struct SourceStep<'a, Q, K> {
    /// The source.
    pub source: &'a dyn Source<Q, K>,
    /// The most candidates it may give.
    pub limit: usize,
    /// The most time it may take.
    pub budget: Duration,
    /// Whether the run can do without it.
    pub need: Need,
}

/// One group of a run (a shelf): the sources it draws on, its filters and its cap.
pub struct Group<'a, Q, K> {
    /// Index of the source step, and how many of its candidates the group takes.
    pub sources: Vec<(usize, usize)>,
    /// Filters, in order; the first drop wins.
    pub filters: Vec<Box<dyn Filter<Q, K> + 'a>>,
    /// The most candidates the group keeps.
    pub limit: usize,
}

/// One source's word for one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence<K> {
    /// Index of the source step.
    pub source: u16,
    /// Place in the source's list, from 0.
    pub rank: u32,
    /// The source's own score, finite.
    pub score: f32,
    /// What of the listener's led to it.
    pub seed: Option<K>,
}

/// The distinct candidates of a run with all their evidence, in order of first appearance
/// (source by source, rank by rank).
#[derive(Clone, Debug, PartialEq)]
pub struct Merged<K> {
    /// The candidates, each once.
    pub keys: Vec<K>,
    /// Where each candidate's evidence ends; it starts where the one before ends.
    pub evidence_ends: Vec<u32>,
    /// The evidence, candidate by candidate, each in source order.
    pub evidence: Vec<Evidence<K>>,
}

impl<K> Merged<K> {
    fn evidence_of(&self, row: usize) -> &[Evidence<K>] {
        let start = row.checked_sub(1).and_then(|before| self.evidence_ends.get(before)).copied().unwrap_or(0);
        let end = self.evidence_ends.get(row).copied().unwrap_or(start);
        self.evidence.get(start as usize..end as usize).unwrap_or(&[])
    }
}

/// How one source fared.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOutcome {
    /// The source's name.
    pub name: &'static str,
    /// How many candidates it gave.
    pub returned: u32,
    /// How many of them some group kept.
    pub kept: u32,
    /// What went wrong, when something did.
    pub degraded: Option<DegradedCause>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What one group kept and dropped. `kept.len() + Σ dropped` is what its sources gave, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// Rows of [`Merged`], best first: by the best rank any of the group's sources gave, then by the
    /// order of its sources, then by key.
    pub kept: Vec<u32>,
    /// How many were dropped, by reason.
    pub dropped: Vec<(DropReason, u32)>,
    /// Which those were, in the order in which they came to the filters, with the source step that ranked each best and
    /// its place in that source's list.
    pub dropped_rows: Vec<Dropped>,
}

/// A row that a group dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The row of [`Merged`].
    pub row: u32,
    /// Why.
    pub reason: DropReason,
    /// Index of the source step that ranked it best.
    pub source: u16,
    /// Its place in that source's list, from 0.
    pub rank: u32,
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Run<K, F> {
    /// All candidates.
    pub merged: Merged<K>,
    /// Their facts.
    pub facts: F,
    /// Each group's share.
    pub groups: Vec<Gathered>,
    /// How each source fared, in step order.
    pub sources: Vec<SourceOutcome>,
    /// What was missing, slow or skipped.
    pub degraded: Vec<DegradedStage>,
}

/// The runner: which hydrators always run, and where counts go.
pub struct CandidatePipeline<Q, K, F> {
    hydrators: Vec<Step<dyn Hydrator<Q, K, F>>>,
    metrics: StageMetrics,
}

impl<Q: Send + Sync, K: Key, F: Send> CandidatePipeline<Q, K, F> {
    /// A pipeline with its hydrators in the order in which their patches apply.
    #[must_use]
    pub fn new(hydrators: Vec<Step<dyn Hydrator<Q, K, F>>>, metrics: StageMetrics) -> Self {
        Self { hydrators, metrics }
    }

    /// Runs one page. `facts` makes the empty facts of the merged candidates.
    ///
    /// # Errors
    /// The failure of a required step.
    pub async fn run(
        &self,
        query: &Q,
        steps: &[SourceStep<'_, Q, K>],
        groups: &[Group<'_, Q, K>],
        facts: impl FnOnce(&[K]) -> F,
        deadline: Deadline,
    ) -> Result<Run<K, F>, Failure> {
        let mut degraded = Vec::new();
        let (lists, mut sources) = self.retrieve(query, steps, deadline, &mut degraded).await?;
        let merged = merge(&lists);
        let mut facts = facts(&merged.keys);
        self.hydrate(query, &merged.keys, &mut facts, deadline, &mut degraded).await?;
        let groups = self.filter(query, &merged, &mut sources, groups);
        Ok(Run { merged, facts, groups, sources, degraded })
    }

    async fn retrieve(
        &self,
        query: &Q,
        steps: &[SourceStep<'_, Q, K>],
        deadline: Deadline,
        degraded: &mut Vec<DegradedStage>,
    ) -> Result<(Vec<Vec<Found<K>>>, Vec<SourceOutcome>), Failure> {
        let mut running: FuturesUnordered<_> = steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let name = step.source.name();
                let span = tracing::info_span!(
                    "pipeline.source",
                    stage.name = name,
                    stage.limit = step.limit,
                    stage.out = field::Empty,
                    stage.outcome = field::Empty,
                    stage.data_age_seconds = field::Empty
                );
                let record = span.clone();
                async move {
                    let started = Instant::now();
                    let found = within(deadline.capped(step.budget), step.source.retrieve(query, step.limit))
                        .await
                        .map(|mut list| {
                            list.retain(|found| found.score.is_finite());
                            list.truncate(step.limit);
                            list
                        });
                    let elapsed = started.elapsed();
                    let (given, outcome) = match &found {
                        Ok(list) => (list.len(), "ok"),
                        Err(failure) => (0, failure.cause.as_str()),
                    };
                    record.record("stage.out", given);
                    record.record("stage.outcome", outcome);
                    self.metrics.ran("source", name, outcome, elapsed, given);
                    if let Some(age) = step.source.data_age(query) {
                        record.record("stage.data_age_seconds", age.as_secs_f64());
                        self.metrics.data_age(name, age);
                    }
                    (index, found, elapsed)
                }
                .instrument(span)
            })
            .collect();

        let mut lists: Vec<Vec<Found<K>>> = steps.iter().map(|_| Vec::new()).collect();
        let mut outcomes: Vec<SourceOutcome> = steps
            .iter()
            .map(|step| SourceOutcome {
                name: step.source.name(),
                returned: 0,
                kept: 0,
                degraded: None,
                elapsed: Duration::ZERO,
            })
            .collect();
        while let Some((index, found, elapsed)) = running.next().await {
            let (Some(step), Some(outcome), Some(list)) =
                (steps.get(index), outcomes.get_mut(index), lists.get_mut(index))
            else {
                continue;
            };
            outcome.elapsed = elapsed;
            match found {
                Ok(found) => {
                    outcome.returned = found.len() as u32;
                    *list = found;
                }
                Err(failure) if step.need == Need::Required => return Err(failure),
                Err(failure) => {
                    note(&failure, "source", outcome.name);
                    outcome.degraded = Some(failure.cause);
                }
            }
        }
        degraded.extend(
            outcomes
                .iter()
                .filter_map(|o| o.degraded.map(|cause| DegradedStage::new(format!("source.{}", o.name), cause))),
        );
        Ok((lists, outcomes))
    }

    async fn hydrate(
        &self,
        query: &Q,
        keys: &[K],
        facts: &mut F,
        deadline: Deadline,
        degraded: &mut Vec<DegradedStage>,
    ) -> Result<(), Failure> {
        let span = tracing::info_span!(
            "pipeline.hydrate",
            stage.r#in = keys.len(),
            stage.out = field::Empty,
            stage.outcome = field::Empty
        );
        let patches = futures_util::future::join_all(self.hydrators.iter().map(|step| async {
            let started = Instant::now();
            let patch = within(deadline.capped(step.budget), step.stage.hydrate(query, keys)).await;
            let outcome = patch.as_ref().map_or_else(|failure| failure.cause.as_str(), |_| "ok");
            self.metrics.ran("hydrator", step.stage.name(), outcome, started.elapsed(), keys.len());
            patch
        }))
        .instrument(span.clone())
        .await;
        let mut outcome = "ok";
        for (step, patch) in self.hydrators.iter().zip(patches) {
            match patch {
                Ok(patch) => patch(facts),
                Err(failure) if step.need == Need::Required => {
                    span.record("stage.out", 0);
                    span.record("stage.outcome", failure.cause.as_str());
                    return Err(failure);
                }
                Err(failure) => {
                    note(&failure, "hydrator", step.stage.name());
                    outcome = failure.cause.as_str();
                    degraded.push(DegradedStage::new(format!("hydrator.{}", step.stage.name()), failure.cause));
                }
            }
        }
        // A hydrator adds facts; it never drops a candidate.
        span.record("stage.out", keys.len());
        span.record("stage.outcome", outcome);
        Ok(())
    }

    fn filter(
        &self,
        query: &Q,
        merged: &Merged<K>,
        sources: &mut [SourceOutcome],
        groups: &[Group<'_, Q, K>],
    ) -> Vec<Gathered> {
        let span = tracing::info_span!(
            "pipeline.filter",
            // What all groups gave to their filters: a candidate that several groups want counts in each.
            stage.r#in = field::Empty,
            stage.merged = merged.keys.len(),
            stage.out = field::Empty,
            stage.dropped = field::Empty,
            // Of each source, how many candidates some group kept.
            stage.kept = field::Empty,
            stage.outcome = "ok"
        );
        let _entered = span.enter();
        let started = Instant::now();
        let mut scratch = Scratch::new(sources.len());
        let gathered: Vec<Gathered> = groups.iter().map(|group| gather(query, merged, group, &mut scratch)).collect();
        let kept: usize = gathered.iter().map(|group| group.kept.len()).sum();
        let mut totals = [0_u32; DropReason::ALL.len()];
        for (reason, count) in gathered.iter().flat_map(|group| &group.dropped) {
            totals[*reason as usize] += count;
        }
        let mut text = String::new();
        for (reason, count) in DropReason::ALL.iter().zip(totals).filter(|(_, count)| *count > 0) {
            self.metrics.dropped(*reason, count);
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(reason.as_str());
            text.push('=');
            text.push_str(&count.to_string());
        }
        span.record("stage.in", kept + totals.iter().map(|count| *count as usize).sum::<usize>());
        span.record("stage.out", kept);
        span.record("stage.dropped", text.as_str());
        count_kept(merged, &gathered, sources);
        let mut kept_of = String::new();
        for source in sources.iter() {
            self.metrics.kept(source.name, source.kept);
            let space = if kept_of.is_empty() { "" } else { " " };
            kept_of.push_str(&format!("{space}{}={}", source.name, source.kept));
        }
        span.record("stage.kept", kept_of.as_str());
        self.metrics.ran("filter", "all", "ok", started.elapsed(), kept);
        gathered
    }
}

async fn within<T>(deadline: Deadline, work: impl Future<Output = StageResult<T>>) -> StageResult<T> {
    if deadline.is_past() {
        return Err(Failure::of(DegradedCause::Skipped));
    }
    deadline::run(deadline, work).await.unwrap_or_else(|_| Err(Failure::of(DegradedCause::Timeout)))
}

fn note(failure: &Failure, kind: &'static str, name: &'static str) {
    let error = failure.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static));
    if failure.cause == DegradedCause::NoRelease {
        tracing::debug!(stage.kind = kind, stage.name = name, cause = failure.cause.as_str(), "stage degraded");
    } else {
        tracing::warn!(stage.kind = kind, stage.name = name, cause = failure.cause.as_str(), error, "stage degraded");
    }
}

/// Merges the lists by key. The first appearance (source by source, rank by rank) orders the rows; a
/// key that a source gives twice counts at its better rank.
fn merge<K: Key>(lists: &[Vec<Found<K>>]) -> Merged<K> {
    let total: usize = lists.iter().map(Vec::len).sum();
    let mut keys = Vec::with_capacity(total);
    let mut rows: FxHashMap<K, u32> = FxHashMap::with_capacity_and_hasher(total, rustc_hash::FxBuildHasher);
    let mut said: Vec<(u32, Evidence<K>)> = Vec::with_capacity(total);
    for (source, list) in lists.iter().enumerate() {
        for (rank, found) in list.iter().enumerate() {
            let row = *rows.entry(found.key).or_insert_with(|| {
                keys.push(found.key);
                (keys.len() - 1) as u32
            });
            said.push((
                row,
                Evidence { source: source as u16, rank: rank as u32, score: found.score, seed: found.seed },
            ));
        }
    }
    // Stable: within a row, evidence stays in source order, then by rank.
    said.sort_by_key(|(row, _)| *row);
    let mut evidence: Vec<Evidence<K>> = Vec::with_capacity(total);
    let mut evidence_ends = Vec::with_capacity(keys.len());
    let mut open = 0_u32;
    for (row, word) in said {
        while open < row {
            evidence_ends.push(evidence.len() as u32);
            open += 1;
        }
        let start = evidence_ends.last().copied().unwrap_or(0) as usize;
        let repeated = evidence.len() > start && evidence.last().is_some_and(|last| last.source == word.source);
        if !repeated {
            evidence.push(word);
        }
    }
    evidence_ends.resize(keys.len(), evidence.len() as u32);
    Merged { keys, evidence_ends, evidence }
}

/// Counts for each source the candidates it gave that some group kept, each once.
fn count_kept<K>(merged: &Merged<K>, groups: &[Gathered], sources: &mut [SourceOutcome]) {
    let mut is_kept = vec![false; merged.keys.len()];
    for row in groups.iter().flat_map(|group| &group.kept) {
        if let Some(place) = is_kept.get_mut(*row as usize) {
            *place = true;
        }
    }
    for (row, _) in is_kept.into_iter().enumerate().filter(|(_, is_kept)| *is_kept) {
        for word in merged.evidence_of(row) {
            if let Some(source) = sources.get_mut(usize::from(word.source)) {
                source.kept += 1;
            }
        }
    }
}

/// Room reused from group to group.
struct Scratch {
    /// For each source step: its place among the group's sources and the group's limit for it.
    uses: Vec<Option<(u32, u32)>>,
    ranked: Vec<(u32, u32, u32)>,
}

impl Scratch {
    fn new(sources: usize) -> Self {
        Self { uses: vec![None; sources], ranked: Vec::new() }
    }
}

fn gather<Q, K: Key>(query: &Q, merged: &Merged<K>, group: &Group<'_, Q, K>, scratch: &mut Scratch) -> Gathered {
    scratch.uses.fill(None);
    for (place, (source, limit)) in group.sources.iter().enumerate() {
        if let Some(slot) = scratch.uses.get_mut(*source) {
            *slot = Some((place as u32, *limit as u32));
        }
    }
    scratch.ranked.clear();
    for row in 0..merged.keys.len() {
        let best = merged
            .evidence_of(row)
            .iter()
            .filter_map(|word| {
                let (place, limit) = scratch.uses.get(usize::from(word.source)).copied().flatten()?;
                (word.rank < limit).then_some((word.rank, place))
            })
            .min();
        if let Some((rank, place)) = best {
            scratch.ranked.push((rank, place, row as u32));
        }
    }
    let key_of = |row: u32| merged.keys.get(row as usize).copied();
    scratch.ranked.sort_unstable_by_key(|(rank, place, row)| (*rank, *place, key_of(*row)));

    let mut counts = [0_u32; DropReason::ALL.len()];
    let mut kept = Vec::with_capacity(scratch.ranked.len().min(group.limit));
    let mut dropped_rows = Vec::new();
    for (rank, place, row) in &scratch.ranked {
        let Some(key) = key_of(*row) else { continue };
        let dropped = group.filters.iter().find_map(|filter| match filter.judge(query, key) {
            Verdict::Keep => None,
            Verdict::Drop(reason) => Some(reason),
        });
        let dropped = dropped.or_else(|| (kept.len() == group.limit).then_some(DropReason::OverLimit));
        match dropped {
            Some(reason) => {
                counts[reason as usize] += 1;
                let source = group.sources.get(*place as usize).map_or(u16::MAX, |(source, _)| *source as u16);
                dropped_rows.push(Dropped { row: *row, reason, source, rank: *rank });
            }
            None => kept.push(*row),
        }
    }
    let dropped = DropReason::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0).collect();
    Gathered { kept, dropped, dropped_rows }
}

#[cfg(test)]
mod tests;
