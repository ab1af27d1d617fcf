//! The routes, in the order of the documentation, and the state they share.
//!
//! Handlers convert, run and convert; rules live elsewhere. No handler checks a key: see `auth`.

pub mod access;
pub(crate) mod admin;
pub(crate) mod ask;
pub(crate) mod body;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod items;
mod measured;
pub(crate) mod openapi;
pub(crate) mod recommendations;
pub(crate) mod schemas;
pub(crate) mod surfaces;
pub(crate) mod users;

use std::{collections::BTreeMap, str::FromStr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use contracts::{Catalogue, Deadline, Profiles};
use http::{HeaderValue, header};
use serde::Serialize;
use service_runtime::Health;
use shared_models::{Clock, ErrorCode, ItemKey, SurfaceId, TenantId};

use crate::{
    conduct::Conductor,
    cursors::Cursors,
    event_sink::EventSink,
    explain::Explainer,
    limits::Admission,
    metrics::Metrics,
    page::DisplayCache,
    plan::Blueprint,
    problem::Problem,
    records::{Finder, Recorder},
    surfaces::{Served, Surfaces},
};

/// What handlers share.
pub(crate) struct Edge {
    pub(crate) surfaces: Surfaces,
    pub(crate) ready: BTreeMap<SurfaceId, Ready>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) conductor: Conductor,
    pub(crate) recorder: Recorder,
    pub(crate) finder: Finder,
    pub(crate) explainer: Explainer,
    pub(crate) cursors: Cursors,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) profiles: Arc<dyn Profiles>,
    pub(crate) display: Arc<DisplayCache>,
    pub(crate) events: EventSink,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    /// How long catalogue and user calls may take.
    pub(crate) call_budget: Duration,
    pub(crate) documents: docs::Documents,
}

/// A surface with its compiled plans.
pub(crate) struct Ready {
    pub(crate) served: Arc<Served>,
    pub(crate) page: Blueprint,
    pub(crate) flat: Blueprint,
    /// The first of its two kinds of answers: the page; the slate is the next.
    pub(crate) kind: usize,
}

impl Edge {
    /// A surface by name.
    pub(crate) fn surface(&self, name: &str) -> Result<&Ready, Problem> {
        let found = SurfaceId::new(name).ok().and_then(|id| self.ready.get(&id));
        found.ok_or_else(|| {
            let detail = match self.surfaces.nearest(name) {
                Some(near) => format!("there is no such surface; did you mean `{near}`?"),
                None => "there is no such surface".to_owned(),
            };
            Problem::not_found("surface_not_found", detail)
        })
    }

    /// Forgets all this edge remembers of items that were written or deleted.
    pub(crate) fn forget_items(&self, tenant: &TenantId, keys: &[ItemKey]) {
        for key in keys {
            self.display.forget(tenant, *key);
        }
        self.conductor.fallbacks.items_changed(tenant, keys);
    }

    /// The deadline of a catalogue or user call.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::within(self.call_budget)
    }
}

/// An answer in JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => json_bytes(bytes),
            Err(error) => Problem::internal(format!("answer is not serialised: {error}")).into_response(),
        }
    }
}

/// An answer that is JSON already.
pub(crate) fn json_bytes(bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Reads a path parameter as a name.
pub(crate) fn path_name<T: FromStr<Err = shared_models::ids::Error>>(
    field: &'static str,
    text: &str,
) -> Result<T, Problem> {
    let mut wrong = ask::Findings::default();
    match wrong.name(field, text) {
        Some(name) => Ok(name),
        None => Err(Problem::fields(wrong.0)),
    }
}

/// A path parameter that is no text in UTF-8.
pub(crate) fn bad_path() -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "bad_path", "the path holds an escape that is no UTF-8 text")
}
