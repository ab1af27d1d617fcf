//! What operators read: the surfaces as they are served.
//!
//! Reading only: surfaces change by deployment. Must not know plans.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use shared_models::surface::Surface;
use utoipa::ToSchema;

use super::{Edge, Json, bad_path};
use crate::problem::{Problem, ProblemBody};

/// All surfaces.
#[derive(Serialize, ToSchema)]
pub(crate) struct SurfaceList {
    /// The surfaces, by name.
    surfaces: Vec<SurfaceSummary>,
}

/// A surface in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct SurfaceSummary {
    /// Its name.
    #[schema(example = "home")]
    surface: String,
    /// The version that is served.
    version: String,
    /// The team that answers for it.
    owner: String,
    /// How long an answer may take, in milliseconds.
    budget_ms: u64,
    /// Its shelves, in file order.
    shelves: Vec<String>,
}

/// A surface in full.
#[derive(Serialize, ToSchema)]
pub(crate) struct SurfaceAnswer<'a> {
    /// The version that is served; also the `ETag`.
    version: &'a str,
    /// The surface, defaults filled in: see `/v1/schemas/surface.json`.
    #[schema(value_type = Object)]
    definition: &'a Surface,
}

/// List surfaces
#[utoipa::path(
    get, path = "/v1/admin/surfaces", tag = "surfaces", operation_id = "list_surfaces",
    responses((status = 200, description = "The surfaces", body = SurfaceList)),
    security(("api_key" = ["admin"])),
)]
pub(crate) async fn list(State(edge): State<Arc<Edge>>) -> Response {
    let summary = |served: &Arc<crate::surfaces::Served>| SurfaceSummary {
        surface: served.surface.surface.to_string(),
        version: served.version.clone(),
        owner: served.surface.owner.clone(),
        budget_ms: u64::try_from(served.surface.budget.as_millis()).unwrap_or(u64::MAX),
        shelves: served.surface.shelves.iter().map(|shelf| shelf.id.to_string()).collect(),
    };
    Json(SurfaceList { surfaces: edge.surfaces.all().map(summary).collect() }).into_response()
}

/// Read a surface
///
/// As it is served, with every default filled in. Send its `ETag` in `If-None-Match` to learn whether it has changed.
#[utoipa::path(
    get, path = "/v1/admin/surfaces/{surface}", tag = "surfaces", operation_id = "get_surface",
    params(
        ("surface" = String, Path, description = "The surface, such as `home`", min_length = 1, max_length = 128, example = "home"),
        ("if-none-match" = Option<String>, Header, description = "The `ETag` of the version you have"),
    ),
    responses(
        (status = 200, description = "The surface", body = SurfaceAnswer<'static>, headers(("etag" = String, description = "The version, in quotes"))),
        (status = 304, description = "You have this version"),
        (status = 404, description = "There is no such surface", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(("api_key" = ["admin"])),
)]
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(|_| bad_path())?;
    let served = &edge.surface(&name)?.served;
    let etag = HeaderValue::from_str(&format!("\"{}\"", served.version))
        .map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = if headers.get(header::IF_NONE_MATCH) == Some(&etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(SurfaceAnswer { version: &served.version, definition: &served.surface }).into_response()
    };
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}
