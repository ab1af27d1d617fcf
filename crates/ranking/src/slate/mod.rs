//! Slate rules: which of a shelf's scored candidates become its cards, and in which order.
//!
//! Position by position: a pin, or else one card of the *pool*, chosen by maximal marginal relevance
//! (Carbonell and Goldstein, "The Use of MMR", SIGIR 1998) and the exploration policy. The rules must
//! never know a model, a source or another shelf.

pub mod order;
pub mod reasons;

mod pool;

use pipeline::ranking::Scored;
use rand_xoshiro::rand_core::Rng;
use shared_models::{ItemKey, candidates::CandidateTable, plan::SlatePlan};

use crate::{
    explore::{self, Chance},
    features::gather::{Crowd, Units},
};
use pool::Pool;

/// What the rules read of the page.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The shelf's rules.
    pub plan: &'a SlatePlan,
    /// The page's candidates.
    pub table: &'a CandidateTable,
    /// The candidates in factor space.
    pub units: &'a Units,
    /// What everybody does with the candidates, where the release knows.
    pub crowd: Option<&'a [Crowd]>,
}

/// One chosen card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// What was chosen.
    pub scored: Scored,
    /// The probability with which the policy put it here, given the cards before.
    pub propensity: Chance,
    /// Whether a random draw chose it.
    pub explored: bool,
    /// Whether the surface pinned it.
    pub pinned: bool,
}

/// Chooses a shelf's cards from `ranked`, best first and none of them on the page yet.
///
/// A pinned item stands at its position when it is among `ranked`; it counts towards its artist's cap
/// and is never refused by it. Of two pins at one position, or of one item, the first counts. When
/// there are too few cards to reach a pin's position, the pin follows the last card.
pub fn select(rules: Rules<'_>, ranked: &[Scored], rng: &mut impl Rng) -> Vec<Chosen> {
    let size = usize::from(rules.plan.size).min(ranked.len());
    let pins = pins(rules, ranked);
    let mut pool = Pool::new(rules, ranked, &pins);
    let mut waiting = pins.iter().peekable();
    let mut cards: Vec<Chosen> = Vec::with_capacity(size);
    while cards.len() < size {
        let due = waiting.next_if(|(position, _)| usize::from(*position) <= cards.len());
        let card = match due {
            Some((_, scored)) => pinned(*scored),
            None => match pool.greedy() {
                Some(greedy) => {
                    let draw = explore::draw(rules.plan.explore, pool.choices(greedy), rng);
                    let Some(scored) = pool.take(draw.choice) else { break };
                    Chosen { scored, propensity: draw.chance, explored: draw.explored, pinned: false }
                }
                None => match waiting.next() {
                    Some((_, scored)) => pinned(*scored),
                    None => break,
                },
            },
        };
        if card.pinned {
            pool.placed(card.scored.row);
        }
        cards.push(card);
    }
    cards
}

fn pinned(scored: Scored) -> Chosen {
    Chosen { scored, propensity: Chance::CERTAIN, explored: false, pinned: true }
}

/// The pins that are among the candidates, by position.
fn pins(rules: Rules<'_>, ranked: &[Scored]) -> Vec<(u16, Scored)> {
    let mut found: Vec<(u16, Scored)> = Vec::new();
    for pin in rules.plan.pins.iter().filter(|pin| pin.position < rules.plan.size) {
        let of_item = |scored: &&Scored| rules.table.items.get(scored.row as usize) == Some(&pin.item);
        if let Some(scored) = ranked.iter().find(of_item)
            && found.iter().all(|(position, other)| *position != pin.position && other.row != scored.row)
        {
            found.push((pin.position, *scored));
        }
    }
    found.sort_unstable_by_key(|(position, _)| *position);
    found
}

fn artist_of(table: &CandidateTable, row: u32) -> ItemKey {
    table.artists.get(row as usize).copied().unwrap_or(ItemKey::NONE)
}
