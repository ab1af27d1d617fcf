//! How much of all listening each item has: everywhere, and the top lists of markets.

use shared_models::item::Market;

use crate::{
    Error, Refusal,
    format::{self, Decoder, Encoder, Kind},
};

/// The artefact's name in a release.
pub const FILE: &str = "popularity.bin";

/// The popularity of every item of a release.
///
/// A popularity is the item's share of all plays in the release's window, times one million, as
/// `ln(1 + x)`: 0 for an unplayed item, about 9.2 for one that takes a hundredth of all plays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Popularity {
    /// One number for each row.
    pub global: Vec<f32>,
    /// For each market, by code, its most played items with their popularity there, best first.
    pub markets: Vec<(Market, Vec<(u32, f32)>)>,
}

impl Popularity {
    /// The popularity of a share of all plays.
    #[must_use]
    pub fn of_share(share: f64) -> f32 {
        (share.max(0.0) * 1e6).ln_1p() as f32
    }

    /// The popularity of a row everywhere; 0 past the end.
    #[inline]
    #[must_use]
    pub fn of(&self, row: u32) -> f32 {
        self.global.get(row as usize).copied().unwrap_or(0.0)
    }

    /// The top list of a market; empty when the release has none of it.
    #[must_use]
    pub fn top(&self, market: Market) -> &[(u32, f32)] {
        match self.markets.binary_search_by_key(&market, |(market, _)| *market) {
            Ok(at) => &self.markets[at].1,
            Err(_) => &[],
        }
    }

    /// Whether every index, order and number is sound for `rows` items.
    pub(crate) fn verify(&self, rows: usize) -> Result<(), Error> {
        format::same(FILE, "rows", rows, self.global.len())?;
        format::finite(FILE, "global", &self.global)?;
        if let Some(at) = self.global.iter().position(|value| *value < 0.0) {
            return Err(Error::refused(
                FILE,
                Refusal::Range { what: "global", at, value: self.global[at].to_string() },
            ));
        }
        if let Some(at) = self.markets.windows(2).position(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::refused(FILE, Refusal::Order { what: "markets", at: at + 1 }));
        }
        let arrays = Arrays::of(self);
        format::rows_in_range(FILE, "items", &arrays.items, rows)?;
        format::finite(FILE, "scores", &arrays.scores)?;
        format::descending(FILE, "scores", &arrays.offsets, &arrays.scores)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let arrays = Arrays::of(self);
        Encoder::new(Kind::Popularity, self.global.len(), self.markets.len(), arrays.items.len(), [0.0; 4])
            .array(&self.global)
            .array(&arrays.codes)
            .array(&arrays.offsets)
            .array(&arrays.items)
            .array(&arrays.scores)
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (header, mut body) = Decoder::open(FILE, bytes, Kind::Popularity)?;
        let global: Vec<f32> = body.array(header.rows)?;
        let codes: Vec<[u8; 4]> = body.array(header.dimensions)?;
        let offsets: Vec<u32> = body.array(header.dimensions.saturating_add(1))?;
        let items: Vec<u32> = body.array(header.entries)?;
        let scores: Vec<f32> = body.array(header.entries)?;
        body.finish()?;
        format::partition(FILE, "offsets", &offsets, items.len())?;
        let mut markets = Vec::with_capacity(codes.len());
        for (at, (code, range)) in codes.iter().zip(offsets.windows(2)).enumerate() {
            let market = std::str::from_utf8(&code[..2]).ok().and_then(Market::parse).filter(|_| code[2..] == [0, 0]);
            let Some(market) = market else {
                return Err(Error::refused(FILE, Refusal::Range { what: "markets", at, value: format!("{code:?}") }));
            };
            let range = range[0] as usize..range[1] as usize;
            markets.push((market, items[range.clone()].iter().copied().zip(scores[range].iter().copied()).collect()));
        }
        Ok(Self { global, markets })
    }
}

/// The markets as they stand in the file.
struct Arrays {
    codes: Vec<[u8; 4]>,
    offsets: Vec<u32>,
    items: Vec<u32>,
    scores: Vec<f32>,
}

impl Arrays {
    fn of(popularity: &Popularity) -> Self {
        let mut arrays = Self { codes: Vec::new(), offsets: vec![0], items: Vec::new(), scores: Vec::new() };
        for (market, list) in &popularity.markets {
            let code = market.as_str().as_bytes();
            arrays.codes.push([code[0], code[1], 0, 0]);
            arrays.items.extend(list.iter().map(|(item, _)| *item));
            arrays.scores.extend(list.iter().map(|(_, score)| *score));
            arrays.offsets.push(arrays.items.len() as u32);
        }
        arrays
    }
}
