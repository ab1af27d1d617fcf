//! The peer's HTTP interface: `POST /recommendations`, `GET /healthz`.

use std::{cell::RefCell, sync::Arc};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use service_runtime::{layers::HttpServerTrace, metrics::Metrics};
use tokio::net::TcpListener;

use super::rules::{Asked, Rules, SOURCES, Scratch};

#[derive(Debug, Deserialize)]
struct Question {
    user_id: usize,
    #[serde(default = "fifty")]
    k: usize,
    #[serde(default = "noon")]
    hour: u8,
    #[serde(default)]
    device: u8,
}

fn fifty() -> usize {
    50
}

fn noon() -> u8 {
    12
}

#[derive(Debug, Serialize)]
struct Answer {
    user_id: usize,
    model: &'static str,
    candidates: usize,
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    item_id: u32,
    artist_id: i32,
    score: f64,
    source: &'static str,
    rank: usize,
}

/// Serves until it is killed.
///
/// # Errors
/// When the port is taken.
pub async fn run(rules: Rules, port: u16) -> Result<()> {
    let metrics = Metrics::new();
    let routes = Router::new()
        .route("/recommendations", post(recommend))
        .route("/healthz", get(async || "ok"))
        .with_state(Arc::new(rules))
        .layer(HttpServerTrace::new("peer").with_metrics(&metrics));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("serving http://{}", listener.local_addr()?);
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))), routes).await?;
    Ok(())
}

/// A request is a millisecond's work from end to end: it runs where it arrives.
async fn recommend(State(rules): State<Arc<Rules>>, Json(question): Json<Question>) -> Response {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    let Question { user_id: listener, k, hour, device } = question;
    if !(1..=200).contains(&k) {
        return (StatusCode::BAD_REQUEST, "k is 1 to 200").into_response();
    }
    if listener >= rules.listeners() {
        return (StatusCode::NOT_FOUND, "no such user").into_response();
    }
    let asked = Asked { listener, hour: f32::from(hour), device: f32::from(device), nearest: None };
    SCRATCH.with_borrow_mut(|scratch| {
        let shown = rules.answer(asked, k, scratch);
        let items = shown.iter().enumerate().map(|(place, row)| {
            let row = *row as usize;
            Item {
                item_id: scratch.items[row],
                artist_id: rules.artist(scratch.items[row]),
                score: scratch.scores[row],
                source: SOURCES[usize::from(scratch.sources[row])],
                rank: place + 1,
            }
        });
        let candidates = scratch.items.len();
        Json(Answer { user_id: listener, model: "lgbm-300x63", candidates, items: items.collect() }).into_response()
    })
}
