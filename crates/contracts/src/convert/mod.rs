//! Between the nouns of `shared-models` and their messages, one file for each contract.
//!
//! To the wire nothing can fail. From the wire everything is checked once, here: what passes has sound
//! lengths, indices, names and ids, so that no service checks again. An error names the field.

pub(crate) mod names;

pub(crate) mod page;

pub(crate) mod candidates;
pub(crate) mod explain;
pub(crate) mod ranking;

pub(crate) mod catalogue;
pub(crate) mod profiles;

pub(crate) mod events;
pub(crate) mod records;

use std::{fmt, str::FromStr, time::Duration};

use shared_models::item::Market;

/// A message that breaks its contract: which field, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Malformed {
    /// The field, as a path of the `.proto` file's names, such as `context.market`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What a conversion from the wire gives.
pub(crate) type Result<T> = std::result::Result<T, Malformed>;

impl Malformed {
    pub(crate) fn new(field: &str, problem: impl fmt::Display) -> Self {
        Self { field: field.to_owned(), problem: problem.to_string() }
    }

    /// The same, seen from the message that holds it.
    pub(crate) fn inside(mut self, field: &str) -> Self {
        self.field.insert(0, '.');
        self.field.insert_str(0, field);
        self
    }

    /// The same, seen from the list that holds it.
    pub(crate) fn at(mut self, field: &str, index: usize) -> Self {
        self.field.insert_str(0, &format!("{field}[{index}]."));
        self
    }
}

/// A message field that must be there.
pub(crate) fn required<T>(value: Option<T>, field: &str) -> Result<T> {
    value.ok_or_else(|| Malformed::new(field, "is missing"))
}

/// An identifier.
pub(crate) fn name<T: FromStr<Err: fmt::Display>>(text: &str, field: &str) -> Result<T> {
    text.parse().map_err(|error| Malformed::new(field, error))
}

/// An identifier that may be absent.
pub(crate) fn optional_name<T: FromStr<Err: fmt::Display>>(text: Option<&str>, field: &str) -> Result<Option<T>> {
    text.map(|text| name(text, field)).transpose()
}

/// A number that is narrower here than protobuf can say.
pub(crate) fn narrow<T: TryFrom<u32>>(value: u32, field: &str) -> Result<T> {
    T::try_from(value).map_err(|_| Malformed::new(field, format_args!("{value} is too large")))
}

/// A market.
pub(crate) fn market(text: &str, field: &str) -> Result<Market> {
    Market::parse(text).ok_or_else(|| Malformed::new(field, format_args!("{text:?} is no ISO 3166-1 alpha-2 code")))
}

/// A market that may be absent, which the wire says with an empty text.
pub(crate) fn optional_market(text: &str, field: &str) -> Result<Option<Market>> {
    if text.is_empty() { Ok(None) } else { market(text, field).map(Some) }
}

/// Each element of a list, converted; an error names its index.
pub(crate) fn each<W, D>(values: Vec<W>, field: &str, convert: impl Fn(W) -> Result<D>) -> Result<Vec<D>> {
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| convert(value).map_err(|error| error.at(field, index)))
        .collect()
}

/// A span of time on its way out. Spans too long for the wire, 10^11 years, become the longest there is.
pub(crate) fn duration_to_wire(span: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(span).unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

/// A span of time from the wire.
pub(crate) fn duration_from_wire(span: prost_types::Duration, field: &str) -> Result<Duration> {
    Duration::try_from(span).map_err(|_| Malformed::new(field, "is negative"))
}

/// A list's length where it must equal another's.
pub(crate) fn same_length(given: usize, expected: usize, field: &str) -> Result<()> {
    if given == expected {
        Ok(())
    } else {
        Err(Malformed::new(field, format_args!("has {given} values where {expected} belong")))
    }
}
