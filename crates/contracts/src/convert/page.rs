//! What both stages of a page speak of: context, listener, candidate table, degraded stages.
//!
//! The table is the bulk of every call, so columns are moved and never taken apart: a list of keys
//! changes its type in place, and a column of facts is not touched at all.

use std::sync::Arc;

use shared_models::{
    ItemKey, Seed, Timestamp,
    candidates::{CandidateTable, Evidence},
    component::Fact,
    degraded::{DegradedStage, SourceReport},
    listener::ListenerContext,
    plan::RequestContext,
};

use super::{
    Malformed, Result, duration_from_wire, duration_to_wire, each, market, name, narrow, optional_name, required,
    same_length,
};
use crate::{convert::names::Name, generated::common::v1 as wire};

pub(crate) fn keys_to_wire(keys: Vec<ItemKey>) -> Vec<u64> {
    keys.into_iter().map(|key| key.0).collect()
}

pub(crate) fn keys_from_wire(keys: Vec<u64>) -> Vec<ItemKey> {
    keys.into_iter().map(ItemKey).collect()
}

pub(crate) fn context_to_wire(context: RequestContext) -> wire::RequestContext {
    wire::RequestContext {
        now_ms: context.now.0,
        local_hour: context.local_hour.into(),
        local_weekday: context.local_weekday.into(),
        market: context.market.as_str().to_owned(),
        device: context.device,
        session: context.session,
        seed: context.seed.0,
    }
}

pub(crate) fn context_from_wire(context: Option<wire::RequestContext>) -> Result<RequestContext> {
    let convert = |context: wire::RequestContext| {
        let below = |value: u32, limit: u32, field: &str| {
            if value < limit {
                narrow(value, field)
            } else {
                Err(Malformed::new(field, format_args!("{value} is not below {limit}")))
            }
        };
        Ok(RequestContext {
            now: Timestamp(context.now_ms),
            local_hour: below(context.local_hour, 24, "local_hour")?,
            local_weekday: below(context.local_weekday, 7, "local_weekday")?,
            market: market(&context.market, "market")?,
            device: context.device,
            session: context.session,
            seed: Seed(context.seed),
        })
    };
    convert(required(context, "context")?).map_err(|error: Malformed| error.inside("context"))
}

pub(crate) fn listener_to_wire(listener: Arc<ListenerContext>) -> wire::ListenerContext {
    let listener = Arc::unwrap_or_clone(listener);
    wire::ListenerContext {
        known: listener.known,
        vector: listener.vector,
        vector_release: listener.vector_release.map(|release| release.as_str().to_owned()),
        recent: keys_to_wire(listener.recent),
        plays: listener.plays,
        plays_7d: listener.plays_7d,
        skip_rate: listener.skip_rate,
        complete_rate: listener.complete_rate,
        repeat_rate: listener.repeat_rate,
        artists: listener.artists,
        idle_days: listener.idle_days,
        hour_share: listener.hour_share,
        mean_popularity: listener.mean_popularity,
        favourites: keys_to_wire(listener.favourites),
        skipped: keys_to_wire(listener.skipped),
        session_items: listener.session_items,
        session_plays: listener.session_plays,
        session_skips: listener.session_skips,
        session_artists: listener.session_artists,
        session_minutes: listener.session_minutes,
        impressions: listener.impressions,
        click_rate: listener.click_rate,
        like_rate: listener.like_rate,
    }
}

pub(crate) fn listener_from_wire(listener: Option<wire::ListenerContext>) -> Result<Arc<ListenerContext>> {
    let listener = required(listener, "listener")?;
    Ok(Arc::new(ListenerContext {
        known: listener.known,
        vector_release: optional_name(listener.vector_release.as_deref(), "listener.vector_release")?,
        vector: listener.vector,
        recent: keys_from_wire(listener.recent),
        plays: listener.plays,
        plays_7d: listener.plays_7d,
        skip_rate: listener.skip_rate,
        complete_rate: listener.complete_rate,
        repeat_rate: listener.repeat_rate,
        artists: listener.artists,
        idle_days: listener.idle_days,
        hour_share: listener.hour_share,
        mean_popularity: listener.mean_popularity,
        favourites: keys_from_wire(listener.favourites),
        skipped: keys_from_wire(listener.skipped),
        session_items: listener.session_items,
        session_plays: listener.session_plays,
        session_skips: listener.session_skips,
        session_artists: listener.session_artists,
        session_minutes: listener.session_minutes,
        impressions: listener.impressions,
        click_rate: listener.click_rate,
        like_rate: listener.like_rate,
    }))
}

/// The table's message. A table that nobody else holds is moved, any other is copied column by column.
pub(crate) fn table_to_wire(table: Arc<CandidateTable>) -> wire::CandidateTable {
    let mut evidence_counts = Vec::with_capacity(table.evidence_ends.len());
    let mut start = 0;
    for end in &table.evidence_ends {
        evidence_counts.push(end.saturating_sub(start));
        start = *end;
    }
    let sources = table.sources.iter().map(|source| source.to_wire()).collect();
    let evidence_sources = table.evidence.iter().map(|evidence| evidence.source.into()).collect();
    let evidence_ranks = table.evidence.iter().map(|evidence| evidence.rank).collect();
    let evidence_scores = table.evidence.iter().map(|evidence| evidence.score).collect();
    let evidence_seeds = table.evidence.iter().map(|evidence| evidence.seed.0).collect();
    let (items, artists, facts) = match Arc::try_unwrap(table) {
        Ok(table) => (table.items, table.artists, table.facts),
        Err(shared) => (shared.items.clone(), shared.artists.clone(), shared.facts.clone()),
    };
    wire::CandidateTable {
        items: keys_to_wire(items),
        artists: keys_to_wire(artists),
        sources,
        evidence_counts,
        evidence_sources,
        evidence_ranks,
        evidence_scores,
        evidence_seeds,
        facts: Fact::ALL
            .iter()
            .zip(facts)
            .map(|(fact, values)| wire::FactColumn { fact: fact.to_wire(), values })
            .collect(),
    }
}

pub(crate) fn table_from_wire(table: Option<wire::CandidateTable>) -> Result<Arc<CandidateTable>> {
    let table = required(table, "table")?;
    let table = open_table(table).map_err(|error| error.inside("table"))?;
    match table.inconsistency() {
        None => Ok(Arc::new(table)),
        Some(problem) => Err(Malformed::new("table", problem)),
    }
}

fn open_table(table: wire::CandidateTable) -> Result<CandidateTable> {
    let pieces = table.evidence_sources.len();
    same_length(table.evidence_ranks.len(), pieces, "evidence_ranks")?;
    same_length(table.evidence_scores.len(), pieces, "evidence_scores")?;
    same_length(table.evidence_seeds.len(), pieces, "evidence_seeds")?;
    let mut evidence = Vec::with_capacity(pieces);
    let columns = table.evidence_ranks.iter().zip(&table.evidence_scores).zip(&table.evidence_seeds);
    for (source, ((rank, score), seed)) in table.evidence_sources.iter().zip(columns) {
        evidence.push(Evidence {
            source: narrow(*source, "evidence_sources")?,
            rank: *rank,
            score: *score,
            seed: ItemKey(*seed),
        });
    }
    Ok(CandidateTable {
        items: keys_from_wire(table.items),
        artists: keys_from_wire(table.artists),
        sources: table.sources.iter().map(|source| Name::from_wire(*source, "sources")).collect::<Result<_>>()?,
        evidence_ends: ends(table.evidence_counts, "evidence_counts")?,
        evidence,
        facts: fact_columns(table.facts)?,
    })
}

/// Running sums in place.
pub(crate) fn ends(mut counts: Vec<u32>, field: &str) -> Result<Vec<u32>> {
    let mut end = 0_u32;
    for count in &mut counts {
        end = end.checked_add(*count).ok_or_else(|| Malformed::new(field, "adds up to too much"))?;
        *count = end;
    }
    Ok(counts)
}

/// Columns by their fact. Unknown facts are skipped: a newer sender may know more.
fn fact_columns(columns: Vec<wire::FactColumn>) -> Result<Vec<Vec<f32>>> {
    let mut facts = Vec::with_capacity(columns.len().min(Fact::ALL.len()));
    let mut seen = [false; Fact::ALL.len()];
    for column in columns {
        let Ok(fact) = Fact::from_wire(column.fact, "facts") else { continue };
        let index = fact as usize;
        if let Some(seen) = seen.get_mut(index)
            && std::mem::replace(seen, true)
        {
            return Err(Malformed::new("facts", format_args!("{fact} is there twice")));
        }
        if facts.len() <= index {
            facts.resize_with(index + 1, Vec::new);
        }
        if let Some(slot) = facts.get_mut(index) {
            *slot = column.values;
        }
    }
    Ok(facts)
}

pub(crate) fn degraded_to_wire(stages: Vec<DegradedStage>) -> Vec<wire::DegradedStage> {
    stages.into_iter().map(|stage| wire::DegradedStage { stage: stage.stage, cause: stage.cause.to_wire() }).collect()
}

pub(crate) fn degraded_from_wire(stages: Vec<wire::DegradedStage>) -> Result<Vec<DegradedStage>> {
    each(stages, "degraded", |stage| {
        Ok(DegradedStage { cause: Name::from_wire(stage.cause, "cause")?, stage: stage.stage })
    })
}

pub(crate) fn reports_to_wire(reports: &[SourceReport]) -> Vec<wire::SourceReport> {
    let convert = |report: &SourceReport| wire::SourceReport {
        name: report.name.to_wire(),
        returned: report.returned,
        degraded: report.degraded.map(Name::to_wire),
        elapsed: Some(duration_to_wire(report.elapsed)),
    };
    reports.iter().map(convert).collect()
}

pub(crate) fn reports_from_wire(reports: Vec<wire::SourceReport>) -> Result<Vec<SourceReport>> {
    each(reports, "sources", |report| {
        Ok(SourceReport {
            name: Name::from_wire(report.name, "name")?,
            returned: report.returned,
            degraded: report.degraded.map(|cause| Name::from_wire(cause, "degraded")).transpose()?,
            elapsed: duration_from_wire(report.elapsed.unwrap_or_default(), "elapsed")?,
        })
    })
}

/// An item list that must name rows of a table.
pub(crate) fn rows_below(rows: &[u32], table: &CandidateTable, field: &str) -> Result<()> {
    match rows.iter().find(|row| **row as usize >= table.len()) {
        None => Ok(()),
        Some(row) => Err(Malformed::new(field, format_args!("{row} is no row of a table of {}", table.len()))),
    }
}

/// A release that may be absent.
pub(crate) fn release_from_wire(release: Option<&str>, field: &str) -> Result<Option<shared_models::ReleaseId>> {
    release.map(|release| name(release, field)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> wire::CandidateTable {
        wire::CandidateTable {
            items: vec![1, 2, 3],
            artists: vec![0, 7, 7],
            sources: vec![wire::SourceName::Trending.into()],
            evidence_counts: vec![1, 0, 2],
            evidence_sources: vec![0, 0, 0],
            evidence_ranks: vec![0, 5, 6],
            evidence_scores: vec![0.5, 0.25, 0.125],
            evidence_seeds: vec![0, 0, 9],
            facts: vec![wire::FactColumn { fact: wire::Fact::Trend.into(), values: vec![1.0, 2.0, 3.0] }],
        }
    }

    #[test]
    fn a_table_is_read_by_columns() {
        let table = table_from_wire(Some(sound())).unwrap();
        assert_eq!(table.evidence_of(1), &[]);
        assert_eq!(table.evidence_of(2)[1], Evidence { source: 0, rank: 6, score: 0.125, seed: ItemKey(9) });
        assert_eq!(table.fact(Fact::Trend), Some(&[1.0, 2.0, 3.0][..]));
        assert_eq!(table.fact(Fact::Popularity), None);
        assert_eq!(
            table_to_wire(Arc::clone(&table)),
            table_to_wire(Arc::new((*table).clone())),
            "moved or copied, it is the same"
        );
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        let check = |expected: &str, spoil: &dyn Fn(&mut wire::CandidateTable)| {
            let mut table = sound();
            spoil(&mut table);
            assert_eq!(table_from_wire(Some(table)).unwrap_err().to_string(), expected);
        };
        check("table: artists has 2 rows, items has 3", &|table| table.artists.truncate(2));
        check("table: evidence_ends has 2 rows, items has 3", &|table| table.evidence_counts.truncate(2));
        check("table: evidence_ends does not partition the evidence", &|table| table.evidence_counts[0] = 2);
        check("table.evidence_counts: adds up to too much", &|table| table.evidence_counts = vec![u32::MAX, 1, 2]);
        check("table.evidence_ranks: has 2 values where 3 belong", &|table| table.evidence_ranks.truncate(2));
        check("table.evidence_scores: has 2 values where 3 belong", &|table| table.evidence_scores.truncate(2));
        check("table.evidence_seeds: has 2 values where 3 belong", &|table| table.evidence_seeds.truncate(2));
        check("table.evidence_sources: 70000 is too large", &|table| table.evidence_sources[0] = 70_000);
        check("table: evidence of source 1 with score 0.5 is out of range", &|table| table.evidence_sources[0] = 1);
        check("table: evidence of source 0 with score NaN is out of range", &|table| {
            table.evidence_scores[0] = f32::NAN;
        });
        check("table: fact column 2 has 2 rows, items has 3", &|table| table.facts[0].values.truncate(2));
        check("table.facts: trend is there twice", &|table| table.facts.push(table.facts[0].clone()));
        check("table.sources: 99 is not known; the sender may be newer", &|table| table.sources[0] = 99);
        assert_eq!(table_from_wire(None).unwrap_err().to_string(), "table: is missing");
    }

    #[test]
    fn facts_that_only_a_newer_sender_knows_are_skipped() {
        let mut table = sound();
        table.facts.insert(0, wire::FactColumn { fact: 99, values: vec![4.0] });
        assert_eq!(table_from_wire(Some(table)), table_from_wire(Some(sound())));
    }
}
