//! Whether the process lives, and whether it should get traffic. Which part is not ready is told on the
//! operators' listener, not to strangers.
//!
//! Must not know components.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared_models::ErrorCode;
use utoipa::ToSchema;

use super::{Edge, Json};
use crate::problem::{Problem, ProblemBody};

/// A good state.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthState {
    /// `alive` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Is the process alive?
#[utoipa::path(
    get, path = "/livez", tag = "operate", operation_id = "livez",
    responses((status = 200, description = "It is", body = HealthState)),
    security(()),
)]
pub(crate) async fn livez() -> Response {
    Json(HealthState { status: "alive" }).into_response()
}

/// Should it get traffic?
#[utoipa::path(
    get, path = "/readyz", tag = "operate", operation_id = "readyz",
    responses(
        (status = 200, description = "It should", body = HealthState),
        (status = 503, description = "Not now", body = ProblemBody<'static>, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(crate) async fn readyz(State(edge): State<Arc<Edge>>) -> Result<Response, Problem> {
    if edge.health.is_ready() {
        Ok(Json(HealthState { status: "ready" }).into_response())
    } else {
        Err(Problem::new(ErrorCode::Unavailable, "not_ready", "the process is starting or stopping"))
    }
}
