//! The listener's vector: folded in from the item factors of a release, so that an event changes the
//! next page without training.

use releases::Release;
use shared_models::{ItemKey, ReleaseId, Timestamp};

use super::Profile;

/// The most items a vector is folded from: the latest that something speaks for.
pub const ITEMS: usize = 100;

/// A listener's vector in the factor space of one release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserVector {
    /// The release whose factors it was folded from.
    pub release: Option<ReleaseId>,
    /// The numbers, padded like a row of factors; empty when nothing is known.
    pub values: Vec<f32>,
}

/// Folds a listener in. Ages count from the profile's last event, not from now: a listener who comes
/// back after a year has the taste they left with.
#[must_use]
pub fn fold_in(profile: &Profile, release: &Release) -> UserVector {
    let now = profile.last_event_at.unwrap_or(Timestamp(0));
    let recent = profile.items.recent(ITEMS).into_iter().filter_map(|(key, _)| {
        let item = profile.items.of(key)?;
        Some((key, item.weight, now.days_since(item.touched)))
    });
    fold_in_items(recent, release)
}

/// Folds in a listener of whom the weights of some items are known, with their ages in days.
#[must_use]
pub fn fold_in_items(items: impl Iterator<Item = (ItemKey, f32, f32)>, release: &Release) -> UserVector {
    let Some(factors) = release.factors.as_ref() else {
        return UserVector { release: Some(release.manifest.id.clone()), values: Vec::new() };
    };
    let interactions: Vec<(u32, f32)> = items
        .filter_map(|(key, weight, age_days)| Some((release.index_of(key)?, factors.confidence(weight, age_days))))
        .collect();
    let values = if interactions.is_empty() { Vec::new() } else { factors.fold_in(&interactions) };
    // Factors of nothing but zeros say nothing: an empty vector says so plainly.
    let values = if values.iter().any(|value| *value != 0.0) { values } else { Vec::new() };
    UserVector { release: Some(release.manifest.id.clone()), values }
}
