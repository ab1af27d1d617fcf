//! The pool of one shelf: its best candidates, what each adds to the cards before, and which are
//! eligible. It must never know chance.

use pipeline::ranking::Scored;
use releases::vectors;
use shared_models::{ItemKey, explore::Explore, plan::SlatePlan};

use super::{Rules, artist_of};
use crate::explore::{Choices, beliefs};

/// The pool holds this many candidates for each card of the shelf: enough to find difference in, few
/// enough that exploring them shows nothing absurd.
const POOL_PER_CARD: usize = 4;

/// How many candidates a filling of the pool takes.
pub(super) fn filling(plan: &SlatePlan) -> usize {
    usize::from(plan.size) * POOL_PER_CARD
}

pub(super) struct Pool<'a> {
    rules: Rules<'a>,
    /// Candidates that the pool has not looked at yet, best first.
    rest: std::slice::Iter<'a, Scored>,
    /// Rows that a pin holds.
    held: Vec<u32>,
    /// How many candidates a filling of the pool takes.
    filling: usize,
    /// The eligible candidates, best first, and for each its relevance and its greatest similarity to
    /// a card before it.
    open: Vec<Scored>,
    relevance: Vec<f32>,
    similarity: Vec<f32>,
    /// How far each relevance may be from the truth; empty where nobody asks.
    doubt: Vec<f32>,
    /// Room for what each eligible candidate adds, and how far that may be from the truth.
    values: Vec<f32>,
    deviations: Vec<f32>,
    /// The cards so far.
    cards: Vec<u32>,
    /// Cards of each artist, pins included from the start.
    artists: Vec<(ItemKey, u16)>,
    /// The lowest score of the first filling and the distance to its highest.
    scale: (f32, f32),
    /// Room for one comparison: rows and their cosines.
    rows: Vec<u32>,
    cosines: Vec<f32>,
}

impl<'a> Pool<'a> {
    pub(super) fn new(rules: Rules<'a>, ranked: &'a [Scored], pins: &[(u16, Scored)]) -> Self {
        let filling = filling(rules.plan);
        let high = ranked.first().map_or(0.0, |scored| scored.score.value());
        let low = ranked.get(..filling).unwrap_or(ranked).last().map_or(0.0, |scored| scored.score.value());
        let mut pool = Self {
            rules,
            rest: ranked.iter(),
            held: pins.iter().map(|(_, scored)| scored.row).collect(),
            filling,
            open: Vec::with_capacity(filling),
            relevance: Vec::with_capacity(filling),
            similarity: Vec::with_capacity(filling),
            doubt: Vec::new(),
            values: Vec::new(),
            deviations: Vec::new(),
            cards: Vec::with_capacity(usize::from(rules.plan.size)),
            artists: Vec::new(),
            scale: (low, high - low),
            rows: Vec::with_capacity(filling),
            cosines: vec![0.0; filling],
        };
        for (_, scored) in pins {
            pool.count_artist(scored.row);
        }
        pool
    }

    /// The place among the eligible of the best by `(1 − d) · relevance − d · similarity`, the earlier
    /// on a tie; `None` when no candidate is left. Without diversity and doubt that is the first: score order.
    pub(super) fn greedy(&mut self) -> Option<usize> {
        while self.open.is_empty() {
            if self.rest.len() == 0 {
                return None;
            }
            self.fill();
        }
        if self.rules.plan.diversity <= 0.0 && self.doubt.is_empty() {
            return Some(0);
        }
        let mut best = (0, f32::NEG_INFINITY);
        for (place, (relevance, similarity)) in self.relevance.iter().zip(&self.similarity).enumerate() {
            let value = self.value(*relevance, *similarity);
            if value > best.1 {
                best = (place, value);
            }
        }
        Some(best.0)
    }

    fn value(&self, relevance: f32, similarity: f32) -> f32 {
        let diversity = self.rules.plan.diversity.max(0.0);
        (1.0 - diversity) * relevance - diversity * similarity
    }

    /// The eligible candidates as a policy sees them, of which `greedy` is the best.
    pub(super) fn choices(&mut self, greedy: usize) -> Choices<'_> {
        let mut values = std::mem::take(&mut self.values);
        let of = self.relevance.iter().zip(&self.similarity);
        values.clear();
        values.extend(of.map(|(relevance, similarity)| self.value(*relevance, *similarity)));
        self.values = values;
        let share = 1.0 - self.rules.plan.diversity.max(0.0);
        self.deviations.clear();
        self.deviations.extend(self.doubt.iter().map(|doubt| beliefs::held(share * doubt)));
        Choices { values: &self.values, deviations: &self.deviations, greedy }
    }

    /// Takes an eligible candidate as the next card.
    pub(super) fn take(&mut self, place: usize) -> Option<Scored> {
        if place >= self.open.len() {
            return None;
        }
        let scored = self.remove(place);
        self.count_artist(scored.row);
        self.placed(scored.row);
        Some(scored)
    }

    /// Whether a candidate may still become a card.
    pub(super) fn is_free(&self, row: u32) -> bool {
        !self.cards.contains(&row) && !self.held.contains(&row) && !self.is_capped(artist_of(self.rules.table, row))
    }

    /// The place of a candidate among the eligible, where it is one.
    pub(super) fn place_of(&self, row: u32) -> Option<usize> {
        self.open.iter().position(|scored| scored.row == row)
    }

    /// Takes a free candidate as the next card, whether it is among the eligible yet or not.
    pub(super) fn take_row(&mut self, scored: Scored) {
        match self.place_of(scored.row) {
            Some(place) => {
                self.remove(place);
            }
            // It is passed over when the pool comes to it.
            None => self.held.push(scored.row),
        }
        self.count_artist(scored.row);
        self.placed(scored.row);
    }

    /// A card stands on the shelf: the rest is now measured against it too.
    pub(super) fn placed(&mut self, row: u32) {
        self.cards.push(row);
        let artist = artist_of(self.rules.table, row);
        if self.is_capped(artist) {
            self.close_artist(artist);
        }
        if self.rules.plan.diversity > 0.0 {
            self.compare(0, row);
        }
    }

    fn remove(&mut self, place: usize) -> Scored {
        self.relevance.remove(place);
        self.similarity.remove(place);
        if !self.doubt.is_empty() {
            self.doubt.remove(place);
        }
        self.open.remove(place)
    }

    /// A score on the scale on which the best candidate has 1, and the last of the first filling 0. Where all scores are
    /// one, they are 1, and others are as far from that as from their score.
    fn relevance_of(&self, score: f32) -> f32 {
        let (low, range) = self.scale;
        if range > 0.0 { (score - low) / range } else { 1.0 + (score - low) / self.width() }
    }

    /// What is 1 on the scale of relevance, in scores.
    fn width(&self) -> f32 {
        let (low, range) = self.scale;
        if range > 0.0 { range } else { low.abs().max(f32::MIN_POSITIVE) }
    }

    /// Takes the next candidates from the rest.
    fn fill(&mut self) {
        let from = self.open.len();
        let evidence = beliefs::Evidence::of(self.rules.table, self.rules.crowd);
        for _ in 0..self.filling {
            let Some(scored) = self.rest.next() else { break };
            if self.held.contains(&scored.row) || self.is_capped(artist_of(self.rules.table, scored.row)) {
                continue;
            }
            self.open.push(*scored);
            self.similarity.push(0.0);
            let score = scored.score.value();
            match self.rules.plan.explore {
                Explore::None | Explore::Epsilon { .. } | Explore::Softmax { .. } => {
                    self.relevance.push(self.relevance_of(score));
                }
                Explore::Thompson { prior, spread } => {
                    let (worth, deviation) = evidence.worth(scored.row, score, prior);
                    self.relevance.push(self.relevance_of(worth));
                    self.doubt.push(spread * deviation / self.width());
                }
            }
        }
        if self.rules.plan.diversity > 0.0 {
            for index in 0..self.cards.len() {
                if let Some(card) = self.cards.get(index).copied() {
                    self.compare(from, card);
                }
            }
        }
    }

    /// Raises the similarities of the eligible from `from` on to that with `card`: the cosine of their
    /// factors, at least 0; where the release knows one of them not, 1 for the same artist, else 0.
    fn compare(&mut self, from: usize, card: u32) {
        let Rules { table, units, .. } = self.rules;
        let open = self.open.get(from..).unwrap_or(&[]);
        let cosines = self.cosines.get_mut(..open.len()).unwrap_or(&mut []);
        let is_card_known = units.is_known(card as usize);
        if is_card_known {
            self.rows.clear();
            self.rows.extend(open.iter().map(|scored| scored.row));
            vectors::dot_rows(units.unit(card as usize), units.values(), &self.rows, cosines);
        }
        let artist = artist_of(table, card);
        let raised = self.similarity.get_mut(from..).unwrap_or(&mut []);
        for ((similarity, scored), cosine) in raised.iter_mut().zip(open).zip(cosines) {
            let new = if is_card_known && units.is_known(scored.row as usize) {
                *cosine
            } else if artist.is_some() && artist == artist_of(table, scored.row) {
                1.0
            } else {
                0.0
            };
            *similarity = similarity.max(new);
        }
    }

    fn is_capped(&self, artist: ItemKey) -> bool {
        let cap = self.rules.plan.max_per_artist;
        cap > 0 && artist.is_some() && self.artists.iter().any(|(known, count)| *known == artist && *count >= cap)
    }

    fn count_artist(&mut self, row: u32) {
        let artist = artist_of(self.rules.table, row);
        match self.artists.iter_mut().find(|(known, _)| *known == artist) {
            Some((_, count)) => *count += 1,
            None => self.artists.push((artist, 1)),
        }
    }

    fn close_artist(&mut self, artist: ItemKey) {
        let mut place = 0;
        while let Some(scored) = self.open.get(place) {
            if artist_of(self.rules.table, scored.row) == artist {
                self.remove(place);
            } else {
                place += 1;
            }
        }
    }
}
