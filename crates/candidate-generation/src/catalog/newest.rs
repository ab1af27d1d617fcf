//! A catalogue's items by release date, newest first: a sorted list in blocks, persistent. The next
//! state shares every block that no change touches, so that one new date costs one block.

use std::{cmp::Reverse, sync::Arc};

use shared_models::Timestamp;

/// A release date and the slot of its item.
type Entry = (Timestamp, u32);

/// Entries in a block as it is made; at twice as many it is cut in two.
const BLOCK: usize = 512;

/// Release date and slot of every live item that has one, newest first, ties by slot.
#[derive(Clone, Debug, Default)]
pub struct Newest {
    /// None is empty, and each begins where the one before ends.
    blocks: Vec<Arc<Vec<Entry>>>,
}

fn order(entry: &Entry) -> (Reverse<Timestamp>, u32) {
    (Reverse(entry.0), entry.1)
}

impl Newest {
    /// All entries, newest first.
    pub fn iter(&self) -> impl Iterator<Item = Entry> {
        self.blocks.iter().flat_map(|block| block.iter().copied())
    }

    /// What is out at `now`, newest first: what is announced is passed over.
    pub fn until(&self, now: Timestamp) -> impl Iterator<Item = Entry> {
        let announced = |entry: &Entry| entry.0 > now;
        let first = self.blocks.partition_point(|block| block.last().is_some_and(announced));
        let blocks = self.blocks.get(first..).unwrap_or(&[]);
        let within = blocks.first().map_or(0, |block| block.partition_point(announced));
        blocks.iter().flat_map(|block| block.iter().copied()).skip(within)
    }

    /// Takes entries out, those that are there, and then takes others in.
    pub(super) fn change(&mut self, gone: Vec<Entry>, come: Vec<Entry>) {
        // Past a change for each block, making all anew is cheaper than copying each.
        if gone.len() + come.len() > self.blocks.len() {
            self.rebuild(gone, come);
            return;
        }
        gone.iter().for_each(|entry| self.remove(entry));
        come.into_iter().for_each(|entry| self.insert(entry));
    }

    /// The block where an entry stands, or would: the first that does not end before it.
    fn block_of(&self, entry: &Entry) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(|last| order(last) < order(entry)))
    }

    fn remove(&mut self, entry: &Entry) {
        let at = self.block_of(entry);
        let Some(block) = self.blocks.get_mut(at) else {
            return;
        };
        if let Ok(place) = block.binary_search_by_key(&order(entry), order) {
            let block = Arc::make_mut(block);
            block.remove(place);
            if block.is_empty() {
                self.blocks.remove(at);
            }
        }
    }

    fn insert(&mut self, entry: Entry) {
        let at = self.block_of(&entry).min(self.blocks.len().saturating_sub(1));
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push(Arc::new(vec![entry]));
            return;
        };
        let Err(place) = block.binary_search_by_key(&order(&entry), order) else {
            return;
        };
        let block = Arc::make_mut(block);
        block.insert(place, entry);
        if block.len() >= 2 * BLOCK {
            let rest = block.split_off(BLOCK);
            self.blocks.insert(at + 1, Arc::new(rest));
        }
    }

    fn rebuild(&mut self, mut gone: Vec<Entry>, mut come: Vec<Entry>) {
        gone.sort_unstable_by_key(order);
        come.sort_unstable_by_key(order);
        come.dedup();
        let mut next: Vec<Entry> = Vec::new();
        let mut come = come.into_iter().peekable();
        for entry in self.iter().filter(|entry| gone.binary_search_by_key(&order(entry), order).is_err()) {
            while let Some(new) = come.next_if(|new| order(new) < order(&entry)) {
                next.push(new);
            }
            come.next_if(|new| *new == entry);
            next.push(entry);
        }
        next.extend(come);
        self.blocks = next.chunks(BLOCK).map(|block| Arc::new(block.to_vec())).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u32) -> Newest {
        let mut newest = Newest::default();
        newest.change(Vec::new(), (0..count).map(|slot| (Timestamp(i64::from(slot)), slot)).collect());
        newest
    }

    #[test]
    fn one_new_date_shares_all_blocks_but_one() {
        let before = filled(20_000);
        let mut after = before.clone();
        after.change(vec![(Timestamp(7_000), 7_000)], vec![(Timestamp(9_000), 20_000)]);
        let shared =
            after.blocks.iter().filter(|block| before.blocks.iter().any(|other| Arc::ptr_eq(block, other))).count();
        assert!(shared + 2 >= after.blocks.len(), "{shared} of {} blocks are shared", after.blocks.len());
        assert_eq!(after.iter().count(), 20_000);
        assert_eq!(before.iter().count(), 20_000);
    }

    #[test]
    fn what_is_announced_is_passed_over() {
        let newest = filled(3_000);
        for now in [-1, 0, 511, 512, 1_700, 2_999, 9_999] {
            let expected = newest.iter().filter(|entry| entry.0 <= Timestamp(now));
            assert!(newest.until(Timestamp(now)).eq(expected), "{now}");
        }
    }

    #[test]
    fn blocks_stay_small_and_sorted_whatever_the_order_of_arrival() {
        let mut newest = filled(4);
        for slot in 4..6_000_u32 {
            newest.change(Vec::new(), vec![(Timestamp(i64::from(slot.wrapping_mul(2_654_435_761) % 977)), slot)]);
        }
        assert_eq!(newest.iter().count(), 6_000);
        assert!(newest.iter().is_sorted_by_key(|entry| order(&entry)));
        assert!(newest.blocks.iter().all(|block| !block.is_empty() && block.len() < 2 * BLOCK));
        for entry in newest.iter().collect::<Vec<_>>() {
            newest.change(vec![entry], Vec::new());
        }
        assert!(newest.blocks.is_empty());
    }
}
