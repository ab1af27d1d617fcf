//! Yes-or-no marks on items: hidden, followed. Sorted by key, bounded: the oldest gives way.

use shared_models::{ItemKey, Timestamp};

/// The most marks of one kind a profile keeps.
const BOUND: usize = 2_000;

/// Marked items with the moment of the mark.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks(Vec<(ItemKey, Timestamp)>);

impl Marks {
    /// Marks read back from a store.
    #[must_use]
    pub fn restore(mut marks: Vec<(ItemKey, Timestamp)>) -> Self {
        marks.sort_unstable();
        marks.dedup_by_key(|mark| mark.0);
        marks.truncate(BOUND);
        Self(marks)
    }

    /// Whether an item is marked. No item never is.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: ItemKey) -> bool {
        !self.0.is_empty() && self.0.binary_search_by_key(&key, |mark| mark.0).is_ok()
    }

    /// Marks an item; marked again, it counts from then.
    pub fn insert(&mut self, key: ItemKey, when: Timestamp) {
        match self.0.binary_search_by_key(&key, |mark| mark.0) {
            Ok(at) => {
                if let Some(mark) = self.0.get_mut(at) {
                    mark.1 = mark.1.max(when);
                }
            }
            Err(at) => {
                self.0.insert(at, (key, when));
                if self.0.len() > BOUND {
                    let oldest =
                        self.0.iter().enumerate().min_by_key(|(_, mark)| (mark.1, mark.0)).map(|(index, _)| index);
                    if let Some(index) = oldest {
                        self.0.remove(index);
                    }
                }
            }
        }
    }

    /// Takes a mark back.
    pub fn remove(&mut self, key: ItemKey) {
        if let Ok(at) = self.0.binary_search_by_key(&key, |mark| mark.0) {
            self.0.remove(at);
        }
    }

    /// The items marked last, last first, ties by item.
    #[must_use]
    pub fn newest(&self, count: usize) -> Vec<ItemKey> {
        let order = |a: &(ItemKey, Timestamp), b: &(ItemKey, Timestamp)| b.1.cmp(&a.1).then(a.0.cmp(&b.0));
        let mut marks = self.0.clone();
        if count > 0 && marks.len() > count {
            marks.select_nth_unstable_by(count - 1, order);
        }
        marks.truncate(count);
        marks.sort_unstable_by(order);
        marks.into_iter().map(|mark| mark.0).collect()
    }

    /// All marks by key.
    #[must_use]
    pub fn as_slice(&self) -> &[(ItemKey, Timestamp)] {
        &self.0
    }
}
