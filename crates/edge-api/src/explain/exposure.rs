//! How much of a page each kind of item gets.

use std::collections::BTreeMap;

use serde::Serialize;
use shared_models::{component::Fact, plan::RankQuery, slate::Slate};
use utoipa::ToSchema;

/// An item is new when it came out at most so many days before the answer.
const NEW_DAYS: f32 = 30.0;

/// The share of a segment in a page's exposure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Exposure {
    /// As answered, 0 to 1.
    pub(crate) before: f64,
    /// Now.
    pub(crate) after: f64,
}

/// Each segment's share of two pages: `popular` is the most popular tenth of the page's candidates, `rare` the less
/// popular half, `middle` what lies between, `new` what came out in the last 30 days, whatever its popularity. A card counts
/// 1 / log2(rank + 2), the discount of DCG (Järvelin and Kekäläinen, 2002).
pub(super) fn by_segment(
    before: (&RankQuery, &[Slate]),
    after: (&RankQuery, &[Slate]),
) -> BTreeMap<&'static str, Exposure> {
    let mut segments = BTreeMap::<&'static str, Exposure>::new();
    for name in ["popular", "middle", "rare", "new"] {
        segments.insert(name, Exposure::default());
    }
    for (segment, share) in shares(before.0, before.1) {
        segments.entry(segment).or_default().before = share;
    }
    for (segment, share) in shares(after.0, after.1) {
        segments.entry(segment).or_default().after = share;
    }
    segments
}

fn shares(query: &RankQuery, slates: &[Slate]) -> BTreeMap<&'static str, f64> {
    let popularity = query.table.fact(Fact::Popularity).unwrap_or(&[]);
    let mut sorted = popularity.to_vec();
    sorted.sort_by(f32::total_cmp);
    let quantile = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(f32::INFINITY);
    let (half, tenth) = (quantile(0.5), quantile(0.9));
    let age = query.table.fact(Fact::AgeDays).unwrap_or(&[]);
    let mut shares = BTreeMap::new();
    let mut all = 0.0;
    for (rank, card) in slates.iter().flat_map(|slate| slate.cards.iter().enumerate()) {
        let weight = 1.0 / (rank as f64 + 2.0).log2();
        all += weight;
        let row = card.row as usize;
        let popularity = popularity.get(row).copied().unwrap_or(0.0);
        let segment = match popularity {
            popularity if popularity >= tenth => "popular",
            popularity if popularity < half => "rare",
            _ => "middle",
        };
        *shares.entry(segment).or_insert(0.0) += weight;
        if age.get(row).is_some_and(|age| (0.0..=NEW_DAYS).contains(age)) {
            *shares.entry("new").or_insert(0.0) += weight;
        }
    }
    shares.values_mut().for_each(|share| *share /= all);
    shares
}
