//! The first pass: where a page has more candidates than its time lets the scorer look at, the likeliest go on.
//!
//! What it costs must be next to nothing, so that it reads the sources' own ranks and nothing else. It must never
//! know a feature, a model or what time it is: how many may go on is told by [`Pace`], from what rows have cost.
//! **Invariant:** a shelf keeps its pinned cards, and no shelf starves for another one's sake.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use shared_models::{
    candidates::{CandidateTable, Evidence},
    plan::{RankQuery, ShelfRankPlan},
};

/// Ranks far down differ less than ranks on top: `1 / (K + rank)` (Cormack, Clarke and Büttcher, "Reciprocal Rank
/// Fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009, with their K).
const K: f32 = 60.0;

/// What a row is taken to cost before any was ranked, in nanoseconds.
const FIRST_GUESS: f32 = 2_000.0;
/// A smaller page says more about the fixed cost of a page than about that of a row.
const TELLING: usize = 64;
/// How much the latest page counts against all before.
const WEIGHT: f32 = 1.0 / 16.0;

/// What ranking a row has cost lately in this process, everything included.
#[derive(Debug)]
pub struct Pace(AtomicU32);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicU32::new(FIRST_GUESS.to_bits()))
    }
}

impl Pace {
    /// How many rows fit into `time`.
    #[must_use]
    pub fn rows_in(&self, time: Duration) -> usize {
        (time.as_nanos() as f32 / f32::from_bits(self.0.load(Ordering::Relaxed))) as usize
    }

    /// Learns from a page. Two pages at once may lose one of the two: the next one tells the same.
    pub fn observe(&self, rows: usize, elapsed: Duration) {
        if rows >= TELLING {
            let before = f32::from_bits(self.0.load(Ordering::Relaxed));
            let now = (elapsed.as_nanos() as f32 / rows as f32).max(1.0);
            self.0.store((before + WEIGHT * (now - before)).to_bits(), Ordering::Relaxed);
        }
    }
}

/// The rows that go on, in ascending order: the best of every shelf in turn until there are `most`, or all that any
/// shelf names when there are no more. Pinned cards come on top.
#[must_use]
pub fn likeliest(query: &RankQuery, most: usize) -> Vec<u32> {
    let table = &query.table;
    let mut lines: Vec<std::vec::IntoIter<u32>> = query.shelves.iter().map(|shelf| line(table, shelf)).collect();
    let mut is_kept = vec![false; table.len()];
    let mut kept = Vec::with_capacity(most.min(table.len()));
    let mut keep = |row: u32, kept: &mut Vec<u32>| {
        let is_new = is_kept.get_mut(row as usize).is_some_and(|is_kept| !std::mem::replace(is_kept, true));
        if is_new {
            kept.push(row);
        }
        is_new
    };
    for row in pinned(query) {
        keep(row, &mut kept);
    }
    while kept.len() < most {
        let before = kept.len();
        for line in &mut lines {
            // A row that another shelf has brought along counts for both: this shelf's next one is its turn.
            let _taken = line.find(|row| keep(*row, &mut kept));
            if kept.len() >= most {
                break;
            }
        }
        if kept.len() == before {
            break;
        }
    }
    kept.sort_unstable();
    kept
}

/// The same question about some of its rows; `rows` ascend.
#[must_use]
pub fn narrowed(query: &RankQuery, rows: &[u32]) -> RankQuery {
    let table = &query.table;
    let pick = |row: &u32| *row as usize;
    let mut evidence: Vec<Evidence> = Vec::with_capacity(rows.len() * 2);
    let mut evidence_ends = Vec::with_capacity(rows.len());
    for row in rows {
        evidence.extend_from_slice(table.evidence_of(pick(row)));
        evidence_ends.push(u32::try_from(evidence.len()).unwrap_or(u32::MAX));
    }
    let facts = table.facts.iter().map(|column| {
        // An empty column stays one.
        rows.iter().filter_map(|row| column.get(pick(row)).copied()).collect()
    });
    let narrow = CandidateTable {
        items: rows.iter().filter_map(|row| table.items.get(pick(row)).copied()).collect(),
        artists: rows.iter().filter_map(|row| table.artists.get(pick(row)).copied()).collect(),
        sources: table.sources.clone(),
        evidence_ends,
        evidence,
        facts: facts.collect(),
    };
    let of_shelf = |shelf: &ShelfRankPlan| {
        let rows = shelf.rows.iter().filter_map(|row| rows.binary_search(row).ok());
        ShelfRankPlan { rows: rows.filter_map(|row| u32::try_from(row).ok()).collect(), ..shelf.clone() }
    };
    RankQuery { table: Arc::new(narrow), shelves: query.shelves.iter().map(of_shelf).collect(), ..query.clone() }
}

/// A shelf's rows by what its sources say of them, best first; ties by item.
fn line(table: &CandidateTable, shelf: &ShelfRankPlan) -> std::vec::IntoIter<u32> {
    let mut rows: Vec<(f32, u64, u32)> = shelf
        .rows
        .iter()
        .map(|row| {
            let words = table.evidence_of(*row as usize).iter().filter(|word| shelf.sources.contains(&word.source));
            let key = table.items.get(*row as usize).map_or(u64::MAX, |key| key.0);
            (words.map(|word| 1.0 / (K + word.rank as f32)).sum(), key, *row)
        })
        .collect();
    rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    rows.into_iter().map(|(_, _, row)| row).collect::<Vec<_>>().into_iter()
}

/// The rows that shelves pin.
fn pinned(query: &RankQuery) -> impl Iterator<Item = u32> {
    query.shelves.iter().filter(|shelf| !shelf.slate.pins.is_empty()).flat_map(|shelf| {
        let is_pinned = |row: &u32| {
            let item = query.table.items.get(*row as usize);
            shelf.slate.pins.iter().any(|pin| Some(&pin.item) == item)
        };
        shelf.rows.iter().copied().filter(is_pinned)
    })
}
