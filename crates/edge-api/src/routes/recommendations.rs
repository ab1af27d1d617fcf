//! Questions about answers: the record, why, why not, and what would have been answered otherwise.
//!
//! Must not know how an explanation is found, only who asks and how it is written.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Query, State, rejection::PathRejection, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use contracts::{Deadline, RecommendationRecord};
use serde::{Deserialize, Serialize};
use shared_models::{
    ErrorCode, ItemId, RecommendationId, ReleaseId, SurfaceId, Timestamp, UserId, UserKey, slate::Pinned,
};
use utoipa::{IntoParams, ToSchema};

use super::{Edge, Json, ask::Findings, bad_path, body::Body, openapi::query_problem, path_name, schemas};
use crate::{
    auth::Caller,
    explain::{Against, ItemExplanation, PageExplanation, RecordAnswer, ReplayAnswer, ask_of},
    plan::Blueprint,
    problem::{FieldError, Problem, ProblemBody},
    store::Wanted,
    surfaces::{parse, version_of},
};

/// The most records of one list.
const MOST: i64 = 1_000;

/// Which records to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// From this moment on (RFC 3339).
    #[param(format = "date-time")]
    since: Option<String>,
    /// Before this moment (RFC 3339).
    #[param(format = "date-time")]
    until: Option<String>,
    /// Of one listener only.
    #[param(value_type = Option<schemas::Id>)]
    user_id: Option<String>,
    /// Of one surface only.
    #[param(value_type = Option<schemas::Id>)]
    surface: Option<String>,
    /// Those that hold all candidates only.
    whole: bool,
    /// Those before this answer: the last of the list before.
    #[param(value_type = Option<uuid::Uuid>)]
    before: Option<String>,
    /// The most records, newest first.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<i64>,
}

/// Records, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordList {
    /// The records.
    recommendations: Vec<RecordSummary>,
}

/// A record in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordSummary {
    /// The answer.
    #[schema(value_type = uuid::Uuid)]
    recommendation_id: String,
    /// When it was given (RFC 3339).
    #[schema(format = "date-time")]
    made_at: String,
    /// The surface that was asked for.
    surface: String,
    /// Whether the record holds all candidates, so that it can be replayed bit for bit.
    whole: bool,
}

/// What is to be otherwise when an answer is made again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"surface": "current", "release": "live"}))]
pub(crate) struct ReplayRequest {
    /// The release to rank with: `live`, or an id; the one that ranked the answer when left out.
    release: Option<String>,
    /// The surface to answer for: `current` is the version that is served now, an object is a definition as in a surface
    /// file; the recorded one when left out.
    #[schema(value_type = Option<Object>)]
    surface: Option<serde_json::Value>,
    /// Whether candidates are gathered again by what is known now. They are anyway where the record does not hold them
    /// all, or the surface wants others.
    gather: bool,
}

/// List recommendations
///
/// The answers that were given, newest first: for finding one to ask about, and for replaying many.
#[utoipa::path(
    get, path = "/v1/recommendations", tag = "understand", operation_id = "list_recommendations",
    params(ListQuery),
    responses(
        (status = 200, description = "The records", body = RecordList),
        (status = 400, description = "A parameter is wrong; `errors` names it", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "This edge keeps no records", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["explain"])),
)]
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| query_problem(&error))?;
    let wanted = query.check()?;
    let found = edge.finder.list(&caller.tenant, &wanted).await?;
    let summary = |listed: crate::store::Listed| RecordSummary {
        recommendation_id: listed.id.to_string(),
        made_at: jiff::Timestamp::from_millisecond(listed.made_at.0).unwrap_or_default().to_string(),
        surface: listed.surface.to_string(),
        whole: listed.whole,
    };
    Ok(Json(RecordList { recommendations: found.into_iter().map(summary).collect() }).into_response())
}

impl ListQuery {
    fn check(self) -> Result<Wanted, Problem> {
        let mut wrong = Findings::default();
        let moment = |wrong: &mut Findings, field: &'static str, text: Option<&String>, default: i64| {
            let Some(text) = text else { return Timestamp(default) };
            match text.parse::<jiff::Timestamp>() {
                Ok(at) => Timestamp(at.as_millisecond()),
                Err(_) => {
                    wrong.add(field, format!("{text:?}"), "a moment such as \"2026-11-23T18:30:00Z\"");
                    Timestamp(default)
                }
            }
        };
        let since = moment(&mut wrong, "?since", self.since.as_ref(), 0);
        let until = moment(&mut wrong, "?until", self.until.as_ref(), i64::MAX);
        let user: Option<UserId> = self.user_id.as_deref().and_then(|id| wrong.name("?user_id", id));
        let surface: Option<SurfaceId> = self.surface.as_deref().and_then(|id| wrong.name("?surface", id));
        let before = self.before.as_deref().and_then(|id| match id.parse::<uuid::Uuid>() {
            Ok(id) => Some(RecommendationId(id)),
            Err(_) => {
                wrong.add("?before", format!("{id:?}"), "the id of an answer, a UUID");
                None
            }
        });
        let limit = self.limit.unwrap_or(100);
        if !(1..=MOST).contains(&limit) {
            wrong.add("?limit", limit.to_string(), "a whole number from 1 to 1000");
        }
        wrong.into_result()?;
        let limit = usize::try_from(limit).unwrap_or(1);
        Ok(Wanted { since, until, user: user.as_ref().map(UserKey::of), surface, whole: self.whole, before, limit })
    }
}

/// Read a recommendation
///
/// The decision behind one answer: what was asked, found, dropped, scored and shown, and with which probability.
#[utoipa::path(
    get, path = "/v1/recommendations/{id}", tag = "understand", operation_id = "get_recommendation",
    params(("id" = uuid::Uuid, Path, description = "The `recommendation_id` of the answer")),
    responses(
        (status = 200, description = "The record", body = RecordAnswer),
        (status = 400, description = "The id is none; `errors` says so", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no record of such an answer", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "This edge keeps no records", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["explain"])),
)]
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|_| bad_path())?;
    let (record, until) = asked(&edge, &caller, &id).await?;
    Ok(Json(edge.explainer.record(&record, until).await).into_response())
}

/// Explain a recommendation
///
/// Why each card stands where it stands: its sources, its way from probabilities to the score, the features that moved it
/// most, the rules that put it there, and the evidence of its reason. The page is ranked again with the release that ranked
/// it; `ranked_again.same` says whether the same came out, bit for bit.
#[utoipa::path(
    get, path = "/v1/recommendations/{id}/explain", tag = "understand", operation_id = "explain_recommendation",
    params(("id" = uuid::Uuid, Path, description = "The `recommendation_id` of the answer")),
    responses(
        (status = 200, description = "The explanation", body = PageExplanation),
        (status = 400, description = "The id is none; `errors` says so", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no record of such an answer", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "This edge keeps no records", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["explain"])),
)]
pub(crate) async fn explain(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|_| bad_path())?;
    let (record, until) = asked(&edge, &caller, &id).await?;
    Ok(Json(edge.explainer.page(&record, until).await?).into_response())
}

/// Explain an item of a recommendation, or why it is not there
///
/// Of any item of the catalogue: shown, ranked and not chosen (by what it lost), dropped (by which filter, why), or never a
/// candidate (which sources were asked, where it would have stood).
#[utoipa::path(
    get, path = "/v1/recommendations/{id}/explain/{item}", tag = "understand", operation_id = "explain_item",
    params(
        ("id" = uuid::Uuid, Path, description = "The `recommendation_id` of the answer"),
        ("item" = schemas::Id, Path, description = "The item, by the tenant's own id", example = "track-1"),
    ),
    responses(
        (status = 200, description = "The explanation", body = ItemExplanation),
        (status = 400, description = "An id is none; `errors` says which", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no record of such an answer, or no such item", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "This edge keeps no records", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["explain"])),
)]
pub(crate) async fn explain_item(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((id, item)) = path.map_err(|_| bad_path())?;
    let item: ItemId = path_name("{item}", &item)?;
    let (record, until) = asked(&edge, &caller, &id).await?;
    Ok(Json(edge.explainer.item(&record, &item, until).await?).into_response())
}

/// Make a recommendation again
///
/// With everything as it was, the very same page comes out (`same`). With another release or another surface, the answer
/// tells what moved, came and went, and which feature moved a score most. Nothing is served and nothing is recorded.
#[utoipa::path(
    post, path = super::access::REPLAY, tag = "understand", operation_id = "replay_recommendation",
    params(("id" = uuid::Uuid, Path, description = "The `recommendation_id` of the answer")),
    request_body(content = ReplayRequest, description = "What is to be otherwise; nothing when left out"),
    responses(
        (status = 200, description = "Both pages side by side", body = ReplayAnswer),
        (status = 400, description = "The request is wrong; `errors` names the fields", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no record of such an answer, or no such release", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "This edge keeps no records, or nobody ranked the answer", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["explain"])),
)]
pub(crate) async fn replay(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    Body(request): Body<ReplayRequest>,
) -> Result<Response, Problem> {
    let Path(action) = path.map_err(|_| bad_path())?;
    let id = action.strip_suffix(":replay").ok_or_else(|| {
        Problem::not_found("route_not_found", "recommendations answer GET, and POST with `:replay`; see /docs")
    })?;
    let (record, until) = asked(&edge, &caller, id).await?;
    let release = match request.release.as_deref() {
        None => None,
        Some("live") => Some(Pinned::Live),
        Some(id) => Some(Pinned::Release(ReleaseId::new(id).map_err(|error| {
            Problem::fields(vec![FieldError::new("/release", format!("{id:?}"), error.to_string())])
        })?)),
    };
    let surface = request.surface.map(|surface| compiled(&edge, &record, &surface)).transpose()?;
    let against = Against { surface, release, gather: request.gather };
    Ok(Json(edge.explainer.replay(&record, against, until).await?).into_response())
}

/// The plans of the surface that a page is to be made for again, and its version.
fn compiled(
    edge: &Edge,
    record: &RecommendationRecord,
    surface: &serde_json::Value,
) -> Result<(Blueprint, String), Problem> {
    let (surface, version) = match surface {
        serde_json::Value::String(word) if word == "current" => {
            let served = &edge.surface(record.surface.as_str())?.served;
            (served.surface.clone(), served.version.clone())
        }
        serde_json::Value::Object(_) => {
            let text = serde_json::to_string(surface).map_err(|error| Problem::internal(error.to_string()))?;
            let surface = parse("/surface", &text).map_err(|problems| {
                let field = |problem: crate::surfaces::Problem| {
                    let key = problem.key.replace('.', "/");
                    FieldError::new(format!("/surface/{key}"), problem.given, problem.expected)
                };
                Problem::fields(problems.into_iter().map(field).collect())
            })?;
            let version = version_of(&surface);
            (surface, version)
        }
        other => {
            let expected = "\"current\", or a surface's definition as an object";
            return Err(Problem::fields(vec![FieldError::new("/surface", other.to_string(), expected)]));
        }
    };
    let budget = edge.conductor.shares.source_budget(surface.budget);
    Ok((Blueprint::compile(&surface, ask_of(record).shape, budget), version))
}

/// The record of the answer that a question names, and until when the question may take.
async fn asked(edge: &Edge, caller: &Caller, id: &str) -> Result<(RecommendationRecord, Deadline), Problem> {
    let until = edge.deadline();
    Ok((edge.finder.record(&caller.tenant, answer_id(id)?, until).await?, until))
}

fn answer_id(text: &str) -> Result<RecommendationId, Problem> {
    text.parse::<uuid::Uuid>().map(RecommendationId).map_err(|_| {
        let error = FieldError::new("{id}", format!("{text:?}"), "the `recommendation_id` of an answer, a UUID");
        Problem::new(ErrorCode::InvalidArgument, "invalid_field", "1 field is wrong").with_errors(vec![error])
    })
}
