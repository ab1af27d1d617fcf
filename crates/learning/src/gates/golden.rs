//! Making golden requests: held-out listeners with what is nearest to them, items with those most alike, cards with
//! what the scorer says of them.
//!
//! Answers are computed by definition, over all items and not through an index: the gate then finds out whether the
//! code that serves comes to the same.

use ranking::{features::COLUMNS, scorers::Model};
use releases::{
    Error, Factors, Neighbours,
    golden::{ANSWER, Card, FORM, Golden, Listener, Scored, Similar, Tolerance},
};
use shared_models::ItemKey;

use crate::{factors::Interactions, ranker::Rows};

/// How many listeners are asked for.
const LISTENERS: usize = 24;
/// The most items of a listener's history.
const HISTORY: usize = 50;
/// How many items are asked for.
const ITEMS: usize = 12;
/// How many cards are asked for.
const CARDS: usize = 16;

/// What golden requests are made of. Rows are rows of the release.
pub struct Input<'a> {
    /// The items of the release.
    pub items: &'a [ItemKey],
    /// What listeners had done, before what was held out.
    pub histories: &'a Interactions,
    /// What was held out of whom; all listeners are taken where there is none.
    pub held_out: Option<&'a Interactions>,
    /// The factors.
    pub factors: Option<&'a Factors>,
    /// The neighbours.
    pub neighbours: Option<&'a Neighbours>,
    /// The scorer with the rows that it was trained on, calibrated on and tested with.
    pub scorer: Option<(&'a Model, &'a Rows)>,
}

/// Makes golden requests, and gives their bytes.
///
/// # Errors
/// When an answer is not finite.
pub fn make(input: &Input<'_>) -> Result<Vec<u8>, Error> {
    Golden {
        form: FORM,
        tolerance: Tolerance::default(),
        listeners: input.factors.map(|factors| listeners(input, factors)).unwrap_or_default(),
        similar: input.neighbours.map(|neighbours| similar(input.items, neighbours)).unwrap_or_default(),
        cards: input.scorer.map(|(model, rows)| cards(model, rows)).unwrap_or_default(),
    }
    .encode()
}

/// Golden requests of candidate models that stay as they are, with cards for another scorer.
///
/// # Errors
/// When an answer is not finite.
pub fn with_cards(golden: Option<Golden>, model: &Model, rows: &Rows) -> Result<Vec<u8>, Error> {
    Golden { form: FORM, cards: cards(model, rows), ..golden.unwrap_or_default() }.encode()
}

/// Some of many, evenly.
fn some<T: Copy>(all: &[T], count: usize) -> impl Iterator<Item = T> + '_ {
    let count = count.min(all.len());
    (0..count).map(move |n| all[n * all.len() / count])
}

fn listeners(input: &Input<'_>, factors: &Factors) -> Vec<Listener> {
    let is_asked = |user: &usize| {
        let held = input.held_out.is_none_or(|held_out| !held_out.row(*user).0.is_empty());
        held && !input.histories.row(*user).0.is_empty()
    };
    let users: Vec<usize> = (0..input.histories.rows()).filter(is_asked).collect();
    let listeners = some(&users, LISTENERS).map(|user| {
        let (rows, weights) = input.histories.row(user);
        let mut history: Vec<(u32, f32)> = rows.iter().copied().zip(weights.iter().copied()).collect();
        history.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        history.truncate(HISTORY);
        let told: Vec<(u32, f32)> =
            history.iter().map(|(row, weight)| (*row, factors.confidence(*weight, 0.0))).collect();
        let nearest = nearest(factors, &factors.fold_in(&told));
        Listener { history: keyed(input.items, &history), nearest: keyed(input.items, &nearest) }
    });
    listeners.filter(|listener| !listener.nearest.is_empty()).collect()
}

/// The rows of largest product with a vector, by looking at all of them; none where the vector says nothing.
fn nearest(factors: &Factors, vector: &[f32]) -> Vec<(u32, f32)> {
    if vector.iter().all(|value| *value == 0.0) {
        return Vec::new();
    }
    let mut all: Vec<(u32, f32)> =
        (0..factors.rows as u32).map(|row| (row, releases::vectors::dot(vector, factors.row(row)))).collect();
    all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(ANSWER);
    all
}

fn similar(items: &[ItemKey], neighbours: &Neighbours) -> Vec<Similar> {
    let rows: Vec<u32> = (0..neighbours.rows() as u32).filter(|row| !neighbours.of(*row).0.is_empty()).collect();
    some(&rows, ITEMS)
        .map(|row| {
            let (others, scores) = neighbours.of(row);
            let nearest: Vec<(u32, f32)> = others.iter().copied().zip(scores.iter().copied()).take(ANSWER).collect();
            Similar { item: items[row as usize], nearest: keyed(items, &nearest) }
        })
        .collect()
}

/// Of the latest rows, which nothing was fitted to.
fn cards(model: &Model, rows: &Rows) -> Vec<Card> {
    let latest: Vec<usize> = (rows.len() * 9 / 10..rows.len()).collect();
    some(&latest, CARDS)
        .filter_map(|row| {
            let features = rows.features[row * COLUMNS..(row + 1) * COLUMNS].to_vec();
            let mut card = Card { features, predictions: Vec::new() };
            card.predictions = ranking::golden::predict(model, &card)?.to_vec();
            Some(card)
        })
        .collect()
}

fn keyed(items: &[ItemKey], scored: &[(u32, f32)]) -> Vec<Scored> {
    scored.iter().map(|(row, score)| Scored { item: items[*row as usize], score: *score }).collect()
}
