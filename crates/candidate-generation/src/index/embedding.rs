//! Nearest items to a listener's vector by inner product: an inverted file over the release's factors.
//!
//! Rows stand in lists around k-means centroids, coded as `i8`. A query scans the lists whose centroids
//! promise most, and re-ranks the best in `f32`. A small catalogue is one list, scanned whole.
//!
//! Inner products favour long vectors, which centroids hide; so a list's promise is its centroid's
//! product with the query plus a share of the list's radius.

use releases::Factors;
use serde::{Deserialize, Serialize};

use super::{kernel, kmeans};

/// How the index is built and searched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Up to this many items are scanned whole.
    pub exact_below: usize,
    /// The share of the lists that a query scans, 0..=1.
    pub probe_share: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self { exact_below: 20_000, probe_share: 0.125 }
    }
}

/// How much of a list's radius counts as promise.
const RADIUS_SHARE: f32 = 0.25;
/// Candidates re-ranked in `f32`, as a multiple of those wanted, and the least.
const RERANKED: (f32, usize) = (1.5, 64);

/// The index of one release. It holds no vectors but codes; searching borrows the release's factors.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingIndex {
    stride: usize,
    /// Coded rows in the order of `rows`.
    codes: Vec<i8>,
    steps: Vec<f32>,
    /// The release row of each place.
    rows: Vec<u32>,
    /// Where each list starts; one more than lists.
    starts: Vec<u32>,
    centroids: kmeans::Centroids,
    /// The root of the mean squared distance of a list's rows from its centroid.
    radii: Vec<f32>,
    probes: usize,
}

impl EmbeddingIndex {
    /// Builds the index on all processors. Takes about a second for 200,000 rows of 64 numbers.
    #[must_use]
    pub fn build(factors: &Factors, config: &Config) -> Self {
        let (stride, count) = (factors.stride(), factors.rows);
        if count == 0 || stride == 0 {
            return Self::default();
        }
        let lists = if count <= config.exact_below { 1 } else { ((count as f64).sqrt() as usize).max(2) };
        let (centroids, assigned) = if lists == 1 {
            (kmeans::Centroids::default(), vec![0; count])
        } else {
            let centroids = kmeans::learn(&factors.values, stride, lists);
            let assigned = centroids.assign(&factors.values);
            (centroids, assigned)
        };

        let mut starts = vec![0_u32; lists + 1];
        for list in &assigned {
            if let Some(start) = starts.get_mut(*list as usize + 1) {
                *start += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut rows: Vec<u32> = (0..count as u32).collect();
        rows.sort_by_key(|row| assigned.get(*row as usize).copied().unwrap_or(0));

        let mut codes = vec![0_i8; count * stride];
        let mut steps = vec![0.0; count];
        for ((row, codes), step) in rows.iter().zip(codes.chunks_exact_mut(stride)).zip(&mut steps) {
            *step = kernel::quantise(factors.row(*row), codes);
        }
        let mut index = Self { stride, codes, steps, rows, starts, centroids, radii: Vec::new(), probes: lists };
        if lists > 1 {
            index.radii = (0..lists).map(|list| index.radius(factors, list)).collect();
            index.probes = ((lists as f32 * config.probe_share.clamp(0.0, 1.0)).ceil() as usize).clamp(1, lists);
        }
        index
    }

    fn radius(&self, factors: &Factors, list: usize) -> f32 {
        let centroid = self.centroids.values.get(list * self.stride..(list + 1) * self.stride).unwrap_or(&[]);
        let rows = self.rows.get(self.places(list)).unwrap_or(&[]);
        let squares: f32 = rows
            .iter()
            .map(|row| {
                factors
                    .row(*row)
                    .iter()
                    .zip(centroid)
                    .map(|(value, centre)| (value - centre) * (value - centre))
                    .sum::<f32>()
            })
            .sum();
        if rows.is_empty() { 0.0 } else { (squares / rows.len() as f32).sqrt() }
    }

    fn places(&self, list: usize) -> std::ops::Range<usize> {
        let at = |list: usize| self.starts.get(list).copied().unwrap_or(0) as usize;
        at(list)..at(list + 1)
    }

    /// How many lists there are.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The rows of largest inner product with `query`, best first, ties by row, with their products.
    #[must_use]
    pub fn search(&self, factors: &Factors, query: &[f32], limit: usize) -> Vec<(u32, f32)> {
        self.search_lists(factors, query, limit, self.probes)
    }

    /// The same, scanning so many lists.
    #[must_use]
    pub fn search_lists(&self, factors: &Factors, query: &[f32], limit: usize, probes: usize) -> Vec<(u32, f32)> {
        if query.len() != self.stride || limit == 0 || self.rows.is_empty() {
            return Vec::new();
        }
        let mut coded = vec![0; self.stride];
        let step = kernel::quantise(query, &mut coded);
        if step == 0.0 {
            return Vec::new();
        }
        let mut scores: Vec<f32> = Vec::new();
        let mut found: Vec<(f32, u32)> = Vec::new();
        for list in self.promising(query, probes) {
            let places = self.places(list);
            scores.clear();
            let codes = self.codes.get(places.start * self.stride..places.end * self.stride).unwrap_or(&[]);
            kernel::scan(&coded, step, codes, self.steps.get(places.clone()).unwrap_or(&[]), &mut scores);
            found.extend(scores.iter().copied().zip(self.rows.get(places).unwrap_or(&[]).iter().copied()));
        }
        let reranked = ((limit as f32 * RERANKED.0) as usize).max(limit + RERANKED.1);
        keep_best(&mut found, reranked);

        let rows: Vec<u32> = found.iter().map(|entry| entry.1).collect();
        let mut exact = vec![0.0; rows.len()];
        releases::vectors::dot_rows(query, &factors.values, &rows, &mut exact);
        let mut best: Vec<(f32, u32)> = exact.into_iter().zip(rows).collect();
        keep_best(&mut best, limit);
        best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        best.into_iter().map(|(score, row)| (row, score)).collect()
    }

    /// The lists to scan, in their own order: memory is read forward.
    fn promising(&self, query: &[f32], probes: usize) -> Vec<usize> {
        let lists = self.lists();
        if probes >= lists || self.radii.is_empty() {
            return (0..lists).collect();
        }
        let mut products = vec![0.0; lists];
        releases::vectors::dot_many(query, &self.centroids.values, &mut products);
        let length = releases::vectors::dot(query, query).sqrt();
        let mut promise: Vec<(f32, u32)> = products
            .iter()
            .zip(&self.radii)
            .enumerate()
            .map(|(list, (product, radius))| (product + RADIUS_SHARE * length * radius, list as u32))
            .collect();
        keep_best(&mut promise, probes.max(1));
        let mut chosen: Vec<usize> = promise.into_iter().map(|(_, list)| list as usize).collect();
        chosen.sort_unstable();
        chosen
    }
}

/// Keeps the `count` largest, in no order; ties by the smaller number.
fn keep_best(entries: &mut Vec<(f32, u32)>, count: usize) {
    if entries.len() > count && count > 0 {
        entries.select_nth_unstable_by(count - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    }
    entries.truncate(count);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows in soft clusters with lengths spread like popularity, as factorisation gives them.
    fn clustered(rows: usize, dimensions: usize, seed: u64) -> Factors {
        let mut state = seed;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0
        };
        let mut normal = move || uniform() + uniform() + uniform();
        let centres: Vec<f32> = (0..64 * dimensions).map(|_| normal()).collect();
        let mut values = Vec::with_capacity(rows * dimensions);
        for row in 0..rows {
            let centre = (row * 37) % 64;
            let length = 0.3 + 1.0 / (1.0 + (row % 101) as f32 / 8.0);
            values.extend((0..dimensions).map(|d| (centres[centre * dimensions + d] + 0.8 * normal()) * length));
        }
        Factors::new(dimensions, &values, 1.0, 0.1, 0.0).unwrap()
    }

    fn exact(factors: &Factors, query: &[f32], limit: usize) -> Vec<u32> {
        let mut all: Vec<(f32, u32)> =
            (0..factors.rows as u32).map(|row| (releases::vectors::dot(query, factors.row(row)), row)).collect();
        all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(limit);
        all.into_iter().map(|entry| entry.1).collect()
    }

    fn recall(factors: &Factors, index: &EmbeddingIndex, queries: usize, limit: usize) -> f64 {
        let mut hits = 0;
        for n in 0..queries {
            // A listener's vector lies among the items they play.
            let mut query = vec![0.0; factors.stride()];
            for play in 0..8 {
                releases::vectors::axpy(
                    1.0,
                    factors.row(((n * 64 * 7 + play * 64 * 13 + n) % factors.rows) as u32),
                    &mut query,
                );
            }
            let truth = exact(factors, &query, limit);
            let found = index.search(factors, &query, limit);
            hits += truth.iter().filter(|row| found.iter().any(|(found, _)| found == *row)).count();
        }
        hits as f64 / (queries * limit) as f64
    }

    #[test]
    fn default_probes_find_95_of_100() {
        let factors = clustered(24_000, 32, 7);
        let index = EmbeddingIndex::build(&factors, &Config::default());
        assert!(index.lists() > 100);
        let recall = recall(&factors, &index, 40, 100);
        assert!(recall >= 0.95, "recall@100 is {recall}");
    }

    #[test]
    fn a_small_catalogue_is_scanned_whole() {
        let factors = clustered(2_000, 16, 3);
        let index = EmbeddingIndex::build(&factors, &Config::default());
        assert_eq!(index.lists(), 1);
        let recall = recall(&factors, &index, 20, 100);
        assert!(recall >= 0.999, "recall@100 is {recall}");
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        let index = EmbeddingIndex::build(&Factors::default(), &Config::default());
        assert!(index.search(&Factors::default(), &[], 5).is_empty());
        let factors = clustered(10, 8, 1);
        let index = EmbeddingIndex::build(&factors, &Config::default());
        assert!(index.search(&factors, &[0.0; 8], 5).is_empty());
        assert!(index.search(&factors, &[1.0; 16], 5).is_empty());
        assert_eq!(index.search(&factors, &[1.0; 8], 50).len(), 10);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn scanning_every_list_finds_what_exact_search_finds(seed in 0_u64..1_000) {
            let factors = clustered(600, 16, seed);
            let index = EmbeddingIndex::build(&factors, &Config { exact_below: 100, probe_share: 0.1 });
            let query = factors.row((seed % 600) as u32).to_vec();
            let found: Vec<u32> = index.search_lists(&factors, &query, 20, index.lists()).into_iter().map(|entry| entry.0).collect();
            prop_assert_eq!(found, exact(&factors, &query, 20));
        }
    }
}
