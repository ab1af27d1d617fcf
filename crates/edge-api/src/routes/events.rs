//! Events: what listeners did, taken one by one, answered when the stream has them on disk.
//!
//! Counting an event once is the consumers' part, by its id: sending it again is free. Must not know what
//! an event does to a profile.

use std::{borrow::Cow, collections::HashSet, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared_models::{
    EventId, ItemKey, Timestamp, UserId,
    event::{Event, EventKind},
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Edge, Json,
    ask::{Findings, listener},
    body::{RawBody, read, read_element, whole_number},
    schemas,
};
use crate::{
    auth::Caller,
    problem::{FieldError, Problem, ProblemBody},
    request_id::RequestId,
};

/// The most events of one request.
const MOST_EVENTS: usize = 1_000;
/// A clock on a phone may be wrong; by more than this it is no clock.
const MOST_AHEAD: Duration = Duration::from_secs(86_400);
/// Events from longer ago tell nothing of a listener's taste now.
const MOST_BEHIND: Duration = Duration::from_secs(400 * 86_400);

/// Events, each taken or refused on its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Events, each taken or refused on its own.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to the OpenAPI document; the handler reads it event by event")]
pub(crate) struct EventBatch {
    /// The events, in any order.
    #[schema(min_items = 1, max_items = 1000)]
    events: Vec<EventBody<'static>>,
}

/// Something that happened to an item.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Event, example = json!({"event_id": "e-1", "user_id": "user-1", "type": "play", "item_id": "track-1", "ms_played": 181000, "occurred_at": "2026-11-23T17:00:00Z"}))]
pub(crate) struct EventBody<'a> {
    /// Your identity of it: sent twice, it counts once. Without one, a resend counts again.
    #[serde(borrow, default)]
    #[schema(value_type = Option<schemas::Id>)]
    event_id: Option<Cow<'a, str>>,
    /// The listener, by the tenant's own id, which does not begin with `anonymous:`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<schemas::UserId>)]
    user_id: Option<Cow<'a, str>>,
    /// A listener without an account; exactly one of this and `user_id`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<schemas::AnonymousId>)]
    anonymous_id: Option<Cow<'a, str>>,
    /// What happened: `impression`, `play`, `complete`, `skip`, `like`, `unlike`, `save`, `follow`, `hide`,
    /// `playlist_add`, `share`, or a kind of your own in lower case.
    #[serde(borrow, rename = "type")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]+$", example = "play")]
    kind: Cow<'a, str>,
    /// The item it happened to.
    #[serde(borrow)]
    #[schema(value_type = schemas::Id)]
    item_id: Cow<'a, str>,
    /// When, by the client's clock, in RFC 3339; now when left out. What lies more than a day ahead, or further back
    /// than 400 days, is moved to the nearest moment that a listener's taste can know, and the result says so.
    #[serde(borrow, default)]
    #[schema(format = "date-time")]
    occurred_at: Option<Cow<'a, str>>,
    /// For how long it had played when this happened, in milliseconds.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 86400000)]
    ms_played: Option<i64>,
    /// The answer that showed the card.
    #[serde(borrow, default)]
    #[schema(format = "uuid")]
    recommendation_id: Option<Cow<'a, str>>,
    /// The shelf the card stood on.
    #[serde(borrow, default)]
    #[schema(value_type = Option<schemas::Id>)]
    shelf: Option<Cow<'a, str>>,
    /// The card's `rank` on the shelf.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 10000)]
    position: Option<i64>,
    /// The listener's session.
    #[serde(borrow, default)]
    #[schema(value_type = Option<schemas::Id>)]
    session_id: Option<Cow<'a, str>>,
    /// The kind of device, in lower case.
    #[serde(borrow, default)]
    #[schema(min_length = 1, max_length = 32, pattern = "^[a-z0-9_-]+$")]
    device: Option<Cow<'a, str>>,
    /// Where the listener is: an ISO 3166-1 alpha-2 code.
    #[serde(borrow, default)]
    #[schema(value_type = Option<schemas::Country>)]
    market: Option<Cow<'a, str>>,
}

/// What became of each event.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventResults {
    /// How many are stored.
    accepted: usize,
    /// How many are refused.
    refused: usize,
    /// One entry for each event, in order.
    results: Vec<EventResult>,
    /// The trace of the request.
    trace_id: String,
}

/// What became of one event.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventResult {
    /// Its place in the request, from 0.
    index: usize,
    /// Its id: yours, or the one it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// `accepted`; `duplicate` of an earlier one in this request; or `refused`.
    #[schema(example = "accepted")]
    status: &'static str,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// What was taken for something else than it said: the field, what was given, and what is stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    adjusted: Vec<FieldError>,
}

/// Send events
///
/// Each event is taken or refused on its own. The answer is 202 only when every accepted event is on disk;
/// on 503 send all of them again: an event counts once however often its `event_id` is sent.
#[utoipa::path(
    post, path = "/v1/events", tag = "feed back", operation_id = "send_events",
    request_body(content = EventBatch, description = "1 to 1,000 events"),
    responses(
        (status = 202, description = "Every accepted event is stored; `results` tells of each", body = EventResults),
        (status = 400, description = "The request is wrong, or every event of it; `errors` names the fields", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large; send less at once", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["events"])),
)]
pub(crate) async fn send(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    Extension(id): Extension<RequestId>,
    RawBody(bytes): RawBody,
) -> Result<Response, Problem> {
    let batch: Batch<'_> = read(&bytes)?;
    let count = batch.events.len();
    if !(1..=MOST_EVENTS).contains(&count) {
        return Err(Problem::fields(vec![FieldError::new(
            "/events",
            format!("{count} events"),
            format!("1 to {MOST_EVENTS} events"),
        )]));
    }
    let now = edge.clock.now();
    let mut seen = HashSet::with_capacity(count);
    let mut events = Vec::with_capacity(count);
    let mut results = Vec::with_capacity(count);
    for (index, raw) in batch.events.into_iter().enumerate() {
        let base = format!("/events/{index}");
        let event = read_element::<EventBody<'_>>(raw.get(), &base)
            .map_err(|error| vec![error])
            .and_then(|event| event.check(&base, now));
        results.push(match event {
            Ok((event, adjusted)) => {
                let event_id = Some(event.id.to_string());
                let fresh = seen.insert(event.id.clone());
                if fresh {
                    events.push(event);
                }
                EventResult {
                    index,
                    event_id,
                    status: if fresh { "accepted" } else { "duplicate" },
                    errors: Vec::new(),
                    adjusted: adjusted.into_iter().collect(),
                }
            }
            Err(errors) => EventResult { index, event_id: None, status: "refused", errors, adjusted: Vec::new() },
        });
    }

    let refused = results.iter().filter(|result| result.status == "refused").count();
    edge.metrics.events("refused", refused as u64);
    if refused == count {
        // A problem's list stays readable: the first hundred of what is wrong.
        let errors = results.into_iter().flat_map(|result| result.errors).take(100).collect();
        return Err(Problem::fields(errors));
    }
    let accepted = events.len();
    let told: Vec<_> = events.iter().filter_map(what_a_kept_page_must_know).collect();
    let stored = edge.events.store(&caller.tenant, events).await;
    // Whether or not they are stored: what the listener said holds for this edge's own memory at once.
    for (user, hid) in told {
        edge.conductor.fallbacks.listener_changed(&caller.tenant, &user, hid);
    }
    if let Err(problem) = stored {
        edge.metrics.events("not_stored", accepted as u64);
        return Err(problem);
    }
    edge.metrics.events("accepted", accepted as u64);
    let answer = EventResults { accepted, refused, results, trace_id: id.as_str().to_owned() };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// Who said no to something that a page kept for them may show, and what they hid.
fn what_a_kept_page_must_know(event: &Event) -> Option<(UserId, Option<ItemKey>)> {
    match event.kind {
        EventKind::Hide => Some((event.user.clone(), Some(ItemKey::of(&event.item)))),
        EventKind::Unlike => Some((event.user.clone(), None)),
        EventKind::Impression
        | EventKind::Play
        | EventKind::Complete
        | EventKind::Skip
        | EventKind::Like
        | EventKind::Save
        | EventKind::Follow
        | EventKind::PlaylistAdd
        | EventKind::Share
        | EventKind::Other(_) => None,
    }
}

impl EventBody<'_> {
    /// The event, and what of it was adjusted.
    fn check(self, base: &str, now: Timestamp) -> Result<(Event, Option<FieldError>), Vec<FieldError>> {
        let mut wrong = Findings::default();
        let at = |field: &str| format!("{base}/{field}");
        let id = match &self.event_id {
            Some(id) => wrong.name(at("event_id"), id),
            None => EventId::new(Uuid::now_v7().to_string()).ok(),
        };
        let user = listener(&mut wrong, base, self.user_id.as_deref(), self.anonymous_id.as_deref());
        if self.user_id.is_none() && self.anonymous_id.is_none() {
            wrong.add(at("user_id"), "nothing", "the field `user_id`, or `anonymous_id`");
        }
        wrong.word(at("type"), &self.kind, 64);
        let item = wrong.name(at("item_id"), &self.item_id);
        let (occurred_at, adjusted) = match &self.occurred_at {
            None => (now, None),
            Some(text) => moment(&mut wrong, at("occurred_at"), text, now),
        };
        let ms_played = whole(&mut wrong, || at("ms_played"), self.ms_played, 86_400_000);
        let position = whole(&mut wrong, || at("position"), self.position, 10_000);
        let recommendation = self.recommendation_id.as_deref().and_then(|text| {
            let id = Uuid::try_parse(text).ok();
            if id.is_none() {
                wrong.add(at("recommendation_id"), format!("{text:?}"), "the `recommendation_id` of an answer");
            }
            id
        });
        for (field, text) in [("shelf", &self.shelf), ("session_id", &self.session_id)] {
            if let Some(text) = text {
                wrong.text(at(field), text, 128);
            }
        }
        if let Some(device) = &self.device {
            wrong.word(at("device"), device, 32);
        }
        let market = self.market.as_deref().and_then(|text| wrong.market(at("market"), text));
        let (Some(id), Some(user), Some(item), true) = (id, user, item, wrong.0.is_empty()) else {
            return Err(wrong.0);
        };
        let event = Event {
            id,
            user,
            kind: EventKind::from(self.kind.as_ref()),
            item,
            occurred_at,
            received_at: now,
            ms_played,
            recommendation,
            shelf: self.shelf.map(Cow::into_owned),
            // Both lie within their fields' types by now.
            position: position.map(|position| position as u16),
            session: self.session_id.map(Cow::into_owned),
            device: self.device.map(Cow::into_owned),
            market,
        };
        Ok((event, adjusted))
    }
}

fn whole(wrong: &mut Findings, field: impl FnOnce() -> String, given: Option<i64>, most: u32) -> Option<u32> {
    let given = given?;
    let fits = u32::try_from(given).ok().filter(|number| *number <= most);
    if fits.is_none() {
        wrong.add(field(), given.to_string(), format!("a whole number from 0 to {most}"));
    }
    fits
}

/// The moment, within what a listener's taste can know; and what was given, where it lies outside.
fn moment(wrong: &mut Findings, field: String, text: &str, now: Timestamp) -> (Timestamp, Option<FieldError>) {
    let Ok(moment) = text.parse::<jiff::Timestamp>() else {
        wrong.add(field, format!("{text:?}"), "a moment such as \"2026-11-23T17:00:00Z\"");
        return (now, None);
    };
    let moment = Timestamp(moment.as_millisecond());
    let (taken, why) = if moment > now.after(MOST_AHEAD) {
        (now, "it lies more than a day ahead")
    } else if moment < now.before(MOST_BEHIND) {
        (now.before(MOST_BEHIND), "it lies more than 400 days back")
    } else {
        return (moment, None);
    };
    (taken, Some(FieldError::new(field, format!("{text:?}"), format!("{taken} was stored: {why}"))))
}
