//! Users: what the tenant tells of them, and what the platform knows.
//!
//! Must not know how profiles are folded.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use shared_models::{ErrorCode, ItemKey, UserId, listener::UserAttributes};
use utoipa::ToSchema;

use super::{Edge, Json, ask::Findings, bad_path, body::Body, path_name, schemas};
use crate::{
    auth::Caller,
    problem::{Problem, ProblemBody},
};

/// What the tenant tells of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = User, example = json!({"market": "SE", "explicit_allowed": true}))]
pub(crate) struct UserBody {
    /// Where they are at home: an ISO 3166-1 alpha-2 code.
    #[serde(default)]
    #[schema(value_type = Option<schemas::Country>)]
    market: Option<String>,
    /// Whether explicit items may be shown.
    #[serde(default = "yes")]
    #[schema(default = true)]
    explicit_allowed: bool,
}

fn yes() -> bool {
    true
}

/// What the tenant told of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserWritten {
    /// The user.
    user_id: String,
    /// Where they are at home.
    market: Option<String>,
    /// Whether explicit items may be shown.
    explicit_allowed: bool,
    /// When this was written.
    #[schema(format = "date-time")]
    updated_at: String,
}

/// What the platform knows of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserAnswer {
    /// The user.
    user_id: String,
    /// Where they are at home.
    market: Option<String>,
    /// Whether explicit items may be shown.
    explicit_allowed: bool,
    /// When the tenant last wrote the user.
    #[schema(format = "date-time")]
    updated_at: String,
    /// Plays folded so far.
    plays: u64,
    /// Recent items they liked or played on, newest first. Items that are gone from the catalogue are left out.
    recent: Vec<RecentItem>,
    /// The artists they play most, largest share first.
    artists: Vec<ArtistShare>,
    /// When the last event happened.
    #[schema(format = "date-time")]
    last_event_at: Option<String>,
}

/// A recent item.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecentItem {
    /// The item.
    item_id: String,
    /// Its title.
    title: String,
    /// When it was last played or liked.
    #[schema(format = "date-time")]
    at: String,
}

/// An artist's share of a listener's plays.
#[derive(Serialize, ToSchema)]
pub(crate) struct ArtistShare {
    /// The artist's item.
    item_id: String,
    /// The artist's name.
    title: String,
    /// The share, from 0 to 1; recent plays count more.
    share: f32,
}

/// Write a user
///
/// What events have taught stays.
#[utoipa::path(
    put, path = "/v1/users/{id}", tag = "users", operation_id = "put_user",
    params(("id" = schemas::Id, Path, description = "The user, by the tenant's own id", example = "user-1")),
    request_body(content = UserBody),
    responses(
        (status = 200, description = "The user is written", body = UserWritten),
        (status = 400, description = "The request is wrong; `errors` names the fields", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["catalog"])),
)]
pub(crate) async fn put(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    Body(body): Body<UserBody>,
) -> Result<Response, Problem> {
    let id = user_of(path)?;
    let mut wrong = Findings::default();
    let market = body.market.as_deref().and_then(|text| wrong.market("/market", text));
    wrong.into_result()?;
    let attributes =
        UserAttributes { id, market, explicit_allowed: body.explicit_allowed, updated_at: edge.clock.now() };
    let written = UserWritten {
        user_id: attributes.id.to_string(),
        market: market.map(|market| market.to_string()),
        explicit_allowed: attributes.explicit_allowed,
        updated_at: attributes.updated_at.to_string(),
    };
    let user = attributes.id.clone();
    let put = edge.profiles.put_user(&caller.tenant, attributes, edge.deadline()).await;
    // Whatever became of it, a page that is kept for the listener may show what they must not see now.
    edge.conductor.fallbacks.listener_changed(&caller.tenant, &user, None);
    put?;
    Ok(Json(written).into_response())
}

/// Read a user
#[utoipa::path(
    get, path = "/v1/users/{id}", tag = "users", operation_id = "get_user",
    params(("id" = schemas::Id, Path, description = "The user, by the tenant's own id", example = "user-1")),
    responses(
        (status = 200, description = "What the platform knows of the user", body = UserAnswer),
        (status = 400, description = "The id is wrong", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "Nobody told of this user, and no event did", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["catalog"])),
)]
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = user_of(path)?;
    let until = edge.deadline();
    let user = match edge.profiles.user(&caller.tenant, &id, until).await {
        Ok(user) => user,
        Err(failure) if failure.code == ErrorCode::NotFound => {
            return Err(Problem::not_found("user_not_found", "nobody told of this user, and no event did"));
        }
        Err(failure) => return Err(failure.into()),
    };
    let keys: Vec<ItemKey> =
        user.recent.iter().map(|(key, _)| *key).chain(user.artists.iter().map(|(key, _)| *key)).collect();
    let (items, failure) = edge.display.read(&caller.tenant, &keys, until).await;
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    let shown = |key: &ItemKey| items.get(key).map(|item| (item.id.to_string(), item.title.clone()));
    let recent = user
        .recent
        .iter()
        .filter_map(|(key, at)| shown(key).map(|(item_id, title)| RecentItem { item_id, title, at: at.to_string() }));
    let artists = user
        .artists
        .iter()
        .filter_map(|(key, share)| shown(key).map(|(item_id, title)| ArtistShare { item_id, title, share: *share }));
    let answer = UserAnswer {
        user_id: user.attributes.id.to_string(),
        market: user.attributes.market.map(|market| market.to_string()),
        explicit_allowed: user.attributes.explicit_allowed,
        updated_at: user.attributes.updated_at.to_string(),
        plays: user.plays,
        recent: recent.collect(),
        artists: artists.collect(),
        last_event_at: user.last_event_at.map(|at| at.to_string()),
    };
    Ok(Json(answer).into_response())
}

fn user_of(path: Result<Path<String>, PathRejection>) -> Result<UserId, Problem> {
    let Path(id) = path.map_err(|_| bad_path())?;
    path_name("{id}", &id)
}
