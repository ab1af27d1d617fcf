//! What a search finds against what there is: whole, filtered, and with items that came and went.

use proptest::prelude::*;
use releases::vectors;
use shared_models::ItemKey;

use super::{
    super::{added::mean, row_set::RowSet, search::Wanted},
    *,
};

struct Numbers(u64);

impl Numbers {
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32 * 2.0 - 1.0
    }

    fn normal(&mut self) -> f32 {
        self.uniform() + self.uniform() + self.uniform()
    }
}

/// Rows in soft clusters with lengths spread like popularity, as factorisation gives them.
fn clustered(rows: usize, dimensions: usize, seed: u64) -> Factors {
    let mut numbers = Numbers(seed);
    let centres: Vec<f32> = (0..64 * dimensions).map(|_| numbers.normal()).collect();
    let mut values = Vec::with_capacity(rows * dimensions);
    for row in 0..rows {
        let centre = (row * 37) % 64;
        let length = 0.3 + 1.0 / (1.0 + (row % 101) as f32 / 8.0);
        values.extend((0..dimensions).map(|d| (centres[centre * dimensions + d] + 0.8 * numbers.normal()) * length));
    }
    Factors::new(dimensions, &values, 1.0, 0.1, 0.0).unwrap()
}

/// A listener's vector lies among the items they play.
fn listener(factors: &Factors, n: usize) -> Vec<f32> {
    let played = (0..8).map(|play| factors.row(((n * 64 * 7 + play * 64 * 13 + n) % factors.rows) as u32));
    mean(played, factors.stride()).unwrap()
}

fn exact(factors: &Factors, query: &[f32], limit: usize, may: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut all: Vec<(f32, u32)> = (0..factors.rows as u32)
        .filter(|row| may(*row))
        .map(|row| (vectors::dot(query, factors.row(row)), row))
        .collect();
    all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.truncate(limit);
    all.into_iter().map(|entry| entry.1).collect()
}

fn rows(found: &[(u32, f32)]) -> Vec<u32> {
    found.iter().map(|entry| entry.0).collect()
}

fn recall(factors: &Factors, index: &EmbeddingIndex, limit: usize, may: Option<&RowSet>) -> f64 {
    let mut hits = 0;
    for n in 0..40 {
        let query = listener(factors, n);
        let truth = exact(factors, &query, limit, |row| may.is_none_or(|rows| rows.contains(row)));
        let found = index.search_among(factors, None, Filter { rows: may, ..Filter::default() }, &query, limit);
        assert_eq!(found.len(), limit.min(may.map_or(factors.rows, RowSet::len)));
        hits += truth.iter().filter(|row| found.iter().any(|(found, _)| found == *row)).count();
    }
    hits as f64 / (40 * limit) as f64
}

fn every(rows: usize, nth: usize) -> RowSet {
    (0..rows as u32).filter(|row| (row.wrapping_mul(2_654_435_761) >> 8) % nth as u32 == 0).collect()
}

#[test]
fn the_default_effort_finds_97_of_100_whatever_a_filter_leaves() {
    let factors = clustered(24_000, 32, 7);
    let index = EmbeddingIndex::build(&factors, &Config::default());
    assert!(index.lists() > 100);
    let all = recall(&factors, &index, 100, None);
    assert!(all >= 0.97, "recall@100 is {all}");
    for nth in [2, 10, 100] {
        let left = every(24_000, nth);
        let recall = recall(&factors, &index, 100, Some(&left));
        assert!(recall >= 0.97, "recall@100 of one in {nth} is {recall}");
    }
}

#[test]
fn a_small_catalogue_is_one_list() {
    let factors = clustered(2_000, 16, 3);
    let index = EmbeddingIndex::build(&factors, &Config::default());
    assert_eq!(index.lists(), 1);
    let recall = recall(&factors, &index, 100, None);
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

#[test]
fn what_came_is_found_and_what_went_is_not() {
    let factors = clustered(3_000, 16, 5);
    let index = EmbeddingIndex::build(&factors, &Config { exact_below: 100, ..Config::default() });
    let query = listener(&factors, 3);
    let before = index.search(&factors, &query, 10);
    let mut added = Added::to(factors.rows, factors.stride());
    let near: Vec<f32> = query.iter().map(|value| value * 100.0).collect();
    let new = added.add(ItemKey(7), &near, true).unwrap();
    let known = added.add(ItemKey(8), &near, false).unwrap();
    added.hide(before[0].0);
    assert_eq!((added.key(new), added.key(known), added.key(0)), (Some(ItemKey(7)), Some(ItemKey(8)), None));
    let find = |added: &Added, wanted: Wanted, limit: usize| {
        let filter = Filter { rows: None, added: wanted };
        rows(&index.search_among(&factors, Some(added), filter, &query, limit))
    };
    assert_eq!(find(&added, Wanted::None, 9), rows(&before[1..]));
    assert_eq!(find(&added, Wanted::New, 10), [&[new][..], &rows(&before[1..])].concat());
    assert_eq!(find(&added, Wanted::All, 2), [new, known]);
    let earlier = added.clone();
    added.hide(new);
    added.show(before[0].0);
    assert_eq!(find(&added, Wanted::New, 10), rows(&before));
    assert_eq!(find(&earlier, Wanted::New, 1), [new], "a search keeps its state while the next is made");
    assert_eq!(added.add(ItemKey(9), &[1.0; 8], true), None, "a vector of other factors");
    assert_eq!(added.add(ItemKey(9), &[f32::NAN; 16], true), None);
}

#[test]
fn the_lists_do_not_depend_on_how_many_threads_make_them() {
    let factors = clustered(5_000, 16, 11);
    let made = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| build::lists(&factors, 100))
    };
    assert!(made(1) == made(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn scanning_everything_finds_what_exact_search_finds(seed in 0_u64..1_000, nth in 1_usize..5, limit in 1_usize..60) {
        let factors = clustered(900, 16, seed);
        let index = EmbeddingIndex::build(&factors, &Config { exact_below: 100, effort: f32::INFINITY });
        prop_assert!(index.lists() > 50);
        let mut added = Added::to(factors.rows, factors.stride());
        (0..900).filter(|row| row % 7 == 3).for_each(|row| added.hide(row));
        let left = every(900, nth);
        let query = factors.row((seed % 900) as u32).to_vec();
        let filter = Filter { rows: Some(&left), ..Filter::default() };
        let truth = exact(&factors, &query, limit, |row| left.contains(row) && row % 7 != 3);
        for (few, how) in [(1.0, "one by one"), (0.0, "by scanning")] {
            let found = rows(&index.with_few(few).search_among(&factors, Some(&added), filter, &query, limit));
            prop_assert_eq!(&found, &truth, "{}", how);
        }
        let all = exact(&factors, &query, limit, |row| row % 7 != 3);
        let found = rows(&index.search_among(&factors, Some(&added), Filter::default(), &query, limit));
        prop_assert_eq!(&found, &all, "without a filter");
    }
}
