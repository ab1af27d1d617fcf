//! The form of the feature schema: what is said of every column, and the hash that models are held against. The
//! columns themselves stand in `columns.rs`. It must never know how a value is computed.

use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

use super::columns::SCHEMA;

/// What kind of number a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any real number.
    Real,
    /// A number of things, 0 or more.
    Count,
    /// 0..=1.
    Share,
    /// 0 or 1.
    Flag,
}

impl Kind {
    /// The kind in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Count => "count",
            Self::Share => "share",
            Self::Flag => "flag",
        }
    }
}

/// What a feature depends on, and so how often it must be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// On the item, the moment and the market: the same for every listener. Read, not computed.
    Item,
    /// On the listener and the request: once a page.
    Listener,
    /// On both: once for each candidate.
    Cross,
}

impl Cost {
    /// The class in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Listener => "listener",
            Self::Cross => "cross",
        }
    }
}

/// What is done to the raw number before it stands in the matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// Nothing.
    Identity,
    /// `ln(1 + x)`, of the positive part: counts and spans have long tails.
    Log1p,
    /// `sign(x) · ln(1 + |x|)`: long tails on both sides.
    SignedLog,
    /// `2^(-x / half_life)`: 1 for now, towards 0 for long ago.
    Decay {
        /// The span after which half is left, in the feature's unit.
        half_life: f32,
    },
    /// `k / (k + x)`: 1 for the first rank, slowly towards 0.
    Reciprocal {
        /// The rank at which half is left.
        k: f32,
    },
}

impl Transform {
    /// The number as it stands in the matrix. NaN stays NaN: it must show, not turn into a default.
    #[inline]
    #[must_use]
    pub fn apply(self, raw: f32) -> f32 {
        match self {
            Self::Identity => raw,
            Self::Log1p if raw <= 0.0 => 0.0,
            Self::Log1p => raw.ln_1p(),
            Self::SignedLog => raw.abs().ln_1p().copysign(raw),
            Self::Decay { half_life } => (-raw / half_life).exp2(),
            Self::Reciprocal { k } => k / (k + raw),
        }
    }
}

impl std::fmt::Display for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identity => f.write_str("as it is"),
            Self::Log1p => f.write_str("ln(1 + x)"),
            Self::SignedLog => f.write_str("±ln(1 + |x|)"),
            Self::Decay { half_life } => write!(f, "2^(-x / {half_life})"),
            Self::Reciprocal { k } => write!(f, "{k} / ({k} + x)"),
        }
    }
}

/// One column of the matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feature {
    /// Its name, unique in the schema and never used again for something else.
    pub name: &'static str,
    /// What it depends on.
    pub cost: Cost,
    /// What kind of number it is.
    pub kind: Kind,
    /// The unit of the raw number.
    pub unit: &'static str,
    /// What stands in the matrix where the input is unknown.
    pub default: f32,
    /// What is done to the raw number.
    pub transform: Transform,
    /// The lowest and the highest number that is sound in the matrix. One outside of it is counted and told, not
    /// changed: a model that was trained on sound numbers says nothing about it.
    pub range: [f32; 2],
    /// What it means.
    pub doc: &'static str,
}

/// By so much a sound number may miss its range: cosines of equal vectors come out a little above 1.
const SLACK: f32 = 1e-3;

impl Feature {
    /// Whether a number of the matrix is sound. NaN is not.
    #[inline]
    #[must_use]
    pub fn is_in_range(&self, value: f32) -> bool {
        value >= self.range[0] - SLACK && value <= self.range[1] + SLACK
    }
}

/// Raised when a value changes its meaning while its entry in the schema stays the same.
const MEANING: u32 = 2;

/// A hash of everything that gives a number its meaning, except prose. A model that was trained on
/// another schema is refused by it.
#[must_use]
pub fn schema_hash() -> u64 {
    static HASH: LazyLock<u64> = LazyLock::new(|| {
        let mut text = format!("meaning {MEANING}\n");
        for feature in SCHEMA {
            text.push_str(&format!(
                "{}|{:?}|{}|{:?}|{:?}\n",
                feature.name, feature.kind, feature.unit, feature.default, feature.transform
            ));
        }
        xxh3_64(text.as_bytes())
    });
    *HASH
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        Transform::{Decay, Identity, Log1p, Reciprocal, SignedLog},
        *,
    };
    use crate::features::Column;

    #[test]
    fn names_are_unique_and_every_feature_says_what_it_is() {
        let names: BTreeSet<&str> = SCHEMA.iter().map(|feature| feature.name).collect();
        assert_eq!(names.len(), SCHEMA.len());
        assert!(
            SCHEMA
                .iter()
                .all(|feature| !feature.unit.is_empty() && feature.doc.ends_with('.') && feature.default.is_finite())
        );
        assert!(SCHEMA.len() >= 80);
        for (at, column) in Column::ALL.iter().enumerate() {
            assert_eq!(*column as usize, at);
        }
    }

    #[test]
    fn ranges_fit_the_kind_and_hold_the_default() {
        for feature in SCHEMA {
            let [low, high] = feature.range;
            assert!(low < high && low.is_finite() && high.is_finite(), "{}", feature.name);
            assert!(feature.is_in_range(feature.default), "{}", feature.name);
            assert!(!feature.is_in_range(f32::NAN) && !feature.is_in_range(f32::INFINITY), "{}", feature.name);
            match feature.kind {
                Kind::Share | Kind::Flag => assert_eq!(feature.range, [0.0, 1.0], "{}", feature.name),
                Kind::Count => assert_eq!(low, 0.0, "{}", feature.name),
                Kind::Real => {}
            }
        }
    }

    #[test]
    fn the_schema_hash_changes_only_on_purpose() {
        // A change here makes every trained scorer unusable: retrain, and say so in the changelog.
        assert_eq!(format!("{:016x}", schema_hash()), "75e31e8984a633f2");
    }

    #[test]
    fn transforms_do_what_they_say() {
        let check = |transform: Transform, raw: f32, expected: f32| {
            let given = transform.apply(raw);
            assert!((given - expected).abs() < 1e-6, "{transform:?} of {raw} is {given}, expected {expected}");
        };
        check(Identity, -3.0, -3.0);
        check(Log1p, 0.0, 0.0);
        check(Log1p, -1.0, 0.0);
        check(Log1p, 1.0, std::f32::consts::LN_2);
        check(SignedLog, 1.0, std::f32::consts::LN_2);
        check(SignedLog, -1.0, -std::f32::consts::LN_2);
        check(SignedLog, 0.0, 0.0);
        check(Decay { half_life: 7.0 }, 7.0, 0.5);
        check(Decay { half_life: 7.0 }, 0.0, 1.0);
        check(Reciprocal { k: 10.0 }, 0.0, 1.0);
        check(Reciprocal { k: 10.0 }, 10.0, 0.5);
        assert!(Log1p.apply(f32::NAN).is_nan() && SignedLog.apply(f32::NAN).is_nan());
    }
}
