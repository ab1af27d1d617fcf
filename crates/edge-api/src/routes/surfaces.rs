//! Pages and slates: `:page`, `:recommend` and what is similar to an item.
//!
//! Must not know how a page is made, only who asks and how the answer is written.

use std::{borrow::Cow, sync::Arc, time::Instant};

use axum::{
    Extension,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, State},
    response::{IntoResponse, Response},
};
use contracts::{RecommendationRecord, records::ShelfSummary};
use serde::Deserialize;
use shared_models::{
    ItemId, ItemKey, RecommendationId, Seed, TenantId,
    degraded::{DegradedCause, DegradedLevel},
    plan::RankQuery,
};
use utoipa::IntoParams;

use super::{
    Edge, Ready,
    access::{PAGE, RouteTemplate},
    ask::PageRequest,
    bad_path,
    body::{RawBody, read},
    json_bytes, path_name, schemas,
};
use crate::{
    auth::Caller,
    conduct::{Conducted, MadeOf},
    cursors,
    limits::{Class, Waited, Worked},
    page::{Answer, Degraded, FlatAnswer, PageAnswer},
    plan::{Ask, Releases, Shape},
    problem::{Problem, ProblemBody},
    request_id::RequestId,
    surfaces::Served,
};

/// The surface that answers what is similar to an item.
const SIMILAR: &str = "item-similar";

/// A page of a surface
///
/// Answers every valid request: where parts are missing, `degraded` says which, and how far down the
/// ladder the answer stands. An unknown listener gets a page without personal shelves.
#[utoipa::path(
    post, path = PAGE, tag = "serve", operation_id = "page",
    params(("surface" = String, Path, description = "The surface, such as `home`", min_length = 1, max_length = 128, example = "home")),
    request_body(content = PageRequest, description = "Who asks, when and where"),
    responses(
        (status = 200, description = "The page", body = PageAnswer<'static>),
        (status = 400, description = "The request is wrong; `errors` names the fields", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no such surface", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "The surface is about items, and `seed_items` names none", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["serve"])),
)]
#[expect(dead_code, reason = "carries the documentation of `dispatch` for this verb")]
pub(crate) fn page() {}

/// One flat slate of a surface
///
/// The surface's first shelf, over the sources of all its shelves: one list of cards.
#[utoipa::path(
    post, path = super::access::RECOMMEND, tag = "serve", operation_id = "recommend",
    params(("surface" = String, Path, description = "The surface, such as `home`", min_length = 1, max_length = 128, example = "home")),
    request_body(content = PageRequest, description = "Who asks, when and where"),
    responses(
        (status = 200, description = "The cards", body = FlatAnswer<'static>),
        (status = 400, description = "The request is wrong; `errors` names the fields", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no such surface", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 409, description = "The surface is about items, and `seed_items` names none", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["serve"])),
)]
#[expect(dead_code, reason = "carries the documentation of `dispatch` for this verb")]
pub(crate) fn recommend() {}

/// Both verbs: the router matches whole segments only, so the verb is read here.
pub(crate) async fn dispatch(State(edge): State<Arc<Edge>>, request: Request) -> Result<Response, Problem> {
    let began = Instant::now();
    let (mut parts, body) = request.into_parts();
    // Without a template the verb is none of ours, and nobody asked for a key.
    let shape = match parts.extensions.get::<RouteTemplate>() {
        Some(RouteTemplate(PAGE)) => Shape::Page,
        Some(_) => Shape::Flat,
        None => return Err(unknown_verb()),
    };
    let class = parts.extensions.get::<Class>().copied().unwrap_or(Class::Recommend);
    let waited = parts.extensions.get::<Waited>().copied().unwrap_or_default();
    let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(|| Problem::internal("caller is not known"))?;
    let id = parts.extensions.get::<RequestId>().cloned().unwrap_or_default();
    let Path(action) = Path::<String>::from_request_parts(&mut parts, &edge).await.map_err(|_| bad_path())?;
    let (name, _) = action.rsplit_once(':').ok_or_else(unknown_verb)?;
    let ready = edge.surface(name)?;
    let RawBody(bytes) = RawBody::from_request(Request::from_parts(parts, body), &edge).await?;
    let mut request: PageRequest = read(&bytes)?;
    let recommendation_id = RecommendationId::new();
    let cursor = request.cursor.take();
    let ask = request.check(shape, ready.served.surface.about_items, edge.clock.now(), seed_of(recommendation_id))?;
    let mut ask = edge.going_on(cursor.as_deref(), &caller, ready, ask)?;
    ask.budget = Some(edge.admission.in_time(class, waited, ask.budget.unwrap_or(ready.served.surface.budget))?);
    Ok(answer(&edge, &caller, ready, ask, recommendation_id, &id, began).await)
}

fn unknown_verb() -> Problem {
    Problem::not_found("route_not_found", "surfaces answer `:page` and `:recommend`; see /docs")
}

/// What an item's listeners play as well.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct SimilarQuery {
    /// The listener, by the tenant's own id, which does not begin with `anonymous:`. What they hid is left out.
    #[param(value_type = Option<schemas::UserId>)]
    user_id: Option<String>,
    /// Where the listener is: an ISO 3166-1 alpha-2 code.
    #[param(value_type = Option<schemas::Country>)]
    market: Option<String>,
    /// The most cards.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How long the answer may take, in milliseconds.
    #[param(minimum = 5, maximum = 10000)]
    budget_ms: Option<i64>,
    /// Where the answer begins: the `next_cursor` of the answer before, as it came.
    #[param(max_length = 8192)]
    cursor: Option<String>,
}

/// What goes with an item
///
/// One list of cards from the surface `item-similar`, most similar first.
#[utoipa::path(
    get, path = "/v1/items/{id}/similar", tag = "serve", operation_id = "similar",
    params(("id" = schemas::Id, Path, description = "The item, by the tenant's own id", example = "track-1"), SimilarQuery),
    responses(
        (status = 200, description = "The cards", body = FlatAnswer<'static>),
        (status = 400, description = "A parameter is wrong; `errors` names it", body = ProblemBody<'static>, content_type = "application/problem+json"),
        (status = 404, description = "There is no such item", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["serve"])),
)]
pub(crate) async fn similar(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    Extension(id): Extension<RequestId>,
    Extension(class): Extension<Class>,
    Extension(waited): Extension<Waited>,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    query: Result<Query<SimilarQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let began = Instant::now();
    let Path(item) = path.map_err(|_| bad_path())?;
    let item: ItemId = path_name("{id}", &item)?;
    let Query(query) = query.map_err(|error| super::openapi::query_problem(&error))?;
    let ready = edge.surface(SIMILAR)?;
    let request = PageRequest {
        user_id: query.user_id,
        market: query.market,
        limit: query.limit,
        budget_ms: query.budget_ms,
        seed_items: vec![item.to_string()],
        ..PageRequest::default()
    };
    let recommendation_id = RecommendationId::new();
    let ask = request.check(Shape::Flat, true, edge.clock.now(), seed_of(recommendation_id)).map_err(as_parameters)?;
    let mut ask = edge.going_on(query.cursor.as_deref(), &caller, ready, ask).map_err(as_parameters)?;
    ask.budget = Some(edge.admission.in_time(class, waited, ask.budget.unwrap_or(ready.served.surface.budget))?);
    // An item that nobody knows is a mistake, not an empty answer; where the catalogue cannot tell, go on.
    let (known, failure) = edge.display.read(&caller.tenant, &[ItemKey::of(&item)], edge.deadline()).await;
    if known.is_empty() && failure.is_none() {
        return Err(Problem::not_found("item_not_found", "there is no such item"));
    }
    Ok(answer(&edge, &caller, ready, ask, recommendation_id, &id, began).await)
}

/// The same fields, named as query parameters.
#[expect(clippy::needless_pass_by_value, reason = "one problem becomes another")]
fn as_parameters(problem: Problem) -> Problem {
    let named = problem.errors().iter().map(|error| {
        let mut error = error.clone();
        error.field = Cow::Owned(error.field.replacen('/', "?", 1));
        error
    });
    let errors = named.collect();
    Problem::fields(errors)
}

/// The seed of a request follows from its id, so that the record alone can replay it.
fn seed_of(id: RecommendationId) -> Seed {
    let bits = id.0.as_u128();
    Seed((bits ^ (bits >> 64)) as u64)
}

async fn answer(
    edge: &Edge,
    caller: &Caller,
    ready: &Ready,
    mut ask: Ask,
    recommendation_id: RecommendationId,
    id: &RequestId,
    began: Instant,
) -> Response {
    let blueprint = match ask.shape {
        Shape::Page => &ready.page,
        Shape::Flat => &ready.flat,
    };
    let served = &ready.served;
    ask.whole |= edge.recorder.is_whole(ask.context.seed);
    let done = edge.conductor.conduct(&caller.tenant, &served.surface, blueprint, &ask).await;
    edge.metrics.answer(done.level, &done.stages);
    let next_cursor = edge.next_cursor(&caller.tenant, served, &ask, &done);
    let body = Answer {
        recommendation_id,
        surface: &served.surface.surface,
        surface_version: &served.version,
        release: done.release.as_ref(),
        degraded: Degraded { level: done.level, stages: &done.stages },
        trace_id: id.as_str(),
        shelves: &done.shelves,
        next_cursor: next_cursor.as_deref(),
    };
    // About 300 bytes a card: one allocation for most answers.
    let cards: usize = done.shelves.iter().map(|shelf| shelf.cards.len()).sum();
    let mut bytes = Vec::with_capacity(1_024 + 384 * cards);
    let written = match ask.shape {
        Shape::Page => serde_json::to_writer(&mut bytes, &body.into_page()),
        Shape::Flat => serde_json::to_writer(&mut bytes, &body.into_flat()),
    };
    if let Err(error) = written {
        return Problem::internal(format!("answer is not serialised: {error}")).into_response();
    }
    let worked = worked(ready.kind + usize::from(ask.shape == Shape::Flat), &done);
    let record = record(caller, ready, blueprint, ask, done, recommendation_id, id, began);
    edge.recorder.record(record, blueprint.encoded_candidates());
    let mut answer = json_bytes(bytes);
    if let Some(worked) = worked {
        answer.extensions_mut().insert(worked);
    }
    answer
}

/// What an answer says of the work behind it. A lower rung is quickly made and tells nothing, unless it was waited for.
fn worked(kind: usize, done: &Conducted) -> Option<Worked> {
    if done.level < DegradedLevel::SourceOrder {
        return Some(Worked::Whole { kind });
    }
    done.stages.iter().any(|stage| stage.cause == DegradedCause::Timeout).then_some(Worked::TimedOut)
}

#[expect(clippy::too_many_arguments, reason = "gathers the whole decision in one place, once")]
fn record(
    caller: &Caller,
    ready: &Ready,
    blueprint: &crate::plan::Blueprint,
    ask: Ask,
    done: Conducted,
    recommendation_id: RecommendationId,
    id: &RequestId,
    began: Instant,
) -> RecommendationRecord {
    let mut record = RecommendationRecord {
        id: recommendation_id,
        tenant: caller.tenant.clone(),
        user: ask.user,
        surface: ready.served.surface.surface.clone(),
        surface_version: ready.served.version.clone(),
        variants: Vec::new(),
        context: ask.context,
        seed_items: ask.seed_items,
        exclude: ask.exclude,
        candidate_plan: Arc::clone(blueprint.candidates()),
        rank_shelves: Vec::new(),
        order: blueprint.order(),
        listener: Arc::default(),
        table: Arc::default(),
        table_complete: false,
        shelves: Vec::new(),
        sources: Vec::new(),
        slates: Vec::new(),
        candidates_release: None,
        ranking_release: None,
        level: done.level,
        degraded: done.stages,
        elapsed: began.elapsed(),
        trace_id: Some(id.as_str().to_owned()),
        detail: None,
        flat: ask.shape == Shape::Flat,
        limit: ask.limit,
        explore: ask.explore,
    };
    if let Some(made) = done.made_of {
        let RankQuery { shelves, listener, table, order, .. } = made.query;
        record.rank_shelves = shelves;
        record.order = order;
        record.listener = listener;
        record.table = table;
        record.table_complete = ask.whole;
        record.shelves = made
            .set
            .shelves
            .into_iter()
            .map(|shelf| ShelfSummary {
                shelf: shelf.shelf,
                kept: u32::try_from(shelf.rows.len()).unwrap_or(u32::MAX),
                dropped: shelf.dropped,
                dropped_items: shelf.dropped_items,
            })
            .collect();
        record.sources = made.set.sources;
        record.slates = made.slates;
        record.candidates_release = made.set.release;
        record.ranking_release = made.ranking_release;
        record.detail = made.detail;
    }
    record
}

impl Edge {
    /// The request as it goes on from the answer before, where a cursor says so.
    fn going_on(&self, cursor: Option<&str>, caller: &Caller, ready: &Ready, ask: Ask) -> Result<Ask, Problem> {
        let Some(text) = cursor.filter(|text| !text.is_empty()) else { return Ok(ask) };
        match self.cursors.open(text, &caller.tenant, &ready.served, &ask, self.clock.now()) {
            Ok(continuation) => Ok(ask.after(continuation)),
            Err(refused) => Err(Problem::fields(vec![refused.problem()])),
        }
    }

    /// Where what follows an answer begins; `None` at the end. A page that could not be made is asked for again from
    /// where it was.
    fn next_cursor(&self, tenant: &TenantId, served: &Served, ask: &Ask, done: &Conducted) -> Option<String> {
        let next = match &done.made_of {
            Some(MadeOf { set, query, slates, ranking_release, .. }) => {
                let key = |row: &u32| query.table.items.get(*row as usize).copied();
                let chosen = slates.iter().flat_map(|slate| &slate.cards).filter_map(|card| key(&card.row));
                let candidates = query.shelves.iter().flat_map(|shelf| &shelf.rows).filter_map(key);
                let releases = Releases { candidates: set.release.clone(), ranking: ranking_release.clone() };
                cursors::next(ask, chosen, candidates, releases)?
            }
            None if done.is_exhausted() => return None,
            None => ask.continuation.clone()?,
        };
        Some(self.cursors.seal(tenant, served, ask, &next, self.clock.now()))
    }
}
