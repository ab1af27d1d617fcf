//! The mapping from content to factors of a release: what is known of each item, and what came of learning it. It must not
//! know how a mapping is learned.

use std::fmt;

use candidate_generation::catalog::described;
use releases::{Factors, content::Described};
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey,
    item::{Item, ItemKind},
};

use crate::{
    content::{self, Known, Learnt, Settings},
    factors::Interactions,
    progress::{Progress, Unit},
};

/// What a mapping tells, for people and for the manifest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// Items that it was learned from.
    pub items: usize,
    /// The share of what vectors differ by that is told by content and by the maker's other items.
    pub explained: f64,
    /// The same of the mean of the maker's other items.
    pub explained_by_makers: f64,
    /// Items with an embedding of another length than most have: it is passed over.
    pub passed_over: usize,
}

impl Told {
    pub(super) fn of(learnt: &Learnt) -> Self {
        let Learnt { items, explained, explained_by_makers, passed_over, .. } = learnt;
        Self {
            items: *items,
            explained: *explained,
            explained_by_makers: *explained_by_makers,
            passed_over: *passed_over,
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, explained, explained_by_makers, passed_over } = self;
        write!(
            f,
            "of the vectors of {items} items content and artist explain {:.0} % of the variance, artists alone {:.0} %",
            100.0 * explained,
            100.0 * explained_by_makers
        )?;
        if *passed_over > 0 {
            write!(f, "; embeddings of {passed_over} items are of another length than most and passed over")?;
        }
        Ok(())
    }
}

/// Learns from the items that somebody chose; `None` where nothing is known of any of them. `keys` are the rows of the
/// factors and the columns of the matrix.
pub(super) fn learn(
    items: &[Item],
    keys: &[ItemKey],
    factors: &Factors,
    chosen: &Interactions,
    progress: &dyn Progress,
) -> Option<Learnt> {
    let stage = progress.stage("content", Unit::Steps, Some(1));
    let mut users = vec![0_usize; keys.len()];
    for (_, item, _) in chosen.entries() {
        users[item as usize] += 1;
    }
    let rows: FxHashMap<ItemKey, u32> = keys.iter().enumerate().map(|(row, key)| (*key, row as u32)).collect();
    let mut of_rows: Vec<(u32, ItemKey, Described)> = items
        .iter()
        .filter(|item| item.kind != ItemKind::Artist)
        .filter_map(|item| Some((*rows.get(&item.key())?, item)))
        .filter(|(row, _)| users[*row as usize] > 0)
        .map(|(row, item)| (row, item.artist_key(), described(item)))
        .collect();
    // The order of the catalogue says nothing of the release.
    of_rows.sort_by_key(|(row, _, _)| *row);
    of_rows.dedup_by_key(|(row, _, _)| *row);
    let known: Vec<Known<'_>> = of_rows
        .iter()
        .map(|(row, maker, content)| {
            let vector = &factors.row(*row)[..factors.dimensions];
            Known { content, maker: *maker, vector, users: users[*row as usize] }
        })
        .filter(|known| known.vector.iter().any(|value| *value != 0.0))
        .collect();
    let learnt = match content::learn(&known, &Settings::default()) {
        Ok(learnt) => learnt,
        Err(error) => {
            stage.finish(&format!("no mapping: {error}"));
            return None;
        }
    };
    stage.finish(&Told::of(&learnt).to_string());
    Some(learnt)
}
