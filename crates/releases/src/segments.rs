//! What is played most in each segment of the listeners: a market at a quarter of the day, a market, everywhere. What
//! was played lately counts more than what was played long before.
//!
//! It must not know how plays are counted, weighed and smoothed.

use shared_models::item::Market;

use crate::{
    Error, Refusal,
    format::{self, Decoder, Encoder, Kind},
    rates::QUARTERS,
};

/// The artefact's name in a release.
pub const FILE: &str = "segments.bin";

/// Rows with their popularity in the sense of [`crate::Popularity::of_share`], best first.
pub type Top = Vec<(u32, f32)>;

/// Who is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// Everybody.
    All,
    /// Everybody in a market.
    Market(Market),
    /// Everybody in a market, at a quarter of the day, UTC, from midnight.
    Quarter(Market, u8),
}

/// Eight bytes in the file: the market's two letters, the quarter from 1, zeros; everybody is all zeros.
type Code = [u8; 8];

impl Segment {
    fn code(self) -> Code {
        let of = |market: Market, quarter: u8| {
            let letters = market.as_str().as_bytes();
            [letters[0], letters[1], quarter, 0, 0, 0, 0, 0]
        };
        match self {
            Self::All => [0; 8],
            Self::Market(market) => of(market, 0),
            Self::Quarter(market, quarter) => of(market, quarter + 1),
        }
    }

    fn of_code(code: Code) -> Option<Self> {
        if code == [0; 8] {
            return Some(Self::All);
        }
        let market = std::str::from_utf8(&code[..2]).ok().and_then(Market::parse)?;
        let segment = match code[2] {
            0 => Self::Market(market),
            quarter if usize::from(quarter) <= QUARTERS => Self::Quarter(market, quarter - 1),
            _ => return None,
        };
        // Small letters and anything in the rest would be a second name of the same segment.
        (segment.code() == code).then_some(segment)
    }
}

/// The top lists of a release's segments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segments {
    /// Ascending; the first is everybody's.
    lists: Vec<(Segment, Top)>,
}

impl Segments {
    /// Lists by segment, in any order; of a segment that is there twice the first counts.
    #[must_use]
    pub fn new(mut lists: Vec<(Segment, Top)>) -> Self {
        lists.sort_by_key(|(segment, _)| *segment);
        lists.dedup_by_key(|(segment, _)| *segment);
        Self { lists }
    }

    /// How many segments have a list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The list of a segment; `None` where the release has none of it.
    #[must_use]
    pub fn of(&self, segment: Segment) -> Option<&[(u32, f32)]> {
        let at = self.lists.binary_search_by_key(&segment, |(segment, _)| *segment).ok()?;
        self.lists.get(at).map(|(_, list)| list.as_slice())
    }

    /// The list of the narrowest segment that has one: of the market at a quarter, of the market, of everybody.
    #[must_use]
    pub fn nearest(&self, market: Market, quarter: Option<usize>) -> &[(u32, f32)] {
        let quarter = quarter.and_then(|quarter| Some(Segment::Quarter(market, u8::try_from(quarter).ok()?)));
        let wider = [Segment::Market(market), Segment::All];
        quarter.into_iter().chain(wider).find_map(|segment| self.of(segment)).unwrap_or(&[])
    }

    /// Whether every index, order and number is sound for `rows` items.
    pub(crate) fn verify(&self, rows: usize) -> Result<(), Error> {
        if self.lists.first().is_none_or(|(segment, list)| *segment != Segment::All || list.is_empty()) {
            let detail = "there is no list of everybody".to_owned();
            return Err(Error::refused(FILE, Refusal::Check { detail }));
        }
        if let Some(at) = self.lists.windows(2).position(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::refused(FILE, Refusal::Order { what: "segments", at: at + 1 }));
        }
        let arrays = Arrays::of(self);
        format::rows_in_range(FILE, "items", &arrays.items, rows)?;
        format::finite(FILE, "scores", &arrays.scores)?;
        if let Some(at) = arrays.scores.iter().position(|score| *score < 0.0) {
            let value = arrays.scores[at].to_string();
            return Err(Error::refused(FILE, Refusal::Range { what: "scores", at, value }));
        }
        format::descending(FILE, "scores", &arrays.offsets, &arrays.scores)?;
        let mut seen: Vec<u32> = Vec::new();
        for (at, (_, list)) in self.lists.iter().enumerate() {
            seen.clear();
            seen.extend(list.iter().map(|(row, _)| *row));
            seen.sort_unstable();
            if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
                let detail = format!("row {} stands twice in list {at}", pair[0]);
                return Err(Error::refused(FILE, Refusal::Check { detail }));
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let arrays = Arrays::of(self);
        Encoder::new(Kind::Segments, self.lists.len(), 0, arrays.items.len(), [0.0; 4])
            .array(&arrays.codes)
            .array(&arrays.offsets)
            .array(&arrays.items)
            .array(&arrays.scores)
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (header, mut body) = Decoder::open(FILE, bytes, Kind::Segments)?;
        let codes: Vec<Code> = body.array(header.rows)?;
        let offsets: Vec<u32> = body.array(header.rows.saturating_add(1))?;
        let items: Vec<u32> = body.array(header.entries)?;
        let scores: Vec<f32> = body.array(header.entries)?;
        body.finish()?;
        format::partition(FILE, "offsets", &offsets, items.len())?;
        let mut lists = Vec::with_capacity(codes.len());
        for (at, (code, range)) in codes.iter().zip(offsets.windows(2)).enumerate() {
            let Some(segment) = Segment::of_code(*code) else {
                return Err(Error::refused(FILE, Refusal::Range { what: "segments", at, value: format!("{code:?}") }));
            };
            let range = range[0] as usize..range[1] as usize;
            lists.push((segment, items[range.clone()].iter().copied().zip(scores[range].iter().copied()).collect()));
        }
        Ok(Self { lists })
    }
}

/// The lists as they stand in the file.
struct Arrays {
    codes: Vec<Code>,
    offsets: Vec<u32>,
    items: Vec<u32>,
    scores: Vec<f32>,
}

impl Arrays {
    fn of(segments: &Segments) -> Self {
        let mut arrays = Self { codes: Vec::new(), offsets: vec![0], items: Vec::new(), scores: Vec::new() };
        for (segment, list) in &segments.lists {
            arrays.codes.push(segment.code());
            arrays.items.extend(list.iter().map(|(item, _)| *item));
            arrays.scores.extend(list.iter().map(|(_, score)| *score));
            arrays.offsets.push(arrays.items.len() as u32);
        }
        arrays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(code: &str) -> Market {
        Market::parse(code).unwrap()
    }

    fn segments() -> Segments {
        Segments::new(vec![
            (Segment::Quarter(market("SE"), 3), vec![(2, 9.0)]),
            (Segment::Market(market("SE")), vec![(1, 9.0), (0, 8.0)]),
            (Segment::Market(market("SE")), vec![(0, 1.0)]),
            (Segment::All, vec![(0, 7.0), (1, 6.0), (2, 5.0)]),
        ])
    }

    fn read(bytes: &[u8]) -> Result<Segments, Error> {
        let segments = Segments::decode(bytes)?;
        segments.verify(3)?;
        Ok(segments)
    }

    #[test]
    fn what_is_written_reads_back_the_same_and_the_narrowest_list_is_found() {
        let segments = segments();
        assert_eq!(read(&segments.encode()).unwrap(), segments);
        assert_eq!(segments.len(), 3);
        assert_eq!(segments.nearest(market("SE"), Some(3)), [(2, 9.0)]);
        assert_eq!(segments.nearest(market("SE"), Some(0)), [(1, 9.0), (0, 8.0)]);
        assert_eq!(segments.nearest(market("NO"), Some(3)).len(), 3);
        assert!(Segments::default().nearest(market("NO"), None).is_empty());
    }

    #[test]
    fn what_is_no_list_of_segments_is_refused() {
        let check = |reason: &str, spoil: &dyn Fn(&mut Segments)| {
            let mut segments = segments();
            spoil(&mut segments);
            assert_eq!(read(&segments.encode()).unwrap_err().reason(), reason);
        };
        check("check_failed", &|segments| drop(segments.lists.remove(0)));
        check("check_failed", &|segments| segments.lists[0].1.clear());
        check("check_failed", &|segments| segments.lists[0].1[1].0 = 0);
        check("out_of_order", &|segments| segments.lists.swap(1, 2));
        check("out_of_order", &|segments| segments.lists[1].1.reverse());
        check("out_of_range", &|segments| segments.lists[1].1[0].0 = 3);
        check("out_of_range", &|segments| segments.lists[0].1[2].1 = -1.0);
        check("not_finite", &|segments| segments.lists[2].1[0].1 = f32::NAN);
        check("out_of_range", &|segments| segments.lists[2].0 = Segment::Quarter(market("SE"), 4));
        assert_eq!(Segment::of_code(*b"se\0\0\0\0\0\0"), None, "one segment has one name");
        assert!(Segments::decode(&segments().encode()[..90]).is_err());
    }
}
