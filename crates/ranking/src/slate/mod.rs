//! Slate rules: which of a shelf's scored candidates become its cards, and in which order.
//!
//! Position by position: a pin, or else one card of the *pool*, chosen by maximal marginal relevance
//! (Carbonell and Goldstein, "The Use of MMR", SIGIR 1998) and the exploration policy. The rules must
//! never know a model, a source or another shelf.

pub mod order;
pub mod reasons;

mod pool;

use pipeline::{Score, ranking::Scored};
use rand_xoshiro::rand_core::Rng;
use shared_models::{ItemKey, candidates::CandidateTable, plan::SlatePlan};

use crate::{
    explore::{
        self, Chance,
        beliefs::Evidence,
        newcomers::{Newcomers, Standing},
    },
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
    /// Whether a position that is kept for new items went to it.
    pub newcomer: bool,
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
    let newcomers = newcomers(rules, ranked);
    let mut cards: Vec<Chosen> = Vec::with_capacity(size);
    while cards.len() < size {
        let due = waiting.next_if(|(position, _)| usize::from(*position) <= cards.len());
        let card = match due {
            Some((_, scored)) => pinned(*scored),
            None => match pool.greedy() {
                Some(greedy) => {
                    let newcomers = newcomers.filter(|newcomers| newcomers.keeps(cards.len()));
                    let chosen = match newcomers {
                        Some(newcomers) => choose_kept(rules, &newcomers, ranked, &mut pool, greedy, rng),
                        None => choose(rules, &mut pool, greedy, rng),
                    };
                    let Some(chosen) = chosen else { break };
                    chosen
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

/// The probability with which the rules put each card of a slate at its place, given the cards before it: what
/// [`Chosen::propensity`] says, of a slate that is given. `scores` are the free candidates with their scores, in any order.
/// After a card that the rules never put at its place, all have 0.
#[must_use]
pub fn chances(rules: Rules<'_>, scores: &[(u32, f32)], slate: &[u32]) -> Vec<f32> {
    let scored = |(row, score): &(u32, f32)| Some(Scored { row: *row, score: Score::new(*score)? });
    let mut ranked: Vec<Scored> = scores.iter().filter_map(scored).collect();
    let key = |scored: &Scored| rules.table.items.get(scored.row as usize).map_or(u64::MAX, |key| key.0);
    ranked.sort_unstable_by(|a, b| b.score.cmp(&a.score).then(key(a).cmp(&key(b))));
    let pins = pins(rules, &ranked);
    let mut pool = Pool::new(rules, &ranked, &pins);
    let newcomers = newcomers(rules, &ranked);
    let mut waiting = pins.iter().peekable();
    let mut chances = Vec::with_capacity(slate.len());
    for row in slate {
        let place = chances.len();
        let due = waiting.next_if(|(position, _)| usize::from(*position) <= place);
        // Where no candidate is left but pins, the next one follows.
        let greedy = if due.is_none() { pool.greedy() } else { None };
        let due = due.or_else(|| if greedy.is_none() { waiting.next() } else { None });
        let chance = match (due, greedy) {
            (Some((_, pinned)), _) if pinned.row == *row => {
                pool.placed(*row);
                1.0
            }
            (None, Some(greedy)) => {
                let kept = newcomers.filter(|newcomers| newcomers.keeps(place));
                let chance = chance_of(rules, kept.as_ref(), &ranked, &mut pool, greedy, *row);
                if let Some(scored) = ranked.iter().find(|scored| scored.row == *row) {
                    pool.take_row(*scored);
                }
                chance
            }
            _ => 0.0,
        };
        chances.push(chance);
        if chance <= 0.0 {
            break;
        }
    }
    chances.resize(slate.len(), 0.0);
    chances
}

/// The probability with which a place that no pin holds goes to a candidate.
fn chance_of(
    rules: Rules<'_>,
    kept: Option<&Newcomers<'_>>,
    ranked: &[Scored],
    pool: &mut Pool<'_>,
    greedy: usize,
    row: u32,
) -> f32 {
    let policy = rules.plan.explore;
    let certain_not = |place: usize| policy.is_off() && place != greedy;
    let place = pool.place_of(row).filter(|place| !certain_not(*place));
    let by_policy = place.map(|place| explore::chance(policy, pool.choices(greedy), place));
    let is_welcome = |row: u32| kept.is_some_and(|newcomers| newcomers.standing(row) == Standing::Welcome);
    let welcome = ranked.iter().filter(|scored| is_welcome(scored.row) && pool.is_free(scored.row)).count();
    match kept {
        Some(newcomers) if welcome > 0 => {
            let is_one = is_welcome(row) && pool.is_free(row);
            if by_policy.is_none() && !is_one {
                return 0.0;
            }
            explore::kept_chance(newcomers.share(), welcome, is_one, by_policy).value
        }
        _ => by_policy.map_or(0.0, |chance| chance.value),
    }
}

/// What the shelf's rule for new items says of its candidates, where it has one.
#[must_use]
pub fn newcomers<'a>(rules: Rules<'a>, ranked: &[Scored]) -> Option<Newcomers<'a>> {
    let rule = rules.plan.new_items.as_ref()?;
    let best = ranked.get(..pool::filling(rules.plan)).unwrap_or(ranked);
    Some(Newcomers::of(rule, rules.table, Evidence::of(rules.table, rules.crowd), best))
}

/// A card by the shelf's policy.
fn choose(rules: Rules<'_>, pool: &mut Pool<'_>, greedy: usize, rng: &mut impl Rng) -> Option<Chosen> {
    let draw = explore::draw(rules.plan.explore, pool.choices(greedy), rng);
    let scored = pool.take(draw.choice)?;
    Some(Chosen { scored, propensity: draw.chance, explored: draw.explored, pinned: false, newcomer: false })
}

/// A card of a position that is kept for new items.
fn choose_kept(
    rules: Rules<'_>,
    newcomers: &Newcomers<'_>,
    ranked: &[Scored],
    pool: &mut Pool<'_>,
    greedy: usize,
    rng: &mut impl Rng,
) -> Option<Chosen> {
    let is_welcome = |row: u32| newcomers.standing(row) == Standing::Welcome;
    let welcome: Vec<Scored> =
        ranked.iter().filter(|scored| is_welcome(scored.row) && pool.is_free(scored.row)).copied().collect();
    let (share, count) = (newcomers.share(), welcome.len());
    let newcomer = explore::newcomer(share, count, rng).and_then(|choice| welcome.get(choice).copied());
    if count == 0 {
        return choose(rules, pool, greedy, rng);
    }
    let policy = rules.plan.explore;
    let (scored, by_policy, explored) = match newcomer {
        Some(scored) => {
            let place = pool.place_of(scored.row);
            let by_policy = place.map(|place| explore::chance(policy, pool.choices(greedy), place));
            pool.take_row(scored);
            (scored, by_policy, true)
        }
        None => {
            let draw = explore::draw(policy, pool.choices(greedy), rng);
            (pool.take(draw.choice)?, Some(draw.chance), draw.explored)
        }
    };
    let propensity = explore::kept_chance(share, count, is_welcome(scored.row), by_policy);
    Some(Chosen { scored, propensity, explored, pinned: false, newcomer: newcomer.is_some() })
}

fn pinned(scored: Scored) -> Chosen {
    Chosen { scored, propensity: Chance::CERTAIN, explored: false, pinned: true, newcomer: false }
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
