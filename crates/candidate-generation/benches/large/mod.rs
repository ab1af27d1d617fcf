//! The world of the benches: 200,000 items of 20,000 artists, and a release over them.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up should stop at once")]

use releases::{Factors, Neighbours, Popularity, release::Parts};
use shared_models::{
    ItemId, ItemKey, Timestamp,
    item::{Item, ItemKind, Market},
};

pub(crate) const ITEMS: usize = 200_000;
pub(crate) const DIMENSIONS: usize = 64;
pub(crate) const NEIGHBOURS: usize = 50;
pub(crate) const DAY: i64 = 86_400_000;
pub(crate) const NOW: Timestamp = Timestamp(20_000 * DAY);

/// A generator whose numbers are the same everywhere.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    pub(crate) fn normal(&mut self) -> f32 {
        (0..3).map(|_| self.next() as f32 / (1_u64 << 30) as f32 - 1.0).sum()
    }
}

pub(crate) fn item(n: usize) -> Item {
    Item {
        id: ItemId::new(format!("track-{n}")).unwrap(),
        kind: ItemKind::Track,
        title: format!("Track {n}"),
        artist_id: Some(ItemId::new(format!("artist-{}", n % 20_000)).unwrap()),
        artist_name: Some(format!("Artist {}", n % 20_000)),
        genres: vec![format!("genre-{}", n % 40), format!("genre-{}", n % 7 + 40)],
        released_at: Some(Timestamp(NOW.0 - (n as i64 % 4_000) * DAY)),
        duration_ms: Some(180_000),
        explicit: n.is_multiple_of(9),
        markets: ["SE", "NO", "DE"]
            .iter()
            .filter(|_| n.is_multiple_of(3))
            .filter_map(|code| Market::parse(code))
            .collect(),
        numbers: None,
    }
}

pub(crate) fn parts(items: &[Item]) -> Parts {
    let mut numbers = Numbers(7);
    let mut keys: Vec<ItemKey> = items.iter().map(Item::key).collect();
    keys.sort_unstable();
    let centres: Vec<f32> = (0..256 * DIMENSIONS).map(|_| numbers.normal()).collect();
    let mut values = Vec::with_capacity(ITEMS * DIMENSIONS);
    for row in 0..ITEMS {
        let centre = row * 37 % 256;
        let length = 0.3 + 1.0 / (1.0 + (row % 101) as f32 / 8.0);
        values.extend((0..DIMENSIONS).map(|d| (centres[centre * DIMENSIONS + d] + 0.8 * numbers.normal()) * length));
    }
    let neighbours: Vec<u32> = (0..ITEMS * NEIGHBOURS).map(|_| numbers.below(ITEMS) as u32).collect();
    let scores = (0..ITEMS).flat_map(|_| (0..NEIGHBOURS).map(|rank| 1.0 / (1.0 + rank as f32))).collect();
    let top = (0..500).map(|rank| (rank * 13, 9.0 - rank as f32 * 0.01)).collect();
    Parts {
        items: keys,
        factors: Some(Factors::new(DIMENSIONS, &values, 10.0, 0.1, 0.0).unwrap()),
        neighbours: Some(Neighbours {
            offsets: (0..=ITEMS).map(|row| (row * NEIGHBOURS) as u32).collect(),
            items: neighbours,
            scores,
        }),
        popularity: Some(Popularity {
            global: (0..ITEMS).map(|row| (row % 997) as f32 / 100.0).collect(),
            markets: vec![(Market::parse("SE").unwrap(), top)],
        }),
        ..Parts::default()
    }
}
