//! What everybody does with each item: how often it is played when it is shown, how often a play ends early, and so
//! on; everywhere, at each quarter of the day, and in markets.
//!
//! Rates are smoothed before they are written: an item that few have met has about the mean of all. A reader takes the
//! numbers of one item from one place of memory.

use shared_models::item::Market;

use crate::{
    Array, Error, Refusal,
    array::Content,
    format::{self, Decoder, Encoder, Kind},
};

/// The artefact's name in a release.
pub const FILE: &str = "rates.bin";

/// Quarters of the day, UTC, by which rates are told apart.
pub const QUARTERS: usize = 4;

/// The rates of an item, or of all items: plays per impression; completes, skips and likes per play.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Four {
    /// Plays that followed an impression, per impression.
    pub play: f32,
    /// Plays that reached the end, per play.
    pub complete: f32,
    /// Plays that ended early, per play.
    pub skip: f32,
    /// Yeses, per play.
    pub like: f32,
}

impl Four {
    fn of([play, complete, skip, like]: [f32; 4]) -> Self {
        Self { play, complete, skip, like }
    }

    fn numbers(self) -> [f32; 4] {
        [self.play, self.complete, self.skip, self.like]
    }
}

/// What is known of one item.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ItemRates {
    /// Its rates everywhere.
    pub all: Four,
    /// Plays per impression in each quarter of the day, UTC, from midnight.
    pub quarter_play: [f32; QUARTERS],
    /// Skips per play in each quarter of the day.
    pub quarter_skip: [f32; QUARTERS],
    /// `ln` of plays a day in the last 7 days of the release's window over those in its last 28.
    pub momentum: f32,
    /// How many listeners it has.
    pub listeners: f32,
    /// How often it was shown.
    pub impressions: f32,
    /// When anything first happened to it, in days since 1970; 0 when nothing did.
    pub first_seen_days: f32,
}

/// Numbers of one item in the file: one cache line.
const WIDTH: usize = 16;

impl ItemRates {
    fn of(numbers: &[f32; WIDTH]) -> Self {
        let [p, c, s, l, p0, p1, p2, p3, s0, s1, s2, s3, momentum, listeners, impressions, first_seen_days] = *numbers;
        Self {
            all: Four::of([p, c, s, l]),
            quarter_play: [p0, p1, p2, p3],
            quarter_skip: [s0, s1, s2, s3],
            momentum,
            listeners,
            impressions,
            first_seen_days,
        }
    }

    fn numbers(self) -> [f32; WIDTH] {
        let [p, c, s, l] = self.all.numbers();
        let ([p0, p1, p2, p3], [s0, s1, s2, s3]) = (self.quarter_play, self.quarter_skip);
        let Self { momentum, listeners, impressions, first_seen_days, .. } = self;
        [p, c, s, l, p0, p1, p2, p3, s0, s1, s2, s3, momentum, listeners, impressions, first_seen_days]
    }
}

/// The rates of the items that a market knows well enough: rows ascending, and their rates there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarketRates {
    rows: Vec<u32>,
    rates: Vec<Four>,
}

impl MarketRates {
    /// Rates of rows, in any order; of a row that is there twice the first counts.
    #[must_use]
    pub fn new(mut of: Vec<(u32, Four)>) -> Self {
        of.sort_by_key(|(row, _)| *row);
        of.dedup_by_key(|(row, _)| *row);
        let (rows, rates) = of.into_iter().unzip();
        Self { rows, rates }
    }

    /// The rates of a row; `None` where the market does not know it well enough.
    #[inline]
    #[must_use]
    pub fn of(&self, row: u32) -> Option<&Four> {
        self.rates.get(self.rows.binary_search(&row).ok()?)
    }

    /// How many rows it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The rates of every item of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    items: Array<f32>,
    /// The rates of all items together: what an item has that nothing is known of.
    pub mean: Four,
    markets: Vec<(Market, MarketRates)>,
}

impl Rates {
    /// The rates of items in the order of rows, their mean, and those of markets.
    #[must_use]
    pub fn new(items: &[ItemRates], mean: Four, mut markets: Vec<(Market, MarketRates)>) -> Self {
        markets.sort_by_key(|(market, _)| *market);
        let numbers: Vec<f32> = items.iter().flat_map(|item| item.numbers()).collect();
        Self { items: numbers.into(), mean, markets }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.items.len() / WIDTH
    }

    /// The rates of a row; `None` past the end.
    #[inline]
    #[must_use]
    pub fn of(&self, row: u32) -> Option<ItemRates> {
        self.items.as_chunks::<WIDTH>().0.get(row as usize).map(ItemRates::of)
    }

    /// The rates within a market; `None` where the release has none of it.
    #[must_use]
    pub fn market(&self, market: Market) -> Option<&MarketRates> {
        let at = self.markets.binary_search_by_key(&market, |(market, _)| *market).ok()?;
        self.markets.get(at).map(|(_, rates)| rates)
    }

    /// Whether every index, order and number is sound for `rows` items.
    pub(crate) fn verify(&self, rows: usize) -> Result<(), Error> {
        format::same(FILE, "rows", rows, self.rows())?;
        format::finite(FILE, "items", &self.items)?;
        for (row, item) in self.items.as_chunks::<WIDTH>().0.iter().enumerate() {
            let (shares, rest) = item.split_at(4 + 2 * QUARTERS);
            // Of the rest all but the momentum, which comes first, count something.
            if !shares.iter().all(is_share) || rest.iter().skip(1).any(|number| *number < 0.0) {
                let value = format!("{item:?}");
                return Err(Error::refused(FILE, Refusal::Range { what: "items", at: row, value }));
            }
        }
        if let Some(at) = self.markets.windows(2).position(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::refused(FILE, Refusal::Order { what: "markets", at: at + 1 }));
        }
        for (_, market) in &self.markets {
            format::rows_in_range(FILE, "market rows", &market.rows, rows)?;
            if let Some(at) = market.rows.windows(2).position(|pair| pair[0] >= pair[1]) {
                return Err(Error::refused(FILE, Refusal::Order { what: "market rows", at: at + 1 }));
            }
            verify_shares("market rates", &market.rates)?;
        }
        verify_shares("mean", &[self.mean])
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (mut codes, mut offsets): (Vec<[u8; 4]>, Vec<u32>) = (Vec::new(), vec![0]);
        let (mut rows, mut rates): (Vec<u32>, Vec<f32>) = (Vec::new(), Vec::new());
        for (market, of) in &self.markets {
            let code = market.as_str().as_bytes();
            codes.push([code[0], code[1], 0, 0]);
            rows.extend(&of.rows);
            rates.extend(of.rates.iter().flat_map(|four| four.numbers()));
            offsets.push(rows.len() as u32);
        }
        Encoder::new(Kind::Rates, self.rows(), codes.len(), rows.len(), self.mean.numbers())
            .array(&self.items)
            .array(&codes)
            .array(&offsets)
            .array(&rows)
            .array(&rates)
            .finish()
    }

    pub(crate) fn decode(content: &Content) -> Result<Self, Error> {
        let (header, mut body) = Decoder::of(FILE, content, Kind::Rates)?;
        let items: Array<f32> = body.shared(format::product(FILE, "rows", header.rows, WIDTH as u64)?)?;
        let codes: Vec<[u8; 4]> = body.array(header.dimensions)?;
        let offsets: Vec<u32> = body.array(header.dimensions.saturating_add(1))?;
        let rows: Vec<u32> = body.array(header.entries)?;
        let rates: Vec<f32> = body.array(format::product(FILE, "entries", header.entries, 4)?)?;
        body.finish()?;
        format::partition(FILE, "offsets", &offsets, rows.len())?;
        let rates: Vec<Four> = rates.as_chunks().0.iter().copied().map(Four::of).collect();
        let mut markets = Vec::with_capacity(codes.len());
        for (at, (code, range)) in codes.iter().zip(offsets.windows(2)).enumerate() {
            let market = std::str::from_utf8(&code[..2]).ok().and_then(Market::parse).filter(|_| code[2..] == [0, 0]);
            let Some(market) = market else {
                return Err(Error::refused(FILE, Refusal::Range { what: "markets", at, value: format!("{code:?}") }));
            };
            let range = range[0] as usize..range[1] as usize;
            markets.push((market, MarketRates { rows: rows[range.clone()].to_vec(), rates: rates[range].to_vec() }));
        }
        Ok(Self { items, mean: Four::of(header.parameters), markets })
    }
}

fn is_share(number: &f32) -> bool {
    (0.0..=1.0).contains(number)
}

fn verify_shares(what: &'static str, rates: &[Four]) -> Result<(), Error> {
    match rates.iter().position(|four| !four.numbers().iter().all(is_share)) {
        None => Ok(()),
        Some(at) => {
            let value = format!("{:?}", rates[at].numbers());
            Err(Error::refused(FILE, Refusal::Range { what, at, value }))
        }
    }
}

/// The quarter of the day of a moment, UTC, 0 for the hours from midnight.
#[must_use]
pub fn quarter_of(at: shared_models::Timestamp) -> usize {
    (at.0.rem_euclid(86_400_000) / (86_400_000 / QUARTERS as i64)) as usize
}

#[cfg(test)]
mod tests {
    use shared_models::Timestamp;

    use super::*;

    fn market(code: &str) -> Market {
        Market::parse(code).unwrap()
    }

    fn four(x: f32) -> Four {
        Four { play: x, complete: x / 2.0, skip: x / 4.0, like: x / 8.0 }
    }

    fn rates() -> Rates {
        let item = |n: u16| ItemRates {
            all: four(f32::from(n) / 10.0),
            quarter_play: [0.1, 0.2, 0.3, 0.4],
            quarter_skip: [0.5, 0.6, 0.7, 0.8],
            momentum: -1.5,
            listeners: f32::from(n),
            impressions: 40.0,
            first_seen_days: 20_000.25,
        };
        let markets = vec![
            (market("US"), MarketRates::new(vec![(1, four(0.25))])),
            (market("SE"), MarketRates::new(vec![(2, four(0.5)), (0, four(0.125)), (2, four(0.75))])),
        ];
        Rates::new(&[item(1), item(2), item(3)], four(0.2), markets)
    }

    fn read(bytes: Vec<u8>) -> Result<Rates, Error> {
        let rates = Rates::decode(&Content::Read(bytes))?;
        rates.verify(3)?;
        Ok(rates)
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let rates = rates();
        assert_eq!(read(rates.encode()).unwrap(), rates);
        assert_eq!(rates.of(2).unwrap().all, four(0.3));
        assert_eq!(rates.of(1).unwrap().quarter_skip[3], 0.8);
        assert!(rates.of(3).is_none());
        let se = rates.market(market("SE")).unwrap();
        assert_eq!((se.len(), se.of(2), se.of(1)), (2, Some(&four(0.5)), None));
        assert!(rates.market(market("NO")).is_none());
        assert_eq!(
            read(Rates::new(&[ItemRates::default(); 3], Four::default(), Vec::new()).encode()).unwrap().rows(),
            3
        );
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        let check = |reason: &str, spoil: &dyn Fn(&mut Rates)| {
            let mut rates = rates();
            spoil(&mut rates);
            assert_eq!(read(rates.encode()).unwrap_err().reason(), reason);
        };
        check("out_of_range", &|rates| rates.mean.skip = 1.5);
        check("out_of_range", &|rates| rates.markets[0].1.rates[0].play = -0.1);
        check("out_of_range", &|rates| rates.markets[0].1.rows[1] = 3);
        check("out_of_order", &|rates| rates.markets[0].1.rows[0] = 2);
        check("out_of_order", &|rates| rates.markets.swap(0, 1));
        let with = |place: usize, value: f32| {
            move |rates: &mut Rates| {
                let mut items = rates.items.to_vec();
                items[place] = value;
                rates.items = items.into();
            }
        };
        check("out_of_range", &with(0, 1.01));
        check("out_of_range", &with(WIDTH + 13, -1.0));
        check("not_finite", &with(WIDTH + 12, f32::NAN));
        assert!(Rates::decode(&Content::Read(rates().encode()[..90].to_vec())).is_err());
    }

    #[test]
    fn the_day_has_four_quarters() {
        let hours = [0, 5, 6, 11, 12, 18, 23];
        let quarters = hours.map(|hour| quarter_of(Timestamp(1_700_006_400_000 + hour * 3_600_000)));
        assert_eq!(quarters, [0, 0, 1, 1, 2, 3, 3]);
    }
}
