//! A small sound release and a store in a folder of its own.

use std::collections::BTreeMap;

use releases::{
    Factors, Mapping, Meta, Neighbours, Parts, Popularity, Rates, Segments, Store,
    content::{Features, word},
    rates::{Four, ItemRates, MarketRates},
    segments::Segment,
};
use shared_models::{ItemKey, TenantId, Timestamp, item::Market};
use tempfile::TempDir;

/// The feature schema of every release here.
pub(crate) const SCHEMA: u64 = 0xfeed_0000_0000_beef;

/// A store and the folder that it lives in.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) tenant: TenantId,
    pub(crate) folder: TempDir,
}

pub(crate) fn world() -> World {
    let folder = TempDir::new().unwrap();
    World { store: Store::open(folder.path()).unwrap(), tenant: TenantId::new("demo").unwrap(), folder }
}

/// Parts of `rows` items; `salt` makes another release of the same shape.
pub(crate) fn parts(rows: usize, salt: u64) -> Parts {
    let items = (0..rows as u64).map(|n| ItemKey((n + 1) << 32 | salt)).collect();
    let values: Vec<f32> = (0..rows * 12).map(|n| ((n as f32 + salt as f32) * 0.37).sin()).collect();
    Parts {
        items,
        factors: Some(Factors::new(12, &values, 3.0, 0.01, 1.0).unwrap()),
        lists: None,
        content: Some(content()),
        neighbours: Some(Neighbours {
            offsets: (0..=rows as u32).map(|row| row * 2).collect(),
            items: (0..rows as u32).flat_map(|row| [(row + 1) % rows as u32, (row + 2) % rows as u32]).collect(),
            scores: (0..rows).flat_map(|_| [0.9, 0.4]).collect(),
        }),
        popularity: Some(Popularity {
            global: (0..rows).map(|row| Popularity::of_share(1.0 / (row + 2) as f64)).collect(),
            markets: vec![
                (Market::parse("NO").unwrap(), vec![(3, 8.0), (1, 2.0)]),
                (Market::parse("SE").unwrap(), vec![(0, 9.0), (2, 9.0), (1, 1.5)]),
            ],
        }),
        rates: Some(rates(rows)),
        segments: Some(Segments::new(vec![
            (Segment::All, vec![(0, 9.0), (1, 8.0), (2, 7.0)]),
            (Segment::Market(Market::parse("SE").unwrap()), vec![(2, 9.0), (0, 1.0)]),
            (Segment::Quarter(Market::parse("SE").unwrap(), 3), vec![(1, 9.0)]),
        ])),
        scorer: Some(br#"{"weights": [[0.5, -0.25]], "bias": [0.1]}"#.to_vec()),
        blobs: BTreeMap::from([("notes.txt".to_owned(), b"anything".to_vec())]),
    }
}

/// From two words and a number to the factors.
fn content() -> Mapping {
    let features =
        Features::new(vec![(word("genre:rock"), 1.5), (word("genre:jazz"), 2.0)], Vec::new(), vec![[120.0, 30.0]]);
    let weights: Vec<f32> = (0..4 * 12).map(|n| (n as f32 * 0.3).cos()).collect();
    Mapping::new(features, 12, &weights, 2.0).unwrap()
}

/// What everybody does with `rows` items, in two markets.
fn rates(rows: usize) -> Rates {
    let four = |n: usize| Four { play: (n % 7) as f32 / 7.0, complete: 0.5, skip: 0.25, like: 0.125 };
    let items: Vec<ItemRates> = (0..rows)
        .map(|row| ItemRates {
            all: four(row),
            quarter_play: [0.1, 0.2, 0.3, 0.4],
            momentum: 0.5 - (row % 3) as f32,
            impressions: row as f32,
            ..ItemRates::default()
        })
        .collect();
    let market = |code: &str, step: usize| {
        let known = (0..rows).step_by(step).map(|row| (row as u32, four(row + 1))).collect();
        (Market::parse(code).unwrap(), MarketRates::new(known))
    };
    Rates::new(&items, four(3), vec![market("SE", 1), market("NO", 2)])
}

pub(crate) fn meta(created_at: i64) -> Meta {
    Meta {
        created_at: Timestamp(created_at),
        feature_schema: SCHEMA,
        metrics: BTreeMap::from([("recall@20".to_owned(), 0.1 + 0.2)]),
        code_version: "0.1.0".to_owned(),
        ..Meta::default()
    }
}
