//! The `grpc-timeout` header: the time that is left, in at most eight digits and a unit.
//!
//! Source: gRPC over HTTP/2, section "Requests". This file must not know who reads the header.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::Deadline;

/// What the callee gets less than the caller has, so that its answer still arrives in time.
const MARGIN: Duration = Duration::from_millis(2);

pub(super) const HEADER: &str = "grpc-timeout";

/// The largest number that eight digits hold.
const LARGEST: u128 = 99_999_999;

/// Tells the callee how much time there is until `deadline`; gives whether there is any.
pub(crate) fn give(headers: &mut HeaderMap, deadline: Deadline) -> bool {
    let left = deadline.remaining();
    // A callee that is given next to nothing would only burn its time: a tenth is the least it can be asked to spare.
    let given = left.saturating_sub(MARGIN.min(left / 10));
    if given.is_zero() {
        return false;
    }
    if let Some(header) = encode(given) {
        headers.insert(HEADER, header);
    }
    true
}

/// The header for `left`, in the finest unit that holds it.
fn encode(left: Duration) -> Option<HeaderValue> {
    let (number, unit) =
        [(left.as_nanos(), 'n'), (left.as_micros(), 'u'), (left.as_millis(), 'm'), (left.as_secs().into(), 'S')]
            .into_iter()
            .find(|(number, _)| *number <= LARGEST)?;
    HeaderValue::from_str(&format!("{number}{unit}")).ok()
}

/// The time the caller gives, when it says so and says it well.
pub(super) fn decode(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Duration> {
        let value = HeaderValue::from_str(text).expect("a header value");
        decode(&HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), value)]))
    }

    #[test]
    fn the_finest_unit_that_fits_is_sent() {
        for (left, text) in [
            (Duration::ZERO, "0n"),
            (Duration::from_millis(60), "60000000n"),
            (Duration::from_millis(150), "150000u"),
            (Duration::from_secs(300), "300000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
        ] {
            assert_eq!(encode(left).expect("fits"), text);
            assert_eq!(decoded(text), Some(left));
        }
    }

    #[test]
    fn nonsense_is_no_timeout() {
        for text in ["", "m", "5", "-5m", "123456789m", "5x", "5 m", "+5m"] {
            assert_eq!(decoded(text), None, "{text}");
        }
        assert_eq!(decoded("2H"), Some(Duration::from_secs(7_200)));
    }
}
