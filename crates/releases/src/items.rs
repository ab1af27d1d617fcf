//! The items of a release: their keys in ascending order, and the row of a key.

use std::ops::Deref;

use shared_models::ItemKey;

use crate::{
    Error, Refusal,
    format::{Decoder, Encoder, Kind},
};

/// The artefact's name in a release.
pub const FILE: &str = "items.bin";

/// Sorted keys with an index on their high bits.
///
/// Keys are hashes, so the high bits cut them into even buckets of about four: a look-up reads one
/// bucket boundary and one cache line of keys, whatever the size of the catalogue.
#[derive(Clone, Debug, Default)]
pub struct Items {
    keys: Vec<ItemKey>,
    starts: Vec<u32>,
    shift: u32,
}

impl Items {
    /// Indexes keys that ascend strictly.
    ///
    /// # Errors
    /// When the keys do not ascend strictly, the first is [`ItemKey::NONE`], or there are 2^32 or more.
    pub fn new(keys: Vec<ItemKey>) -> Result<Self, Error> {
        if let Some(at) = keys.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(Error::refused(FILE, Refusal::Order { what: "keys", at: at + 1 }));
        }
        if keys.first() == Some(&ItemKey::NONE) {
            return Err(Error::refused(FILE, Refusal::Range { what: "keys", at: 0, value: "0".to_owned() }));
        }
        if u32::try_from(keys.len()).is_err() {
            return Err(Error::refused(FILE, Refusal::Range { what: "rows", at: 0, value: keys.len().to_string() }));
        }
        let bits = (keys.len() / 4).checked_ilog2().unwrap_or(0) + 1;
        let shift = u64::BITS - bits;
        let mut starts = vec![0_u32; (1 << bits) + 1];
        for key in &keys {
            starts[(key.0 >> shift) as usize + 1] += 1;
        }
        for bucket in 1..starts.len() {
            starts[bucket] += starts[bucket - 1];
        }
        Ok(Self { keys, starts, shift })
    }

    /// The row of a key; `None` when the release does not know the item.
    #[inline]
    #[must_use]
    pub fn index_of(&self, key: ItemKey) -> Option<u32> {
        let bucket = (key.0.checked_shr(self.shift)?) as usize;
        let (start, end) = (*self.starts.get(bucket)?, *self.starts.get(bucket + 1)?);
        let keys = &self.keys[start as usize..end as usize];
        let at = if keys.len() <= 16 { keys.iter().position(|k| *k == key) } else { keys.binary_search(&key).ok() };
        at.map(|at| start + at as u32)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let keys: Vec<u64> = self.keys.iter().map(|key| key.0).collect();
        Encoder::new(Kind::Items, keys.len(), 0, 0, [0.0; 4]).array(&keys).finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (header, mut body) = Decoder::open(FILE, bytes, Kind::Items)?;
        let keys = body.array::<u64>(header.rows)?;
        body.finish()?;
        if keys.is_empty() {
            return Err(Error::refused(FILE, Refusal::Empty));
        }
        Self::new(keys.into_iter().map(ItemKey).collect())
    }
}

impl Deref for Items {
    type Target = [ItemKey];

    fn deref(&self) -> &[ItemKey] {
        &self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_key_finds_its_row_and_no_other_does(mut keys in prop::collection::vec(1_u64..=u64::MAX, 0..300), strangers in prop::collection::vec(any::<u64>(), 50)) {
            keys.sort_unstable();
            keys.dedup();
            let items = Items::new(keys.iter().copied().map(ItemKey).collect()).unwrap();
            for (row, key) in keys.iter().enumerate() {
                prop_assert_eq!(items.index_of(ItemKey(*key)), Some(row as u32));
            }
            for key in strangers {
                prop_assert_eq!(items.index_of(ItemKey(key)).is_some(), keys.contains(&key));
            }
        }
    }

    #[test]
    fn crowded_keys_are_found_too() {
        // Small consecutive keys all fall into one bucket.
        let items = Items::new((1..=1_000).map(ItemKey).collect()).unwrap();
        assert_eq!(items.index_of(ItemKey(777)), Some(776));
        assert_eq!(items.index_of(ItemKey(1_001)), None);
        assert_eq!(items.index_of(ItemKey::NONE), None);
    }

    #[test]
    fn an_empty_list_finds_nothing() {
        assert_eq!(Items::new(Vec::new()).unwrap().index_of(ItemKey(1)), None);
        assert_eq!(Items::default().index_of(ItemKey(1)), None);
    }

    #[test]
    fn unsorted_keys_are_refused() {
        let error = Items::new(vec![ItemKey(2), ItemKey(2)]).unwrap_err();
        assert_eq!(error.reason(), "out_of_order");
    }
}
