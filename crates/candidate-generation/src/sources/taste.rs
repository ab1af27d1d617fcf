//! What near means to the sources that look for items near the listener's vector, and what they name as evidence:
//! the nearest of the items the page is about, or of those the listener played lately, if it is near enough to be
//! called so.

use releases::{Factors, vectors::dot};
use shared_models::candidates::NEAR;

use crate::{catalog::Handle, index::Serving, profiles::context, query::PageQuery};

/// How many items may be evidence.
const EVIDENCE: usize = 8;

/// The listener's vector; on a page about items, and for nobody in particular, the items' mean.
pub(super) fn vector(query: &PageQuery, serving: &Serving, factors: &Factors) -> Option<Vec<f32>> {
    if let Some(vector) = query.vector.as_ref().filter(|vector| vector.values.len() == factors.stride()) {
        return Some(vector.values.clone());
    }
    let rows: Vec<u32> = query.asked.seed_items.iter().filter_map(|key| serving.release.index_of(*key)).collect();
    let mut mean = vec![0.0; factors.stride()];
    for row in &rows {
        releases::vectors::axpy(1.0 / rows.len() as f32, factors.row(*row), &mut mean);
    }
    (!rows.is_empty()).then_some(mean)
}

/// What the page is about and what was played lately, with factors scaled to length 1, so that the nearest
/// is the most alike and not the most popular.
pub(super) fn evidence(query: &PageQuery, serving: &Serving, factors: &Factors) -> Vec<(Handle, Vec<f32>)> {
    let seeds = query.asked.seed_items.iter().copied();
    // No further back than the recent items that ranking knows of.
    let recent = query.listener.recent().iter().take(context::RECENT).map(|(key, _)| *key);
    seeds
        .chain(recent.filter(|key| query.listener.profile.items.is_played(*key)))
        .filter_map(|key| {
            let item = query.catalogue.handle(key);
            let mut values = factors.row(serving.row(item)?).to_vec();
            releases::vectors::normalise(&mut values);
            Some((item, values))
        })
        .take(EVIDENCE)
        .collect()
}

/// The nearest of the evidence by cosine, at least [`NEAR`]. An item is no evidence for itself.
pub(super) fn nearest(candidate: Handle, values: &[f32], evidence: &[(Handle, Vec<f32>)]) -> Option<Handle> {
    let length = dot(values, values).sqrt();
    let mut best: Option<(f32, Handle)> = None;
    for (item, other) in evidence.iter().filter(|(item, _)| *item != candidate) {
        let likeness = dot(values, other);
        if likeness > 0.0 && likeness >= NEAR * length && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, *item));
        }
    }
    best.map(|(_, item)| item)
}
