//! What a tenant measured of an item, as bodies have it: `features`, numbers by name, and `embedding`.
//!
//! Must not know what is made of them.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};
use shared_models::{
    FeatureName,
    numbers::{MOST_EMBEDDING, MOST_FEATURES, Numbers},
};

use super::ask::Findings;

/// A number as it was written: read in full, so that one out of range is seen, and shown in the fewest digits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Number(f64);

impl Number {
    /// The number as it is kept; `None` when it is out of range.
    fn kept(self) -> Option<f32> {
        Some(self.0 as f32).filter(|value| value.is_finite())
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f32(self.0 as f32)
    }
}

/// Numbers by name, in the order of the body, so that a name that stands twice is seen.
#[derive(Debug, Default)]
pub(super) struct Features(Vec<(String, Number)>);

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByName)
    }
}

impl Serialize for Features {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = Features;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Features, A::Error> {
        let mut features = Vec::new();
        while let Some(entry) = map.next_entry()? {
            features.push(entry);
        }
        Ok(Features(features))
    }
}

/// Checks the numbers of an item whose fields are named below `base`. What is wrong is in `wrong`.
pub(super) fn check(
    wrong: &mut Findings,
    base: &str,
    features: Option<Features>,
    embedding: Option<Vec<Number>>,
) -> Option<Arc<Numbers>> {
    const FINITE: &str = "a number within ±3.4e38";
    let (features, embedding) = (features.unwrap_or_default().0, embedding.unwrap_or_default());
    let before = wrong.0.len();
    if features.len() > MOST_FEATURES {
        let expected = format!("at most {MOST_FEATURES} numbers");
        wrong.add(format!("{base}/features"), format!("{} numbers", features.len()), expected);
    }
    if embedding.len() > MOST_EMBEDDING {
        let expected = format!("at most {MOST_EMBEDDING} numbers");
        wrong.add(format!("{base}/embedding"), format!("{} numbers", embedding.len()), expected);
    }
    let mut named: Vec<(FeatureName, f32)> = Vec::with_capacity(features.len().min(MOST_FEATURES));
    for (text, number) in features.iter().take(MOST_FEATURES) {
        let field = format!("{base}/features/{}", text.replace('~', "~0").replace('/', "~1"));
        let Some(name) = wrong.name::<FeatureName>(field.clone(), text) else { continue };
        match number.kept() {
            _ if named.iter().any(|(other, _)| *other == name) => wrong.add(field, "the field twice", "the field once"),
            Some(value) => named.push((name, value)),
            None => wrong.add(field, format!("{:e}", number.0), FINITE),
        }
    }
    let mut numbers: Vec<f32> = Vec::with_capacity(embedding.len().min(MOST_EMBEDDING));
    for (at, number) in embedding.iter().take(MOST_EMBEDDING).enumerate() {
        match number.kept() {
            Some(value) => numbers.push(value),
            None => wrong.add(format!("{base}/embedding/{at}"), format!("{:e}", number.0), FINITE),
        }
    }
    if wrong.0.len() > before {
        return None;
    }
    Numbers::new(named, numbers)
        .map_err(|error| wrong.add(format!("{base}/features"), "numbers that do not fit", error.to_string()))
        .ok()
        .flatten()
}

/// Numbers as bodies have them; what there is none of is left out.
pub(super) fn shown(numbers: Option<&Numbers>) -> (Option<Features>, Option<Vec<Number>>) {
    let number = |value: f32| Number(f64::from(value));
    let features = numbers.map(Numbers::features).filter(|features| !features.is_empty());
    let features = features
        .map(|features| Features(features.iter().map(|(name, value)| (name.to_string(), number(*value))).collect()));
    let embedding = numbers.map(Numbers::embedding).filter(|embedding| !embedding.is_empty());
    (features, embedding.map(|embedding| embedding.iter().copied().map(number).collect()))
}
