//! A small client of the edge's HTTP API, for the tour and `setlist page`. It reads the same JSON as
//! any other client.

use std::{
    collections::BTreeMap,
    fmt,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_models::{
    item::Item,
    numbers::{Numbers, shortest},
};

use crate::{cli, devkey, draw};

/// The most numbers of items in one body, each of some twenty bytes: what an edge takes by default is 2 MiB.
const MOST_NUMBERS: usize = 65_536;

/// A page as a client sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Page {
    /// The decision's id.
    pub recommendation_id: String,
    /// The surface.
    pub surface: String,
    /// The release that served, when one was live.
    pub release: Option<String>,
    /// The shelves, in order.
    pub shelves: Vec<Shelf>,
    /// What was missing, slow or skipped.
    pub degraded: Degraded,
    /// The trace of the request.
    pub trace_id: Option<String>,
}

/// A shelf.
#[derive(Clone, Debug, Deserialize)]
pub struct Shelf {
    /// Its name.
    pub id: String,
    /// What a listener reads above it.
    pub title: String,
    /// Its cards.
    pub cards: Vec<Card>,
}

/// A card.
#[derive(Clone, Debug, Deserialize)]
pub struct Card {
    /// The item.
    pub item_id: String,
    /// Its title.
    pub title: String,
    /// The artist's name, when there is one.
    pub artist_name: Option<String>,
    /// The blended score.
    pub score: f64,
    /// The probability with which the policy put it there.
    pub propensity: f64,
    /// The sources that gave it.
    pub sources: Vec<String>,
    /// Why it is there.
    pub reason: Reason,
}

/// A reason.
#[derive(Clone, Debug, Deserialize)]
pub struct Reason {
    /// The code.
    pub code: String,
    /// The sentence a listener reads.
    pub text: String,
    /// The items that support it.
    pub evidence: Vec<Evidence>,
}

/// An item that supports a reason.
#[derive(Clone, Debug, Deserialize)]
pub struct Evidence {
    /// The item.
    pub item_id: String,
    /// Its title.
    pub title: String,
}

/// What was missing, slow or skipped.
#[derive(Clone, Debug, Deserialize)]
pub struct Degraded {
    /// How far down the ladder the answer stands.
    pub level: String,
    /// The stages.
    pub stages: Vec<Value>,
}

impl Page {
    /// How many cards there are.
    #[must_use]
    pub fn cards(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.cards.len()).sum()
    }

    /// The first card that the page does not already know as played, with its shelf: one that a play changes
    /// something for.
    #[must_use]
    pub fn fresh_card(&self) -> Option<(&Shelf, &Card)> {
        let mut cards = self.shelves.iter().flat_map(|shelf| shelf.cards.iter().map(move |card| (shelf, card)));
        cards.find(|(_, card)| !self.knows(&card.item_id))
    }

    /// Whether the page shows that its listener played an item: it stands among the recently played, or it is the
    /// reason for another card.
    #[must_use]
    pub fn knows(&self, item: &str) -> bool {
        self.shelves.iter().flat_map(|shelf| &shelf.cards).any(|card| {
            (card.item_id == item && card.sources.iter().any(|source| source == "recently-played"))
                || card.reason.evidence.iter().any(|evidence| evidence.item_id == item)
        })
    }
}

/// An item as the edge's API takes it.
/// Cuts items into bodies that an edge takes: numbers take most of one that has any, some twenty bytes each.
fn parts(items: &[Item]) -> impl Iterator<Item = &[Item]> {
    let weight = |item: &Item| {
        let numbers = item.numbers.as_ref().map_or(0, |it| it.embedding().len() + 4 * it.features().len());
        40 + numbers
    };
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = |item: &&Item| {
            sum += weight(item);
            sum <= MOST_NUMBERS
        };
        let (part, after) = rest.split_at(rest.iter().take_while(fits).count().max(1).min(rest.len()));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

fn body_of(item: &Item) -> Value {
    let numbers = item.numbers.as_deref();
    let features = numbers.map_or(&[][..], Numbers::features).iter();
    let features: BTreeMap<&str, f64> = features.map(|(name, value)| (name.as_str(), shortest(*value))).collect();
    let embedding: Vec<f64> =
        numbers.map_or(&[][..], Numbers::embedding).iter().map(|value| shortest(*value)).collect();
    json!({
        "item_id": item.id.as_str(),
        "type": item.kind,
        "title": item.title,
        "artist_id": item.artist_id,
        "artist_name": item.artist_name,
        "genres": item.genres,
        "released_at": item.released_at.map(|at| at.to_string()),
        "duration_ms": item.duration_ms,
        "explicit": item.explicit,
        "markets": item.markets.iter().map(|market| market.as_str()).collect::<Vec<_>>(),
        "features": features,
        "embedding": embedding,
    })
}

/// A text as a part of a path or a query: what is no letter, digit, `-`, `.`, `_` or `~` becomes `%` and its bytes in
/// hexadecimal (RFC 3986).
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

/// Something that a listener did, for [`Client::events`]. What is `None` is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Told<'a> {
    /// Sent twice, it counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The listener.
    pub user_id: &'a str,
    /// What they did, such as `play`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// To what.
    pub item_id: &'a str,
    /// When; now, where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
    /// For how long it had played, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms_played: Option<u32>,
    /// The answer that showed the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommendation_id: Option<&'a str>,
    /// The shelf the card stood on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shelf: Option<&'a str>,
    /// The card's place there, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u16>,
}

/// Runs a command that calls a platform, and prints what came of it.
pub fn command<T: fmt::Display>(work: impl Future<Output = anyhow::Result<T>>) -> ExitCode {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match executor.map_err(anyhow::Error::from).and_then(|executor| executor.block_on(work)) {
        Ok(done) => {
            draw::print(&done);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A client with a key.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    /// A client of the edge at `base` (`http://127.0.0.1:8080`).
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(base: &str, key: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), key: key.to_owned() })
    }

    /// The key it calls with.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A client as the command line says.
    ///
    /// # Errors
    /// When no key is given and the data folder has none.
    pub fn of(access: &cli::Access) -> anyhow::Result<Self> {
        match &access.key {
            Some(key) => Self::new(&access.url, key),
            None => Self::new(&access.url, devkey::read(&access.data)?.trim()),
        }
    }

    /// A page, and how long it took from here.
    ///
    /// # Errors
    /// When the edge does not answer, or refuses; the refusal's own words are in the error.
    pub async fn page(&self, surface: &str, user: &str, market: Option<&str>) -> anyhow::Result<(Page, Duration)> {
        let mut body = json!({ "user_id": user });
        if let (Some(market), Some(body)) = (market, body.as_object_mut()) {
            body.insert("market".to_owned(), json!(market));
        }
        let started = Instant::now();
        let answer = self.post(&format!("/v1/surfaces/{surface}:page"), &body).await?;
        let elapsed = started.elapsed();
        Ok((serde_json::from_value(answer).context("the page has another form than this client knows")?, elapsed))
    }

    /// Sends events.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn events(&self, events: &[Told<'_>]) -> anyhow::Result<Value> {
        self.post("/v1/events", &json!({ "events": events })).await
    }

    /// Writes items into the catalogue; how many of them were refused.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn items(&self, items: &[Item]) -> anyhow::Result<u64> {
        let mut refused = 0;
        for part in parts(items) {
            let bodies: Vec<Value> = part.iter().map(body_of).collect();
            let answer = self.post("/v1/items:batch", &json!({ "items": bodies })).await?;
            refused += answer
                .get("refused")
                .and_then(Value::as_u64)
                .context("the answer does not say how many items were refused")?;
        }
        Ok(refused)
    }

    /// A page that is recorded whole, so that it can be explained in full and replayed bit for bit.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn page_recorded_whole(&self, surface: &str, user: &str) -> anyhow::Result<Page> {
        let body = json!({ "user_id": user, "record_whole": true });
        let answer = self.post(&format!("/v1/surfaces/{surface}:page"), &body).await?;
        serde_json::from_value(answer).context("the page has another form than this client knows")
    }

    /// An answer made again.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn replay(&self, id: &str, body: &Value) -> anyhow::Result<Value> {
        self.post(&format!("/v1/recommendations/{id}:replay"), body).await
    }

    /// Reads a path, with what follows its `?`.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        self.answer(&url, self.http.get(&url)).await
    }

    /// Posts a body to a path of the API.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        self.answer(&url, self.http.post(&url).json(body)).await
    }

    async fn answer(&self, url: &str, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response = request.bearer_auth(&self.key).send().await.with_context(|| {
            format!("{url} does not answer; is the platform running? (setlist demo, or setlist serve)")
        })?;
        let status = response.status();
        let text = response.text().await.context("the answer broke off")?;
        if !status.is_success() {
            let problem: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            let word = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let errors = problem.get("errors").map(Value::to_string).unwrap_or_default();
            bail!("{url} answered {status}: {} {} {errors}", word("title"), word("detail"));
        }
        serde_json::from_str(&text).context("the answer is not JSON")
    }
}
