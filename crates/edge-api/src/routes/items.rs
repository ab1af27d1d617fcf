//! The catalogue: items one by one and in batches.
//!
//! Must not know where items are kept.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use contracts::{Failure, Put};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared_models::{
    ErrorCode, ItemId, ItemKey, Timestamp,
    item::{Item, ItemKind},
};
use utoipa::ToSchema;

use super::{
    Edge, Json,
    ask::Findings,
    bad_path,
    body::{Body, RawBody, read, read_element, whole_number},
    measured::{self, Features, Number},
    path_name, schemas,
};
use crate::{
    auth::Caller,
    problem::{FieldError, Problem, ProblemBody},
};

/// The most items of one batch.
const MOST_ITEMS: usize = 1_000;

/// An item, as the tenant writes it.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Item, example = json!({"type": "track", "title": "Tango", "artist_id": "artist-1", "artist_name": "Ada", "genres": ["tango"], "released_at": "2024-05-17", "duration_ms": 181000, "markets": ["SE", "NO"], "features": {"tempo": 0.61, "energy": 0.4}, "embedding": [0.12, -0.4, 0.33]}))]
pub(crate) struct ItemBody {
    /// The tenant's id; in a batch only, elsewhere the path tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Id>)]
    item_id: Option<String>,
    /// What it is: `track`, `album`, `artist`, `playlist`, `show`, `episode`, or a kind of your own in lower case.
    #[serde(rename = "type", default = "track")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]+$", default = "track", example = "track")]
    kind: String,
    /// What a listener reads on the card.
    #[schema(value_type = schemas::Text)]
    title: String,
    /// The artist's item id.
    #[serde(default)]
    #[schema(value_type = Option<schemas::Id>)]
    artist_id: Option<String>,
    /// The artist's name as a listener reads it.
    #[serde(default)]
    #[schema(value_type = Option<schemas::Text>)]
    artist_name: Option<String>,
    /// Genres and tags, most telling first.
    #[serde(default)]
    #[schema(max_items = 32, value_type = Vec<schemas::Genre>)]
    genres: Vec<String>,
    /// When it came out: a date or a moment.
    #[serde(default)]
    #[schema(schema_with = schemas::date_or_moment, required = false)]
    released_at: Option<String>,
    /// How long it plays, in milliseconds.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 0, maximum = 864000000)]
    duration_ms: Option<i64>,
    /// Whether it carries an explicit-content warning.
    #[serde(default)]
    explicit: bool,
    /// Where it may be played, as ISO 3166-1 alpha-2 codes; empty means everywhere.
    #[serde(default)]
    #[schema(max_items = 250, value_type = Vec<schemas::Country>)]
    markets: Vec<String>,
    /// Numbers that you measured of it, by name, such as of its sound; in whatever units, the same for all items. The next
    /// release learns what they tell, and a new item is near those who like what they say before its first play.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::features, required = false)]
    features: Option<Features>,
    /// An embedding of it by whatever model you have, of the same length for all items; used as `features` are. One of
    /// another length than most is kept, and passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schemas::embedding, required = false)]
    embedding: Option<Vec<Number>>,
}

fn track() -> String {
    "track".to_owned()
}

/// Items, each taken or refused on its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// Items, each taken or refused on its own.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body to the OpenAPI document; the handler reads it item by item")]
pub(crate) struct ItemBatch {
    /// The items; `item_id` is needed in each.
    #[schema(min_items = 1, max_items = 1000)]
    items: Vec<ItemBody>,
}

/// What became of one item.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemResult {
    /// The item.
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<String>,
    /// `created`, `updated`, `unchanged` or `refused`.
    #[schema(example = "created")]
    status: &'static str,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// What became of each item.
#[derive(Serialize, ToSchema)]
pub(crate) struct ItemResults {
    /// How many are written.
    written: usize,
    /// How many are refused.
    refused: usize,
    /// One entry for each item, in order.
    results: Vec<ItemResult>,
}

/// Write an item
///
/// Creates it or replaces it whole. The next page shows it as written.
#[utoipa::path(
    put, path = "/v1/items/{id}", tag = "catalogue", operation_id = "put_item",
    params(("id" = schemas::Id, Path, description = "The item, by the tenant's own id", example = "track-1")),
    request_body(content = ItemBody),
    responses(
        (status = 200, description = "The item was there; `status` says whether it has changed", body = ItemResult),
        (status = 201, description = "The item is new", body = ItemResult),
        (status = 400, description = "The item is wrong; `errors` names the fields", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "The body names another item, or another item stands in its place", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["catalog"])),
)]
pub(crate) async fn put(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<ItemBody>,
) -> Result<Response, Problem> {
    let id = item_of(path)?;
    if let Some(given) = &body.item_id
        && given != id.as_str()
    {
        let wrong = FieldError::new("/item_id", format!("{given:?}"), "the id of the path, or nothing");
        let problem =
            Problem::new(ErrorCode::Conflict, "item_id_mismatch", "the body is of another item than the path");
        return Err(problem.with_errors(vec![wrong]));
    }
    let item = body.check("", Some(id.clone())).map_err(Problem::fields)?;
    let key = item.key();
    let written = edge.catalogue.put_items(&caller.tenant, vec![item], edge.deadline()).await;
    // Whatever became of it, what this edge remembers may be old.
    edge.forget_items(&caller.tenant, &[key]);
    let outcome = written?.into_iter().next().ok_or_else(|| Problem::internal("catalogue gave no result"))??;
    let status = if outcome == Put::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ItemResult { item_id: Some(id.to_string()), status: word(outcome), errors: Vec::new() }))
        .into_response())
}

/// Read an item
#[utoipa::path(
    get, path = "/v1/items/{id}", tag = "catalogue", operation_id = "get_item",
    params(("id" = schemas::Id, Path, description = "The item, by the tenant's own id", example = "track-1")),
    responses(
        (status = 200, description = "The item", body = ItemBody),
        (status = 400, description = "The id is wrong", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no such item", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["catalog"])),
)]
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = item_of(path)?;
    match edge.catalogue.item(&caller.tenant, &id, edge.deadline()).await {
        Ok(item) => Ok(Json(ItemBody::from(item)).into_response()),
        Err(failure) if failure.code == ErrorCode::NotFound => Err(not_found()),
        Err(failure) => Err(failure.into()),
    }
}

/// Delete an item
///
/// It is on no page from now on. Events about it are kept.
#[utoipa::path(
    delete, path = "/v1/items/{id}", tag = "catalogue", operation_id = "delete_item",
    params(("id" = schemas::Id, Path, description = "The item, by the tenant's own id", example = "track-1")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 400, description = "The id is wrong", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no such item", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["catalog"])),
)]
pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = item_of(path)?;
    let deleted = edge.catalogue.delete_item(&caller.tenant, &id, edge.deadline()).await;
    edge.forget_items(&caller.tenant, &[ItemKey::of(&id)]);
    if deleted? { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(not_found()) }
}

/// Write many items
///
/// Each item is taken or refused on its own.
#[utoipa::path(
    post, path = "/v1/items:batch", tag = "catalogue", operation_id = "put_items",
    request_body(content = ItemBatch, description = "1 to 1,000 items"),
    responses(
        (status = 200, description = "What became of each item", body = ItemResults),
        (status = 400, description = "The request is wrong, or every item of it; `errors` names the fields", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["catalog"])),
)]
pub(crate) async fn batch(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    RawBody(bytes): RawBody,
) -> Result<Response, Problem> {
    let batch: Batch<'_> = read(&bytes)?;
    let count = batch.items.len();
    if !(1..=MOST_ITEMS).contains(&count) {
        return Err(Problem::fields(vec![FieldError::new(
            "/items",
            format!("{count} items"),
            format!("1 to {MOST_ITEMS} items"),
        )]));
    }
    let mut results: Vec<ItemResult> = Vec::with_capacity(count);
    let mut items = Vec::with_capacity(count);
    let mut places = Vec::with_capacity(count);
    for (index, raw) in batch.items.into_iter().enumerate() {
        let base = format!("/items/{index}");
        match read_element::<ItemBody>(raw.get(), &base)
            .map_err(|error| vec![error])
            .and_then(|item| item.check(&base, None))
        {
            Ok(item) => {
                results.push(ItemResult {
                    item_id: Some(item.id.to_string()),
                    status: "unchanged",
                    errors: Vec::new(),
                });
                places.push(index);
                items.push(item);
            }
            Err(errors) => results.push(ItemResult { item_id: None, status: "refused", errors }),
        }
    }
    if items.is_empty() {
        return Err(Problem::fields(results.into_iter().flat_map(|result| result.errors).take(100).collect()));
    }
    let keys: Vec<_> = items.iter().map(Item::key).collect();
    let outcomes = edge.catalogue.put_items(&caller.tenant, items, edge.deadline()).await;
    // What is written as it was may be remembered; of the rest, and of what nobody knows, nothing may.
    let same = |index: usize| {
        outcomes.as_ref().is_ok_and(|outcomes| matches!(outcomes.get(index), Some(Ok(Put::Unchanged | Put::Created))))
    };
    let changed: Vec<_> = keys.into_iter().enumerate().filter(|(index, _)| !same(*index)).map(|(_, key)| key).collect();
    edge.forget_items(&caller.tenant, &changed);
    for (place, outcome) in places.into_iter().zip(outcomes?) {
        if let Some(result) = results.get_mut(place) {
            match outcome {
                Ok(put) => result.status = word(put),
                Err(failure) => {
                    result.status = "refused";
                    result.errors.push(refused(place, failure));
                }
            }
        }
    }
    let refused = results.iter().filter(|result| result.status == "refused").count();
    Ok(Json(ItemResults { written: count - refused, refused, results }).into_response())
}

fn refused(place: usize, failure: Failure) -> FieldError {
    FieldError::new(format!("/items/{place}"), failure.reason, failure.message)
}

fn item_of(path: Result<Path<String>, PathRejection>) -> Result<ItemId, Problem> {
    let Path(id) = path.map_err(|_| bad_path())?;
    path_name("{id}", &id)
}

fn not_found() -> Problem {
    Problem::not_found("item_not_found", "there is no such item")
}

fn word(put: Put) -> &'static str {
    match put {
        Put::Created => "created",
        Put::Updated => "updated",
        Put::Unchanged => "unchanged",
    }
}

impl ItemBody {
    /// Checks the item; its id is the given one, or its own.
    fn check(self, base: &str, id: Option<ItemId>) -> Result<Item, Vec<FieldError>> {
        let mut wrong = Findings::default();
        let at = |field: &str| format!("{base}/{field}");
        let id = match (id, &self.item_id) {
            (Some(id), _) => Some(id),
            (None, Some(text)) => wrong.name(at("item_id"), text),
            (None, None) => {
                wrong.add(at("item_id"), "nothing", "the field `item_id`");
                None
            }
        };
        wrong.word(at("type"), &self.kind, 64);
        wrong.text(at("title"), &self.title, 512);
        let artist_id = self.artist_id.as_deref().and_then(|text| wrong.name(at("artist_id"), text));
        if let Some(name) = &self.artist_name {
            wrong.text(at("artist_name"), name, 512);
        }
        if self.genres.len() > 32 {
            wrong.add(at("genres"), format!("{} genres", self.genres.len()), "at most 32 genres");
        }
        for (index, genre) in self.genres.iter().enumerate().take(33) {
            wrong.text(format!("{base}/genres/{index}"), genre, 64);
        }
        let released_at = self.released_at.as_deref().and_then(|text| {
            let moment = moment(text);
            if moment.is_none() {
                wrong.add(
                    at("released_at"),
                    format!("{text:?}"),
                    "a date such as \"2024-05-17\", or a moment such as \"2024-05-17T00:00:00Z\"",
                );
            }
            moment
        });
        let duration_ms = self.duration_ms.and_then(|given| {
            let fits = u32::try_from(given).ok().filter(|number| *number <= 864_000_000);
            if fits.is_none() {
                wrong.add(at("duration_ms"), given.to_string(), "a whole number from 0 to 864000000");
            }
            fits
        });
        if self.markets.len() > 250 {
            wrong.add(at("markets"), format!("{} markets", self.markets.len()), "at most 250 markets");
        }
        let markets = self
            .markets
            .iter()
            .enumerate()
            .take(250)
            .filter_map(|(index, text)| wrong.market(format!("{base}/markets/{index}"), text))
            .collect();
        let numbers = measured::check(&mut wrong, base, self.features, self.embedding);
        let (Some(id), true) = (id, wrong.0.is_empty()) else {
            return Err(wrong.0);
        };
        Ok(Item {
            id,
            kind: ItemKind::from(self.kind.as_str()),
            title: self.title,
            artist_id,
            artist_name: self.artist_name,
            genres: self.genres.into_iter().map(|genre| genre.to_lowercase()).collect(),
            released_at,
            duration_ms,
            explicit: self.explicit,
            markets,
            numbers,
        })
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    let moment = text.parse::<jiff::Timestamp>().ok();
    let date = || {
        text.parse::<jiff::civil::Date>()
            .ok()?
            .to_zoned_datetime(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|day| day.timestamp())
    };
    moment.or_else(date).map(|moment| Timestamp(moment.as_millisecond()))
}

impl From<Item> for ItemBody {
    fn from(item: Item) -> Self {
        let (features, embedding) = measured::shown(item.numbers.as_deref());
        Self {
            item_id: Some(item.id.to_string()),
            kind: item.kind.as_str().to_owned(),
            title: item.title,
            artist_id: item.artist_id.map(|id| id.to_string()),
            artist_name: item.artist_name,
            genres: item.genres,
            released_at: item.released_at.map(|moment| moment.to_string()),
            duration_ms: item.duration_ms.map(i64::from),
            explicit: item.explicit,
            markets: item.markets.iter().map(ToString::to_string).collect(),
            features,
            embedding,
        }
    }
}
