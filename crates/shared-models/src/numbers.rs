//! What a tenant measured of an item: named numbers, such as of its sound, and an embedding.
//!
//! It must not know what is made of them. They are kept apart from the item, behind one pointer, because most catalogues
//! have none and no page looks at them.

use std::sync::Arc;

use crate::{FeatureName, ids};

/// The most named numbers of an item.
pub const MOST_FEATURES: usize = 64;
/// The most numbers of an embedding.
pub const MOST_EMBEDDING: usize = 1_024;

/// Why numbers are none of an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More named numbers than an item may have.
    #[error("features has {given} numbers, give at most {MOST_FEATURES}")]
    Features {
        /// How many.
        given: usize,
    },
    /// A name stands twice.
    #[error("features has {name} twice, give it once")]
    Twice {
        /// Which.
        name: FeatureName,
    },
    /// A longer embedding than an item may have.
    #[error("embedding has {given} numbers, give at most {MOST_EMBEDDING}")]
    Embedding {
        /// How many.
        given: usize,
    },
    /// A named number is none.
    #[error("feature {name} is {given}, give a finite number")]
    Feature {
        /// Which.
        name: FeatureName,
        /// What was given.
        given: String,
    },
    /// A number of the embedding is none.
    #[error("number {at} of embedding is {given}, give a finite number")]
    Number {
        /// Which, from 0.
        at: usize,
        /// What was given.
        given: String,
    },
    /// A name is none.
    #[error(transparent)]
    Name(#[from] ids::Error),
}

/// The numbers of an item: at least one, all finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    features: Box<[(FeatureName, f32)]>,
    embedding: Box<[f32]>,
}

impl Numbers {
    /// Named numbers in any order, and an embedding; `None` when there is not one number.
    ///
    /// # Errors
    /// When there are too many, one is not finite, or a name stands twice.
    pub fn new(
        features: impl IntoIterator<Item = (FeatureName, f32)>,
        embedding: Vec<f32>,
    ) -> Result<Option<Arc<Self>>, Error> {
        let mut features: Vec<(FeatureName, f32)> = features.into_iter().collect();
        if features.len() > MOST_FEATURES {
            return Err(Error::Features { given: features.len() });
        }
        if embedding.len() > MOST_EMBEDDING {
            return Err(Error::Embedding { given: embedding.len() });
        }
        features.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = features.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::Twice { name: pair[0].0.clone() });
        }
        if let Some((name, value)) = features.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::Feature { name: name.clone(), given: value.to_string() });
        }
        if let Some((at, value)) = embedding.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(Error::Number { at, given: value.to_string() });
        }
        if features.is_empty() && embedding.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(Self { features: features.into(), embedding: embedding.into() })))
    }

    /// The named numbers, in the order of their names.
    #[must_use]
    pub fn features(&self) -> &[(FeatureName, f32)] {
        &self.features
    }

    /// The embedding; empty where there is none.
    #[must_use]
    pub fn embedding(&self) -> &[f32] {
        &self.embedding
    }
}

/// A number as it was written: the shortest decimal that reads back the same.
#[must_use]
pub fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FeatureName {
        FeatureName::new(text).unwrap()
    }

    #[test]
    fn numbers_are_in_the_order_of_their_names() {
        let numbers = Numbers::new([(name("tempo"), 0.5), (name("energy"), -1.0)], vec![1.0]).unwrap().unwrap();
        assert_eq!(numbers.features(), [(name("energy"), -1.0), (name("tempo"), 0.5)]);
        assert_eq!(numbers.embedding(), [1.0]);
        assert_eq!(Numbers::new([], Vec::new()), Ok(None));
    }

    #[test]
    fn what_is_no_number_of_an_item_is_refused() {
        let check = |features: Vec<(FeatureName, f32)>, embedding: Vec<f32>, expected: &str| {
            assert_eq!(Numbers::new(features, embedding).unwrap_err().to_string(), expected);
        };
        let many = |count: usize| (0..count).map(|n| (name(&format!("f{n}")), 0.0)).collect::<Vec<_>>();
        check(many(65), Vec::new(), "features has 65 numbers, give at most 64");
        check(vec![(name("a"), 0.0), (name("a"), 1.0)], Vec::new(), "features has a twice, give it once");
        check(vec![(name("a"), f32::NAN)], Vec::new(), "feature a is NaN, give a finite number");
        check(Vec::new(), vec![0.0; 1_025], "embedding has 1025 numbers, give at most 1024");
        check(Vec::new(), vec![0.0, f32::INFINITY], "number 1 of embedding is inf, give a finite number");
        assert!(FeatureName::new("no blanks").is_err());
    }

    #[test]
    fn a_number_is_shown_as_it_was_written() {
        for (value, expected) in [(0.61_f32, 0.61), (-3.0, -3.0), (1e-30, 1e-30), (f32::MAX, 3.4028235e38)] {
            assert_eq!(shortest(value), expected);
            assert_eq!(shortest(value) as f32, value);
        }
    }
}
