//! What an item is, in the words and numbers that a release's mapping from content to factors knows. Training and serving take them from
//! here, so that they mean the same to both.

use releases::content::{Described, word};
use shared_models::item::Item;

/// An item in words: each genre or tag, and the year it came out in. Its maker is no word: a mapping tells of makers by
/// their other items.
#[must_use]
pub fn words(item: &Item) -> Vec<String> {
    let mut words: Vec<String> = item.genres.iter().map(|genre| format!("genre:{genre}")).collect();
    if let Some(released) = item.released_at {
        words.push(format!("year:{}", released.to_string().chars().take(4).collect::<String>()));
    }
    words
}

/// An item as a mapping takes it.
#[must_use]
pub fn described(item: &Item) -> Described {
    Described { words: words(item).iter().map(|text| word(text)).collect(), numbers: item.numbers.clone() }
}
