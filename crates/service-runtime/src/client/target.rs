//! Where a dependency is, as an operator writes it: one or more places, joined with commas.
//!
//! This file must not know how a place is reached.

use http::Uri;

/// What is expected where a place does not parse.
pub const EXPECTED: &str =
    "addresses such as http://127.0.0.1:7101, joined with commas, or a name such as dns://ranking.internal:7102";

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One endpoint. A name in it is resolved anew for each connection, and only one of its addresses is used.
    Fixed(Uri),
    /// A name whose addresses are an endpoint each, looked up again and again.
    Named {
        /// The name.
        host: String,
        /// The port that all of them listen on.
        port: u16,
    },
}

/// A list of places that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no place: expected {EXPECTED}")]
pub struct Malformed {
    /// The part that does not parse.
    pub given: String,
}

/// The places in `text`.
///
/// # Errors
/// When a part is neither an `http://` address nor a `dns://` name with a port.
pub(crate) fn parse(text: &str) -> Result<Vec<Target>, Malformed> {
    text.split(',').map(str::trim).map(one).collect()
}

/// Whether `text` names places, for who checks a configuration.
///
/// # Errors
/// As it would be refused when it is used.
pub fn check(text: &str) -> Result<(), Malformed> {
    parse(text).map(|_| ())
}

fn one(given: &str) -> Result<Target, Malformed> {
    let malformed = || Malformed { given: given.to_owned() };
    let uri: Uri = given.parse().map_err(|_| malformed())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
    let bare = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
    match (uri.scheme_str(), uri.port_u16()) {
        (Some("http"), _) => Ok(Target::Fixed(uri)),
        (Some("dns"), Some(port)) if bare => Ok(Target::Named { host: host.to_owned(), port }),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_addresses_or_names() {
        let named = Target::Named { host: "ranking.internal".to_owned(), port: 7_102 };
        let fixed = |text: &str| Target::Fixed(text.parse().expect("a URL"));
        for (text, expected) in [
            ("http://127.0.0.1:7101", vec![fixed("http://127.0.0.1:7101")]),
            ("http://a:1, http://b:2", vec![fixed("http://a:1"), fixed("http://b:2")]),
            ("dns://ranking.internal:7102", vec![named.clone()]),
            ("http://[::1]:1,dns://ranking.internal:7102", vec![fixed("http://[::1]:1"), named]),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["", "a:1", "127.0.0.1:7101", "https://a:1", "dns://a", "dns://a:1/b", "http://a:1,", "http://"] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
