//! The order of a page's shelves: what each is worth to this listener. It must never know what a shelf
//! is called or where its candidates come from.

use pipeline::ranking::Scored;
use shared_models::plan::{ShelfOrder, ShelfRankPlan};

/// What seeing a position is worth, from 0: `1 / log2(position + 2)`, the discount of Järvelin and
/// Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques" (2002).
#[must_use]
pub fn discount(position: usize) -> f32 {
    1.0 / (position as f32 + 2.0).log2()
}

/// The position-discounted mean of some cards' scores, so that shelves of different lengths compare;
/// 0 for no cards.
#[must_use]
pub fn worth(scores: impl Iterator<Item = f32>) -> f32 {
    let (mut sum, mut discounts) = (0.0, 0.0);
    for (position, score) in scores.enumerate() {
        sum += score * discount(position);
        discounts += discount(position);
    }
    if discounts > 0.0 { sum / discounts } else { 0.0 }
}

/// The order in which shelves choose, which is the order in which the page shows them.
///
/// A pinned shelf has its slot, or the next free one; a slot past the page is its last. The other slots
/// go to the remaining shelves, as listed or by worth: slot by slot, to the shelf whose best candidates
/// are worth most once those that the shelves above are expected to take are gone. A shelf without
/// candidates is worth least; ties go to the shelf listed first.
#[must_use]
pub fn order(shelves: &[ShelfRankPlan], ranked: &[Vec<Scored>], rows: usize, by: ShelfOrder) -> Vec<usize> {
    let mut slots = pinned_slots(shelves);
    let mut remaining: Vec<usize> = (0..shelves.len()).filter(|shelf| !slots.contains(&Some(*shelf))).collect();
    let mut taken = vec![false; rows];
    for slot in &mut slots {
        let shelf = match *slot {
            Some(pinned) => pinned,
            None if remaining.is_empty() => continue,
            None => remaining.remove(match by {
                ShelfOrder::Fixed => 0,
                ShelfOrder::ByScore => most_worth(shelves, ranked, &remaining, &taken),
            }),
        };
        *slot = Some(shelf);
        if by == ShelfOrder::ByScore {
            let size = size_of(shelves, shelf);
            let mut count = 0;
            for scored in ranked.get(shelf).into_iter().flatten() {
                if count == size {
                    break;
                }
                if let Some(place) = taken.get_mut(scored.row as usize).filter(|place| !**place) {
                    *place = true;
                    count += 1;
                }
            }
        }
    }
    slots.into_iter().flatten().collect()
}

fn pinned_slots(shelves: &[ShelfRankPlan]) -> Vec<Option<usize>> {
    let mut slots: Vec<Option<usize>> = vec![None; shelves.len()];
    for (shelf, plan) in shelves.iter().enumerate() {
        let Some(slot) = plan.pinned_slot else { continue };
        let wanted = usize::from(slot).min(shelves.len().saturating_sub(1));
        let (before, from) = slots.split_at_mut(wanted);
        let free = from.iter_mut().chain(before.iter_mut().rev()).find(|place| place.is_none());
        if let Some(place) = free {
            *place = Some(shelf);
        }
    }
    slots
}

fn most_worth(shelves: &[ShelfRankPlan], ranked: &[Vec<Scored>], remaining: &[usize], taken: &[bool]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (place, shelf) in remaining.iter().enumerate() {
        let is_free = |scored: &&Scored| !taken.get(scored.row as usize).copied().unwrap_or(true);
        let mut free = ranked.get(*shelf).into_iter().flatten().filter(is_free).peekable();
        if free.peek().is_some() {
            let worth = worth(free.take(size_of(shelves, *shelf)).map(|scored| scored.score.value()));
            if worth > best.1 {
                best = (place, worth);
            }
        }
    }
    best.0
}

fn size_of(shelves: &[ShelfRankPlan], shelf: usize) -> usize {
    shelves.get(shelf).map_or(0, |plan| usize::from(plan.slate.size))
}
