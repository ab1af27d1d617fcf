//! One search: from a vector to the rows of largest product.
//!
//! What a block of rows can still give is estimated from the length of its longest row and from the angle between
//! the query and the list's direction; what is found so far says what is still wanted. Lists are scanned in the
//! order of their promise, each as far as its blocks promise more than the worst that would be kept. So a search
//! for few scans few, one whose answer is near scans little, and a selective filter makes it scan on instead of
//! coming back with less.

use releases::{Factors, Lists, lists::LANES, vectors};

use super::{added::Added, kernel::Query, row_set::RowSet};

/// Candidates that are held against each other in `f32`, as a multiple of those wanted, and at least so many more.
const RERANKED: (f32, usize) = (1.15, 32);
/// The lists that are looked into first, and how many of their blocks, to learn what is worth finding.
const FIRST: (usize, usize) = (24, 4);
/// Blocks scanned between two looks at what is still wanted.
const AT_ONCE: usize = 32;

/// What may be found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// The rows of the release that may; `None` leaves all.
    pub rows: Option<&'a RowSet>,
    /// Which of the items added since may.
    pub added: Wanted,
}

/// Which of the items added since a release was made are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// None.
    #[default]
    None,
    /// Those that the release does not know.
    New,
    /// Also those that it knows and has no factors of.
    All,
}

/// A search on its way.
pub(super) struct Search<'a> {
    pub(super) factors: &'a Factors,
    pub(super) lists: &'a Lists,
    pub(super) centres: &'a super::embedding::Centres,
    pub(super) added: Option<&'a Added>,
    pub(super) filter: Filter<'a>,
    /// How far to look; at infinity every block is scanned.
    pub(super) effort: f32,
    /// Up to this share of the rows, those that a filter leaves are multiplied one by one, in `f32`.
    pub(super) few: f32,
}

/// The best so far, with approximate products, and below what nothing is wanted any more.
struct Best {
    wanted: usize,
    floor: f32,
    entries: Vec<(f32, u32)>,
    products: Vec<f32>,
}

impl Best {
    /// When twice as many as wanted are there, the worse half goes, and the floor rises.
    fn settle(&mut self) {
        if self.entries.len() >= 2 * self.wanted {
            keep_best(&mut self.entries, self.wanted);
            self.floor = self.entries.iter().fold(f32::INFINITY, |least, entry| least.min(entry.0));
        }
    }
}

impl Search<'_> {
    /// The rows of largest product with `query`, best first, ties by row.
    pub(super) fn run(&self, query: &[f32], limit: usize) -> Vec<(u32, f32)> {
        let length = vectors::dot(query, query).sqrt();
        if query.len() != self.lists.stride || limit == 0 || length == 0.0 || !length.is_finite() {
            return Vec::new();
        }
        let found = match self.filter.rows {
            Some(rows) if rows.len() as f32 <= self.few * self.factors.rows as f32 => {
                let mut rows: Vec<u32> = rows.iter().filter(|row| self.may_be_found(*row)).collect();
                rows.extend(self.added.iter().flat_map(|added| added.rows(self.filter.added)));
                rows
            }
            _ => self.scan(query, length, ((limit as f32 * RERANKED.0) as usize).max(limit + RERANKED.1)),
        };
        let mut exact = vec![0.0; found.len()];
        vectors::dot_rows(query, &self.factors.values, &found, &mut exact);
        let mut best: Vec<(f32, u32)> = exact.into_iter().zip(found).collect();
        if let Some(added) = self.added {
            for (product, row) in &mut best {
                *product = added.vector(*row).map_or(*product, |vector| vectors::dot(query, vector));
            }
        }
        keep_best(&mut best, limit);
        best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        best.into_iter().map(|(product, row)| (row, product)).collect()
    }

    /// Whether a row of the release may be found: it has factors, it is not gone, and the filter has it.
    fn may_be_found(&self, row: u32) -> bool {
        (row as usize) < self.factors.rows
            && self.filter.rows.is_none_or(|rows| rows.contains(row))
            && !self.added.is_some_and(|added| added.is_gone(row))
    }

    fn scan(&self, query: &[f32], length: f32, wanted: usize) -> Vec<u32> {
        let coded = Query::of(query);
        let mut best =
            Best { wanted, floor: f32::NEG_INFINITY, entries: Vec::with_capacity(3 * wanted), products: Vec::new() };
        self.scan_added(&coded, &mut best);

        // What a row of length 1 of each list may give, and so the list's longest.
        let reach = self.centres.reach(self.lists, &coded, length, self.effort);
        let promises = reach.iter().zip(&self.centres.longest).map(|(reach, longest)| reach * longest);
        let mut order: Vec<(f32, u32)> = promises.zip(0..).collect();
        let descending = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let first = FIRST.0.min(order.len());
        if first < order.len() {
            order.select_nth_unstable_by(first, descending);
        }
        let (head, tail) = order.split_at_mut(first);
        for (_, list) in head.iter() {
            let blocks = self.lists.blocks(*list as usize);
            self.scan_blocks(&coded, blocks.start..blocks.end.min(blocks.start + FIRST.1), &mut best);
        }
        head.sort_unstable_by(descending);
        for (promise, list) in head.iter() {
            self.scan_list(&coded, *list as usize, FIRST.1, *promise, &reach, &mut best);
        }
        let mut tail: Vec<(f32, u32)> =
            tail.iter().copied().filter(|(promise, _)| self.is_wanted(*promise, &best)).collect();
        tail.sort_unstable_by(descending);
        for (promise, list) in &tail {
            self.scan_list(&coded, *list as usize, 0, *promise, &reach, &mut best);
        }
        keep_best(&mut best.entries, wanted);
        best.entries.into_iter().map(|entry| entry.1).collect()
    }

    fn is_wanted(&self, promise: f32, best: &Best) -> bool {
        promise >= best.floor || self.effort == f32::INFINITY
    }

    /// Scans a list from a block of it on, as far as its blocks promise what is wanted.
    fn scan_list(&self, query: &Query, list: usize, from: usize, promise: f32, reach: &[f32], best: &mut Best) {
        if !self.is_wanted(promise, best) {
            return;
        }
        let blocks = self.lists.blocks(list);
        let reach = reach.get(list).copied().unwrap_or(0.0);
        let mut at = blocks.start + from;
        while at < blocks.end {
            let next = blocks.end.min(at + AT_ONCE);
            let lengths = self.lists.lengths.get(at..next).unwrap_or(&[]);
            let wanted = lengths.partition_point(|length| self.is_wanted(length * reach, best));
            self.scan_blocks(query, at..at + wanted, best);
            if wanted < next - at {
                return;
            }
            at = next;
        }
    }

    fn scan_blocks(&self, query: &Query, blocks: std::ops::Range<usize>, best: &mut Best) {
        let stride = self.lists.stride;
        let places = blocks.start * LANES..blocks.end * LANES;
        let (Some(codes), Some(steps), Some(rows)) = (
            self.lists.codes.get(places.start * stride..places.end * stride),
            self.lists.steps.get(places.clone()),
            self.lists.rows.get(places),
        ) else {
            return;
        };
        best.products.resize(steps.len(), 0.0);
        query.scan(codes, steps, &mut best.products);
        for (products, rows) in best.products.as_chunks::<LANES>().0.iter().zip(rows.as_chunks::<LANES>().0) {
            // Most blocks have nothing: one look at all sixteen.
            if products.iter().fold(false, |any, product| any | (*product > best.floor)) {
                for (product, row) in products.iter().zip(rows) {
                    if *product > best.floor && self.may_be_found(*row) {
                        best.entries.push((*product, *row));
                    }
                }
            }
        }
        best.settle();
    }

    fn scan_added(&self, query: &Query, best: &mut Best) {
        let Some(added) = self.added.filter(|_| self.filter.added != Wanted::None) else { return };
        added.scan(query, self.filter.added, best.floor, |row, product| {
            best.entries.push((product, row));
            best.settle();
            best.floor
        });
    }
}

/// Keeps the `count` largest, in no order; ties by the smaller number.
fn keep_best(entries: &mut Vec<(f32, u32)>, count: usize) {
    if entries.len() > count && count > 0 {
        entries.select_nth_unstable_by(count - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    }
    entries.truncate(count);
}
