//! The columns that a release alone decides: of each of its items they are the same for every listener, place and time. A
//! model that reads them in bins may have them binned when it is loaded, row by row of the release; [`Gathered::rows`]
//! says which row a candidate is. It must never know a model.
//!
//! [`Gathered::rows`]: super::Gathered::rows

use releases::{Release, rates::ItemRates};

use super::{Column, Gathered};

/// The columns, in the order of the schema.
pub const FIXED: [Column; 8] = [
    Column::FactorsKnown,
    Column::CrowdPlayRate,
    Column::CrowdCompleteRate,
    Column::CrowdSkipRate,
    Column::CrowdLikeRate,
    Column::CrowdMomentum,
    Column::CrowdListeners,
    Column::CrowdImpressions,
];

/// A fixed column of all items of a release, in the order of its rows; `None` when the column is not fixed or the release
/// does not tell.
#[must_use]
pub fn column(release: &Release, column: Column) -> Option<Vec<f32>> {
    let rows = 0..release.items.len() as u32;
    if column == Column::FactorsKnown {
        let factors = release.factors.as_ref()?;
        let is_known = |row: u32| factors.row(row).iter().any(|value| *value != 0.0);
        return Some(rows.map(|row| f32::from(u8::from(is_known(row)))).collect());
    }
    let of: fn(&ItemRates) -> f32 = match column {
        Column::CrowdPlayRate => |item| item.all.play,
        Column::CrowdCompleteRate => |item| item.all.complete,
        Column::CrowdSkipRate => |item| item.all.skip,
        Column::CrowdLikeRate => |item| item.all.like,
        Column::CrowdMomentum => |item| item.momentum,
        Column::CrowdListeners => |item| item.listeners,
        Column::CrowdImpressions => |item| item.impressions,
        _ => return None,
    };
    let (rates, transform) = (release.rates.as_ref()?, column.feature().transform);
    Some(rows.filter_map(|row| rates.of(row)).map(|item| transform.apply(of(&item))).collect())
}

/// A candidate's row in the release; `None` when the release does not know it, and the column has the value of an item
/// nobody has met.
#[must_use]
pub fn row(gathered: &Gathered, candidate: usize) -> Option<u32> {
    gathered.rows.get(candidate).copied().flatten()
}
