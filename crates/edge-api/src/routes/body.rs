//! JSON bodies: read once, refused with the field, what is there and what would be right.
//!
//! Must not know any particular body.

use std::fmt;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use http::{StatusCode, header};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, IgnoredAny, Unexpected, Visitor},
};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};
use shared_models::ErrorCode;

use crate::{
    problem::{FieldError, Problem},
    surfaces::nearest,
};

/// The deepest nesting that a body may have; ours have at most 4.
const MOST_NESTING: usize = 32;

/// A body that is JSON by its content type, not read yet.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let content_type =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_json(content_type) {
            let given = if content_type.is_empty() { "nothing" } else { content_type };
            return Err(Problem::new(ErrorCode::InvalidArgument, "unsupported_media_type", "the body must be JSON")
                .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
                .with_errors(vec![FieldError::new("content-type", given, "application/json")]));
        }
        // It is in memory already: `limits` read it, and cut it off where it must.
        match axum::body::to_bytes(request.into_body(), usize::MAX).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) => Err(Problem::internal(error.to_string())),
        }
    }
}

/// A body of a known form.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        read(&bytes).map(Self)
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads a JSON object into a known form.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    if let Some(other) = other_than_object(bytes) {
        // Serde would read a list into a struct, field by field; nobody means that.
        return match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => Err(Problem::fields(vec![FieldError::new("", other, "a JSON object")])),
            Err(_) if nesting_of(bytes) > MOST_NESTING => Err(too_deep()),
            Err(error) => Err(malformed(&error)),
        };
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => match deserializer.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(malformed(&error)),
        },
        Err(_) if nesting_of(bytes) > MOST_NESTING => Err(too_deep()),
        Err(error) => match error.inner().classify() {
            Category::Data => Err(Problem::fields(vec![field_error(error.path(), error.inner())])),
            _ if is_out_of_range(error.inner()) => Err(Problem::fields(vec![out_of_range(error.path())])),
            Category::Io | Category::Syntax | Category::Eof => Err(malformed(error.inner())),
        },
    }
}

/// Reads one element of a list on its own; its fields are named below `base`.
pub(crate) fn read_element<'a, T: Deserialize<'a>>(text: &'a str, base: &str) -> Result<T, FieldError> {
    if let Some(other) = other_than_object(text.as_bytes()) {
        return Err(FieldError::new(base.to_owned(), other, "a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let wrong = match error.inner() {
            inner if is_out_of_range(inner) => out_of_range(error.path()),
            inner => field_error(error.path(), inner),
        };
        FieldError { field: format!("{base}{}", wrong.field).into(), ..wrong }
    })
}

/// Reads a whole number, or null, as JSON Schema means it: `28.0` is one.
pub(crate) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    deserializer.deserialize_any(WholeNumber)
}

struct WholeNumber;

impl<'de> Visitor<'de> for WholeNumber {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<i64>, E> {
        Ok(None)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<i64>, E> {
        Ok(Some(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<i64>, E> {
        i64::try_from(number).map(Some).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<i64>, E> {
        // Up to here a float tells every whole number from its neighbours.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() <= EXACT {
            Ok(Some(number as i64))
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }
}

/// What JSON begins here, when it is a whole value and no object.
fn other_than_object(bytes: &[u8]) -> Option<&'static str> {
    match bytes.trim_ascii_start().first()? {
        b'[' => Some("a list"),
        b'"' => Some("a text"),
        b't' | b'f' => Some("true or false"),
        b'n' => Some("null"),
        b'-' | b'0'..=b'9' => Some("a number"),
        _ => None,
    }
}

fn too_deep() -> Problem {
    Problem::new(
        ErrorCode::InvalidArgument,
        "nesting_too_deep",
        format!("the body nests deeper than {MOST_NESTING} levels"),
    )
}

fn malformed(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let detail = format!("the body is not JSON: {what} at line {}, column {}", error.line(), error.column());
    Problem::new(ErrorCode::InvalidArgument, "malformed_json", detail)
}

/// Whether a number is JSON and larger than any that is kept, such as `1e400`.
fn is_out_of_range(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("number out of range")
}

fn out_of_range(path: &Path) -> FieldError {
    FieldError::new(pointer(path), "a number out of range", "a smaller number")
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// What serde says, taken apart into field, given and expected.
fn field_error(path: &Path, error: &serde_json::Error) -> FieldError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let mut at = pointer(path);
    let ticked = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let descend = |at: &mut String, key: &str| {
        let mut step = String::new();
        push(&mut step, key);
        if !at.ends_with(&step) {
            at.push_str(&step);
        }
    };
    if let Some((unknown, expected)) = text.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", ")) {
        let name = unknown.trim_matches('`');
        descend(&mut at, name);
        let known = ticked(expected);
        let all = format!("one of {}", known.join(", "));
        let expected = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? {all}"),
            None => all,
        };
        return FieldError::new(at, format!("unknown field {name:?}"), expected);
    }
    if let Some(name) = text.strip_prefix("missing field ") {
        let name = name.trim_matches('`');
        descend(&mut at, name);
        return FieldError::new(at, "nothing", format!("the field `{name}`"));
    }
    if let Some(name) = text.strip_prefix("duplicate field ") {
        descend(&mut at, name.trim_matches('`'));
        return FieldError::new(at, "the field twice", "the field once");
    }
    if let Some((given, expected)) = text.split_once(", expected ") {
        let given = given.split_once(": ").map_or(given, |(_, given)| given);
        return FieldError::new(at, given, in_words(expected));
    }
    FieldError::new(at, "a value that does not fit", text.to_owned())
}

/// What serde expects, without this language's names of numbers.
fn in_words(expected: &str) -> String {
    match expected {
        "f32" | "f64" => "a number".to_owned(),
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number from 0 up".to_owned(),
        "i64" => "a whole number".to_owned(),
        other => other.to_owned(),
    }
}

/// How deep brackets nest, outside strings.
fn nesting_of(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only read")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only read")]
        count: u8,
    }

    #[test]
    fn wrong_fields_are_named_with_what_would_be_right() {
        let check = |text: &str, field: &str, given: &str, expected: &str| {
            let problem = read::<Outer>(text.as_bytes()).unwrap_err();
            let error = &problem.errors()[0];
            assert_eq!(
                (error.field.as_ref(), error.given.as_str(), error.expected.as_ref()),
                (field, given, expected),
                "{text}"
            );
        };
        check(r#"{"inner": [{"count": "x"}]}"#, "/inner/0/count", "string \"x\"", "a whole number from 0 to 255");
        check(r#"{"inner": [{"count": 300}]}"#, "/inner/0/count", "integer `300`", "a whole number from 0 to 255");
        check(
            r#"{"inner": [{"coutn": 3}]}"#,
            "/inner/0/coutn",
            "unknown field \"coutn\"",
            "did you mean `count`? one of count",
        );
        check(r#"{"inner": [{}]}"#, "/inner/0/count", "nothing", "the field `count`");
        check(r#"{"inner": [], "inner": []}"#, "/inner", "the field twice", "the field once");
    }

    #[test]
    fn whole_numbers_are_those_of_json_schema() {
        #[derive(Deserialize)]
        struct Number {
            #[serde(deserialize_with = "whole_number")]
            n: Option<i64>,
        }
        let check = |text: &str, expected: Option<Option<i64>>| {
            assert_eq!(read::<Number>(text.as_bytes()).ok().map(|number| number.n), expected, "{text}");
        };
        check(r#"{"n": 28}"#, Some(Some(28)));
        check(r#"{"n": -28.0}"#, Some(Some(-28)));
        check(r#"{"n": 2.8e1}"#, Some(Some(28)));
        check(r#"{"n": null}"#, Some(None));
        for wrong in [r#"{"n": 2.5}"#, r#"{"n": 99999999999999999999}"#, r#"{"n": "28"}"#, r#"{"n": true}"#] {
            check(wrong, None);
        }
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        let check = |text: &str, reason: &str, detail: &str| {
            let problem = read::<Outer>(text.as_bytes()).unwrap_err();
            assert_eq!((problem.reason(), problem.detail()), (reason, detail), "{text}");
        };
        check("{\n  \"inner\": [}", "malformed_json", "the body is not JSON: expected value at line 2, column 13");
        check("", "malformed_json", "the body is not JSON: EOF while parsing a value at line 1, column 0");
        check("{\"inner\": []} x", "malformed_json", "the body is not JSON: trailing characters at line 1, column 15");
        check(
            &format!("{{\"inner\": {}", "[".repeat(10_000)),
            "nesting_too_deep",
            "the body nests deeper than 32 levels",
        );
    }
}
