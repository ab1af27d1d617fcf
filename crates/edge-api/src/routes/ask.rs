//! The body of a request for a page, and its check into the words of the plan.
//!
//! Must not know surfaces beyond whether they are about items.

use std::{borrow::Cow, str::FromStr, time::Duration};

use jiff::{Timestamp as Moment, civil, tz};
use serde::Deserialize;
use shared_models::{ErrorCode, ItemId, ItemKey, Seed, Timestamp, UserId, item::Market, plan::RequestContext};
use utoipa::ToSchema;

use super::{body::whole_number, schemas};
use crate::{
    plan::{Ask, Shape},
    problem::{FieldError, Problem},
};

/// What stands before an anonymous id. No `user_id` begins with it, so that the two are never the same listener.
const ANONYMOUS: &str = "anonymous:";

/// Who asks, when and where. Everything may be left out: an unknown listener gets a page too.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"user_id": "user-1", "market": "SE", "device": "phone", "limit": 10}))]
pub(crate) struct PageRequest {
    /// The listener, by the tenant's own id, which does not begin with `anonymous:`.
    #[schema(value_type = Option<schemas::UserId>)]
    pub(crate) user_id: Option<String>,
    /// A listener without an account; not together with `user_id`.
    #[schema(value_type = Option<schemas::AnonymousId>)]
    pub(crate) anonymous_id: Option<String>,
    /// The listener's session.
    #[schema(value_type = Option<schemas::Id>)]
    pub(crate) session_id: Option<String>,
    /// The kind of device, in lower case.
    #[schema(min_length = 1, max_length = 32, pattern = "^[a-z0-9_-]+$", example = "phone")]
    pub(crate) device: Option<String>,
    /// The listener's language and region (BCP 47).
    #[schema(min_length = 2, max_length = 35, pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", example = "sv-SE")]
    pub(crate) locale: Option<String>,
    /// Where the listener is: an ISO 3166-1 alpha-2 code.
    #[schema(value_type = Option<schemas::Country>)]
    pub(crate) market: Option<String>,
    /// The listener's local time: RFC 3339 with offset, or `HH:MM`.
    #[schema(schema_with = schemas::moment_or_time, required = false)]
    pub(crate) local_time: Option<String>,
    /// Items that the answer must not hold.
    #[schema(max_items = 500, value_type = Vec<schemas::Id>)]
    pub(crate) exclude: Vec<String>,
    /// The most cards: on each shelf of a page, or of a flat answer.
    #[schema(minimum = 1, maximum = 100)]
    #[serde(deserialize_with = "whole_number")]
    pub(crate) limit: Option<i64>,
    /// Where the answer begins: the `next_cursor` of the answer before, as it came, with the same listener, surface and
    /// verb. The first page where it is left out or empty.
    #[schema(max_length = 8192)]
    pub(crate) cursor: Option<String>,
    /// The items the request is about: needed on surfaces about items.
    #[schema(max_items = 50, value_type = Vec<schemas::Id>)]
    pub(crate) seed_items: Vec<String>,
    /// How long the answer may take, in milliseconds; the surface's budget when left out.
    #[schema(minimum = 5, maximum = 10000)]
    #[serde(deserialize_with = "whole_number")]
    pub(crate) budget_ms: Option<i64>,
    /// Whether some positions may be drawn at random, to learn from; on when left out.
    pub(crate) explore: Option<bool>,
    /// Whether the answer is recorded with all of its candidates, so that it can be explained in full and replayed bit
    /// for bit; a share of all answers is anyway.
    pub(crate) record_whole: bool,
}

/// Collects what is wrong, field by field.
#[derive(Default)]
pub(crate) struct Findings(pub(crate) Vec<FieldError>);

impl Findings {
    pub(crate) fn add(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        given: impl AsRef<str>,
        expected: impl Into<Cow<'static, str>>,
    ) {
        self.0.push(FieldError::new(field, given, expected));
    }

    /// Reads a name; its own error tells what would be right.
    pub(crate) fn name<T: FromStr<Err = shared_models::ids::Error>>(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        text: &str,
    ) -> Option<T> {
        text.parse::<T>().map_err(|error| self.add(field, format!("{text:?}"), error.to_string())).ok()
    }

    /// Reads a market.
    pub(crate) fn market(&mut self, field: impl Into<Cow<'static, str>>, text: &str) -> Option<Market> {
        let market = Market::parse(text);
        if market.is_none() {
            self.add(field, format!("{text:?}"), "an ISO 3166-1 alpha-2 code such as \"SE\"");
        }
        market
    }

    /// Checks a short text: not empty, not long, all visible.
    pub(crate) fn text(&mut self, field: impl Into<Cow<'static, str>>, text: &str, most: usize) {
        let characters = text.chars().count();
        if characters == 0 || characters > most || text.chars().any(char::is_control) {
            self.add(field, format!("{text:?}"), format!("1 to {most} visible characters"));
        }
    }

    /// Checks a word of a small alphabet.
    pub(crate) fn word(&mut self, field: impl Into<Cow<'static, str>>, text: &str, most: usize) {
        let fits = (1..=most).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if !fits {
            self.add(field, format!("{text:?}"), format!("1 to {most} of a-z, 0-9, - and _"));
        }
    }

    /// Nothing wrong, or a problem.
    pub(crate) fn into_result(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::fields(self.0)) }
    }
}

/// The user that `user_id` or `anonymous_id` names; both are wrong together.
pub(crate) fn listener(
    wrong: &mut Findings,
    base: &str,
    user: Option<&str>,
    anonymous: Option<&str>,
) -> Option<UserId> {
    match (user, anonymous) {
        (Some(_), Some(_)) => {
            wrong.add(format!("{base}/anonymous_id"), "given beside `user_id`", "one of `user_id` and `anonymous_id`");
            None
        }
        (Some(user), None) if user.starts_with(ANONYMOUS) => {
            let expected =
                format!("an id that does not begin with `{ANONYMOUS}`; or what follows it as `anonymous_id`");
            wrong.add(format!("{base}/user_id"), format!("{user:?}"), expected);
            None
        }
        (Some(user), None) => wrong.name(format!("{base}/user_id"), user),
        (None, Some(anonymous)) => {
            let before = wrong.0.len();
            wrong.text(format!("{base}/anonymous_id"), anonymous, 100);
            if wrong.0.len() > before {
                return None;
            }
            wrong.name(format!("{base}/anonymous_id"), &format!("{ANONYMOUS}{anonymous}"))
        }
        (None, None) => None,
    }
}

impl PageRequest {
    /// Checks the request; all problems at once.
    pub(crate) fn check(self, shape: Shape, about_items: bool, now: Timestamp, seed: Seed) -> Result<Ask, Problem> {
        let mut wrong = Findings::default();
        let user = listener(&mut wrong, "", self.user_id.as_deref(), self.anonymous_id.as_deref());
        if let Some(session) = &self.session_id {
            wrong.text("/session_id", session, 128);
        }
        if let Some(device) = &self.device {
            wrong.word("/device", device, 32);
        }
        if let Some(locale) = &self.locale
            && !is_locale(locale)
        {
            wrong.add("/locale", format!("{locale:?}"), "a language tag such as \"sv-SE\"");
        }
        let market = self.market.as_deref().and_then(|text| wrong.market("/market", text)).unwrap_or_default();
        let (local_hour, local_weekday) = local_time(&mut wrong, self.local_time.as_deref(), now);
        let exclude = items(&mut wrong, "/exclude", &self.exclude, 500);
        let seed_items = items(&mut wrong, "/seed_items", &self.seed_items, 50);
        let limit = within(&mut wrong, "/limit", self.limit, 1, 100);
        let budget = within(&mut wrong, "/budget_ms", self.budget_ms, 5, 10_000);
        wrong.into_result()?;
        if about_items && seed_items.is_empty() {
            let problem = Problem::new(ErrorCode::Conflict, "seed_items_needed", "this surface is about items");
            return Err(problem.with_errors(vec![FieldError::new("/seed_items", "no item", "at least one item")]));
        }
        Ok(Ask {
            user,
            context: RequestContext {
                now,
                local_hour,
                local_weekday,
                market,
                device: self.device.unwrap_or_default(),
                session: self.session_id,
                seed,
            },
            seed_items,
            exclude,
            // Both lie in 1..=10,000 by now.
            limit: limit.map(|limit| limit as u16),
            explore: self.explore.unwrap_or(true),
            shape,
            budget: budget.map(|budget| Duration::from_millis(budget.unsigned_abs())),
            whole: self.record_whole,
            continuation: None,
        })
    }
}

fn within(wrong: &mut Findings, field: &'static str, given: Option<i64>, least: i64, most: i64) -> Option<i64> {
    let given = given?;
    if (least..=most).contains(&given) {
        return Some(given);
    }
    wrong.add(field, given.to_string(), format!("a whole number from {least} to {most}"));
    None
}

fn items(wrong: &mut Findings, field: &'static str, given: &[String], most: usize) -> Vec<ItemKey> {
    if given.len() > most {
        wrong.add(field, format!("{} items", given.len()), format!("at most {most} items"));
        return Vec::new();
    }
    let named =
        given.iter().enumerate().filter_map(|(index, text)| wrong.name::<ItemId>(format!("{field}/{index}"), text));
    let mut keys: Vec<ItemKey> = named.map(|id| ItemKey::of(&id)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn is_locale(text: &str) -> bool {
    (2..=35).contains(&text.len())
        && text.split('-').enumerate().all(|(index, part)| {
            let letters = part.bytes().all(|b| b.is_ascii_alphabetic());
            (1..=8).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric())
                && (index > 0 || (letters && part.len() >= 2))
        })
}

/// The local hour and weekday; the server's own, in UTC, where nothing usable is given.
fn local_time(wrong: &mut Findings, given: Option<&str>, now: Timestamp) -> (u8, u8) {
    let utc = Moment::from_millisecond(now.0).unwrap_or_default().to_zoned_datetime(tz::TimeZone::UTC).datetime();
    let parts = |time: civil::DateTime| {
        // Hours lie in 0..=23, weekdays from Monday in 0..=6.
        (time.hour().unsigned_abs(), time.weekday().to_monday_zero_offset().unsigned_abs())
    };
    let Some(text) = given else {
        return parts(utc);
    };
    if let Some((hour, minute)) = text.split_once(':')
        && let (2, 2, Ok(hour @ 0..=23), Ok(0..=59)) =
            (hour.len(), minute.len(), hour.parse::<u8>(), minute.parse::<u8>())
    {
        return (hour, parts(utc).1);
    }
    // A moment with offset is read as written: the clock on the listener's wall.
    if text.parse::<Moment>().is_ok()
        && let Ok(wall) = text.trim_end_matches(['Z', 'z']).parse::<civil::DateTime>()
    {
        return parts(wall);
    }
    wrong.add("/local_time", format!("{text:?}"), "a time such as \"2026-11-23T18:30:00+01:00\" or \"18:30\"");
    parts(utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(request: PageRequest) -> Result<Ask, Problem> {
        request.check(Shape::Page, false, Timestamp(1_700_000_000_000), Seed(1))
    }

    #[test]
    fn local_times_are_read_as_on_the_wall() {
        let check = |text: &str, expected: Option<(u8, u8)>| {
            let request = PageRequest { local_time: Some(text.to_owned()), ..PageRequest::default() };
            assert_eq!(
                ask(request).ok().map(|ask| (ask.context.local_hour, ask.context.local_weekday)),
                expected,
                "{text}"
            );
        };
        check("2026-11-23T18:30:00+01:00", Some((18, 0)));
        check("2026-11-22T23:30:00-08:00", Some((23, 6)));
        check("2026-11-23T18:30:00Z", Some((18, 0)));
        check("18:30", Some((18, 1)));
        check("24:30", None);
        check("2026-11-23T18:30:00", None);
        check("soon", None);
    }

    #[test]
    fn every_wrong_field_is_told_at_once() {
        let request = PageRequest {
            user_id: Some(String::new()),
            market: Some("Sweden".to_owned()),
            limit: Some(0),
            budget_ms: Some(99_999),
            exclude: vec!["x".to_owned(); 501],
            locale: Some("sv_SE".to_owned()),
            device: Some("My Phone".to_owned()),
            ..PageRequest::default()
        };
        let fields: Vec<_> = ask(request).unwrap_err().errors().iter().map(|error| error.field.to_string()).collect();
        assert_eq!(fields, ["/user_id", "/device", "/locale", "/market", "/exclude", "/limit", "/budget_ms"]);
    }

    #[test]
    fn anonymous_listeners_are_nobodys_users() {
        let request = PageRequest { anonymous_id: Some("a".to_owned()), ..PageRequest::default() };
        assert_eq!(ask(request).unwrap().user.unwrap().as_str(), "anonymous:a");
        let request = PageRequest { user_id: Some("anonymous:a".to_owned()), ..PageRequest::default() };
        let problem = ask(request).unwrap_err();
        let error = &problem.errors()[0];
        assert_eq!((error.field.as_ref(), error.given.as_str()), ("/user_id", "\"anonymous:a\""));
        assert!(error.expected.contains("`anonymous_id`"), "{}", error.expected);
        let request = PageRequest { user_id: Some("anonymous".to_owned()), ..PageRequest::default() };
        assert_eq!(ask(request).unwrap().user.unwrap().as_str(), "anonymous");
    }
}
