//! Golden requests: what a release must answer, written down by its trainer and asked again by whoever lets it live.
//!
//! They stand in the release itself, so that their hash is part of its id. This file knows their form and how two
//! answers compare; answering is the services' own code, so that what is checked is what will serve.

use serde::{Deserialize, Serialize};
use shared_models::ItemKey;

use crate::{Error, Refusal, Release};

/// The artefact's name in a release.
pub const FILE: &str = "golden.json";

/// The version of the form.
pub const FORM: u32 = 1;

/// How long expected answers are, at most.
pub const ANSWER: usize = 10;

/// The golden requests of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// [`FORM`].
    pub form: u32,
    /// How far an answer may be from the expected one.
    pub tolerance: Tolerance,
    /// Listeners and the items nearest to them.
    pub listeners: Vec<Listener>,
    /// Items and those most alike.
    pub similar: Vec<Similar>,
    /// Cards and what listeners would do with them.
    pub cards: Vec<Card>,
}

/// How far an answer may be from the expected one: indexes are approximate, and processors round differently.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// The least share of the expected items that answers hold, in the mean over all requests of a kind.
    pub overlap: f64,
    /// The most that a score may differ, as a share of one more than its size.
    pub score: f32,
    /// The most that a probability may differ.
    pub probability: f32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { overlap: 0.8, score: 1e-3, probability: 1e-3 }
    }
}

/// A listener of whom it is known what they liked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Items with the weights of what the listener did with them.
    pub history: Vec<Scored>,
    /// The items nearest to the listener, best first.
    pub nearest: Vec<Scored>,
}

/// An item with those most alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Similar {
    /// The item.
    #[serde(with = "hexadecimal")]
    pub item: ItemKey,
    /// Those most alike, best first.
    pub nearest: Vec<Scored>,
}

/// A card and what listeners would do with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its features, in the order of the schema that the scorer was trained on.
    pub features: Vec<f32>,
    /// The probability of each action, in the scorer's order.
    pub predictions: Vec<f32>,
}

/// An item and a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scored {
    /// The item.
    #[serde(with = "hexadecimal")]
    pub item: ItemKey,
    /// Its score, or its weight.
    pub score: f32,
}

impl Golden {
    /// The golden requests of a release; `None` when it has none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of(release: &Release) -> Result<Option<Self>, Error> {
        let Some(bytes) = release.blobs.get(FILE) else { return Ok(None) };
        let unreadable = |detail: String| Error::refused(FILE, Refusal::Unreadable { detail });
        let golden: Self = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if golden.form != FORM {
            let (expected, found) = (FORM.into(), golden.form.into());
            return Err(Error::refused(FILE, Refusal::Header { what: "form", expected, found }));
        }
        Ok(Some(golden))
    }

    /// The bytes of the artefact.
    ///
    /// # Errors
    /// When a number is not finite: JSON has no others.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let scores = |listed: &[Scored]| listed.iter().all(|scored| scored.score.is_finite());
        let sound = self.listeners.iter().all(|of| scores(&of.history) && scores(&of.nearest))
            && self.similar.iter().all(|of| scores(&of.nearest))
            && self.cards.iter().all(|card| card.features.iter().chain(&card.predictions).all(|n| n.is_finite()));
        if !sound {
            let detail = "a golden request holds a number that is not finite".to_owned();
            return Err(Error::refused(FILE, Refusal::Check { detail }));
        }
        serde_json::to_vec(self)
            .map_err(|error| Error::refused(FILE, Refusal::Unreadable { detail: error.to_string() }))
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.similar.is_empty() && self.cards.is_empty()
    }
}

/// How answers compare with the expected ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// How many requests were compared.
    pub requests: usize,
    /// The sum of the shares of expected items that the answers hold.
    shares: f64,
    /// The largest difference of two scores of one item, as a share of one more than the expected one's size.
    pub furthest: f32,
}

impl Comparison {
    /// Compares one more answer. What was expected to be empty says nothing.
    pub fn add(&mut self, expected: &[Scored], found: &[Scored]) {
        if expected.is_empty() {
            return;
        }
        let mut held = 0_usize;
        for Scored { item, score } in expected {
            let Some(other) = found.iter().find(|scored| scored.item == *item) else { continue };
            held += 1;
            let distance = (score - other.score).abs() / (1.0 + score.abs());
            self.furthest = self.furthest.max(if distance.is_nan() { f32::INFINITY } else { distance });
        }
        self.requests += 1;
        self.shares += held as f64 / expected.len() as f64;
    }

    /// The mean share of expected items that the answers hold; 1 of nothing.
    #[must_use]
    pub fn overlap(&self) -> f64 {
        if self.requests == 0 { 1.0 } else { self.shares / self.requests as f64 }
    }

    /// Whether the answers are near enough; `what` names the requests in what is said otherwise.
    ///
    /// # Errors
    /// What is too far.
    pub fn judge(&self, what: &str, tolerance: &Tolerance) -> Result<(), String> {
        let overlap = self.overlap();
        // Neither may be NaN and pass.
        if overlap.is_nan() || overlap < tolerance.overlap {
            let (share, least) = (overlap * 100.0, tolerance.overlap * 100.0);
            return Err(format!(
                "golden {what} are answered with {share:.0} % of the expected items, not {least:.0} %"
            ));
        }
        if self.furthest.is_nan() || self.furthest > tolerance.score {
            return Err(format!(
                "golden {what} are answered with scores that are up to {} off, not {}",
                self.furthest, tolerance.score
            ));
        }
        Ok(())
    }
}

/// A key as text: JSON readers elsewhere keep 53 bits of a number.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use shared_models::ItemKey;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde takes")]
    pub(super) fn serialize<S: Serializer>(key: &ItemKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:016x}", key.0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ItemKey, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(ItemKey).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(pairs: &[(u64, f32)]) -> Vec<Scored> {
        pairs.iter().map(|(item, score)| Scored { item: ItemKey(*item), score: *score }).collect()
    }

    #[test]
    fn answers_are_judged_by_items_and_scores() {
        let expected = scored(&[(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]);
        let judged = |found: &[(u64, f32)]| {
            let mut comparison = Comparison::default();
            comparison.add(&expected, &scored(found));
            comparison.judge("listeners", &Tolerance { overlap: 0.75, ..Tolerance::default() })
        };
        assert_eq!(judged(&[(1, 4.0), (2, 3.0), (3, 2.0), (9, 1.0)]), Ok(()));
        assert_eq!(judged(&[(1, 4.001), (2, 3.0), (3, 2.0)]), Ok(()));
        assert!(judged(&[(1, 4.0), (2, 3.0)]).unwrap_err().contains("50 % of the expected items"));
        assert!(judged(&[(1, 4.5), (2, 3.0), (3, 2.0)]).unwrap_err().contains("0.1 off"));
        assert!(judged(&[(1, f32::NAN), (2, 3.0), (3, 2.0)]).unwrap_err().contains("inf off"));
        assert_eq!(Comparison::default().judge("listeners", &Tolerance::default()), Ok(()));
    }

    #[test]
    fn what_is_written_reads_back_and_keys_keep_all_their_bits() {
        let golden = Golden {
            form: FORM,
            listeners: vec![Listener { history: scored(&[(u64::MAX, 0.1)]), nearest: scored(&[(1, 2.5)]) }],
            similar: vec![Similar { item: ItemKey(7), nearest: scored(&[(8, 0.25)]) }],
            cards: vec![Card { features: vec![1.0, -0.5], predictions: vec![0.25] }],
            ..Golden::default()
        };
        let bytes = golden.encode().unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("ffffffffffffffff"));
        assert_eq!(serde_json::from_slice::<Golden>(&bytes).unwrap(), golden);
        let cards = vec![Card { features: vec![f32::NAN], predictions: Vec::new() }];
        assert_eq!(Golden { cards, ..golden }.encode().unwrap_err().reason(), "check_failed");
    }
}
