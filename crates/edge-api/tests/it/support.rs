//! A running edge, and fakes of the services that can fail on demand.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use contracts::{Candidates, Catalogue, Deadline, Failure, Profiles, Put, Ranking};
use edge_api::{
    App, Backends, Config,
    auth::{Key, Scope},
    store::{self, Store},
};
use event_bus::{Ack, ConsumerSpec, Durability, Envelope, EventBus, Lag, StreamName, Subject, Subscription};
use service_runtime::{OnFailure, Runtime, config::Secret, trace::TraceParent};
use shared_models::{
    ErrorCode, ItemId, ItemKey, ReleaseId, SystemClock, TenantId, Timestamp, UserId,
    candidates::{CandidateSet, CandidateTable, Evidence, ShelfCandidates},
    component::{ReasonCode, SourceName},
    degraded::{DegradedCause, DegradedStage, SourceReport},
    item::{DisplayItem, Item, ItemKind, Market},
    listener::{ListenerContext, UserAttributes, UserSummary},
    plan::{CandidateQuery, RankQuery},
    slate::{ExplainQuery, Explanation, FeatureInfo, Pinned, RankedCard, RankedPage, Reason, RowExplanation, Slate},
};
use smallvec::smallvec;
use testkit::folder::Folder;

/// What both buses take at most.
const MOST_MESSAGE_BYTES: usize = 1 << 20;

/// A store of records in a folder.
pub(crate) async fn records_in(folder: &Folder) -> Arc<dyn Store> {
    let config = store::Config {
        url: format!("sqlite://{}", folder.path().join("edge.db").display()),
        password: Secret::default(),
        connections: 1,
        statement_timeout: Duration::from_secs(5),
        keep: Duration::from_secs(7 * 86_400),
    };
    store::open(&config).await.unwrap().unwrap()
}

/// What a fake does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// One source is slow; the rest is there.
    Partial,
    /// Answers with nothing.
    Empty,
    /// Answers to another question.
    Confused,
    /// ranking's scorer does not answer in time: cards stand in another order.
    Unscored,
    /// ranking has lost every release but the one that serves, which orders otherwise.
    Forgetful,
    Fails(ErrorCode),
    Hangs,
    Panics,
    /// Keeps a thread of the runtime busy for so many milliseconds.
    Works(u64),
}

/// All fakes in one: they share a world of items.
pub(crate) struct World {
    pub(crate) candidates: Mutex<Mood>,
    pub(crate) ranking: Mutex<Mood>,
    pub(crate) catalogue: Mutex<Mood>,
    pub(crate) bus: Mutex<Mood>,
    pub(crate) items: Mutex<HashMap<ItemId, Item>>,
    pub(crate) asked: Mutex<Vec<CandidateQuery>>,
    pub(crate) ranked: Mutex<Vec<RankQuery>>,
    pub(crate) explained: Mutex<Vec<ExplainQuery>>,
    pub(crate) published: Mutex<Vec<(Subject, Envelope)>>,
    /// How many messages were published together, each time that several could be.
    pub(crate) batches: Mutex<Vec<usize>>,
    /// Whose work they were.
    pub(crate) callers: Mutex<Vec<TraceParent>>,
    pub(crate) users: Mutex<HashMap<UserId, UserAttributes>>,
    /// How many catalogue reads there were.
    pub(crate) reads: Mutex<usize>,
}

pub(crate) fn track(number: usize) -> Item {
    Item {
        id: ItemId::new(format!("track-{number}")).unwrap(),
        kind: ItemKind::Track,
        title: format!("Song {number}"),
        artist_id: Some(ItemId::new(format!("artist-{}", number % 7)).unwrap()),
        artist_name: Some(format!("Artist {}", number % 7)),
        genres: vec!["tango".to_owned()],
        released_at: None,
        duration_ms: Some(180_000),
        explicit: false,
        markets: smallvec![],
        numbers: None,
    }
}

pub(crate) fn key(number: usize) -> ItemKey {
    track(number).key()
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let items = (0..60).map(track).map(|item| (item.id.clone(), item)).collect();
        Arc::new(Self {
            candidates: Mutex::new(Mood::Well),
            ranking: Mutex::new(Mood::Well),
            catalogue: Mutex::new(Mood::Well),
            bus: Mutex::new(Mood::Well),
            items: Mutex::new(items),
            asked: Mutex::default(),
            ranked: Mutex::default(),
            explained: Mutex::default(),
            published: Mutex::default(),
            batches: Mutex::default(),
            callers: Mutex::default(),
            users: Mutex::default(),
            reads: Mutex::default(),
        })
    }

    pub(crate) fn set(mood: &Mutex<Mood>, to: Mood) {
        *mood.lock().unwrap() = to;
    }

    async fn face(mood: &Mutex<Mood>) -> Result<Mood, Failure> {
        let mood = *mood.lock().unwrap();
        match mood {
            Mood::Hangs => std::future::pending().await,
            Mood::Fails(code) => Err(Failure::new(code, "told_to_fail", "secret internals")),
            Mood::Panics => panic!("told to panic"),
            Mood::Works(millis) => {
                std::thread::sleep(Duration::from_millis(millis));
                Ok(mood)
            }
            other => Ok(other),
        }
    }
}

#[async_trait]
impl Candidates for World {
    async fn generate(&self, query: CandidateQuery, _: Deadline) -> Result<CandidateSet, Failure> {
        self.asked.lock().unwrap().push(query.clone());
        let mood = Self::face(&self.candidates).await?;
        let release = Some(ReleaseId::new("r1").unwrap());
        // Every shelf keeps the same 40 items, known by its own sources.
        let rows: Vec<u32> = if mood == Mood::Empty {
            Vec::new()
        } else {
            (0..40).filter(|n| !query.exclude.contains(&key(*n as usize))).collect()
        };
        let mut table = CandidateTable {
            sources: query.plan.sources.iter().map(|source| source.name).collect(),
            ..CandidateTable::default()
        };
        for number in 0..40 {
            let item = track(number);
            table.items.push(item.key());
            table.artists.push(item.artist_key());
            for source in 0..query.plan.sources.len() {
                table.evidence.push(Evidence { source: source as u16, rank: number as u32, score: 1.0, seed: key(50) });
            }
            table.evidence_ends.push(table.evidence.len() as u32);
        }
        if mood == Mood::Confused {
            table.artists.pop();
        }
        let shelves = query
            .plan
            .shelves
            .iter()
            .map(|shelf| ShelfCandidates {
                shelf: shelf.shelf.clone(),
                rows: rows.clone(),
                dropped: vec![],
                dropped_items: vec![],
            })
            .collect();
        let slow = (mood == Mood::Partial).then_some(DegradedCause::Timeout);
        let report = |name: SourceName| SourceReport {
            name,
            returned: 40,
            degraded: slow.filter(|_| name == SourceName::Trending),
            elapsed: Duration::ZERO,
        };
        Ok(CandidateSet {
            sources: table.sources.iter().copied().map(report).collect(),
            table: Arc::new(table),
            shelves,
            listener: Arc::new(ListenerContext::default()),
            degraded: Vec::new(),
            release,
        })
    }
}

#[async_trait]
impl Ranking for World {
    async fn rank(&self, query: RankQuery, _: Deadline) -> Result<RankedPage, Failure> {
        self.ranked.lock().unwrap().push(query.clone());
        let mood = Self::face(&self.ranking).await?;
        let degraded = match mood {
            Mood::Partial => vec![DegradedStage::new("scorer", DegradedCause::NoRelease)],
            Mood::Unscored => vec![DegradedStage::new("scorer.release", DegradedCause::Timeout)],
            _ => vec![],
        };
        Ok(RankedPage { degraded, ..arranged(&query, mood) })
    }

    async fn explain(&self, query: ExplainQuery, _: Deadline) -> Result<Explanation, Failure> {
        self.explained.lock().unwrap().push(query.clone());
        let mood = Self::face(&self.ranking).await?;
        let mood = match (mood, &query.release) {
            (Mood::Forgetful, Pinned::Live) | (_, Pinned::Unscored(_)) => Mood::Unscored,
            (Mood::Forgetful, _) => return Err(Failure::new(ErrorCode::Unavailable, "told_to_fail", "no such disk")),
            (mood, _) => mood,
        };
        let row = |row: &u32| RowExplanation {
            row: *row,
            predictions: [0.5; 4],
            values: vec![1.0],
            contributions: vec![[0.1; 4]],
        };
        Ok(Explanation {
            page: arranged(&query.page, mood),
            features: vec![FeatureInfo { name: "trend".to_owned(), unit: String::new(), doc: String::new() }],
            rows: query.rows.iter().map(row).collect(),
        })
    }
}

/// What the fake of ranking makes of a page.
fn arranged(query: &RankQuery, mood: Mood) -> RankedPage {
    let mut taken = std::collections::HashSet::new();
    let slates = query.shelves.iter().map(|shelf| {
        // The reverse of source order, so that the two are told apart; and without the first, when unscored.
        let mut rows: Vec<u32> = shelf.rows.iter().rev().copied().collect();
        if mood == Mood::Unscored && !rows.is_empty() {
            rows.rotate_left(1);
        }
        let rows: Vec<u32> =
            rows.into_iter().filter(|row| taken.insert(*row)).take(usize::from(shelf.slate.size).min(6)).collect();
        let cards = rows.into_iter().map(|row| RankedCard {
            row: if mood == Mood::Confused { row + 1_000 } else { row },
            score: 0.5,
            propensity: 1.0,
            propensity_error: 0.0,
            predictions: [0.5; 4],
            explored: false,
            reason: Reason { code: ReasonCode::BecauseYouPlayed, evidence: smallvec![key(50)] },
        });
        Slate { shelf: shelf.shelf.clone(), score: 1.0, cards: cards.collect(), reserve: 0, unscored: 0 }
    });
    RankedPage {
        slates: slates.collect(),
        release: Some(ReleaseId::new("r1").unwrap()),
        degraded: vec![],
        detail: None,
    }
}

fn display(item: &Item) -> DisplayItem {
    DisplayItem {
        key: item.key(),
        id: item.id.clone(),
        kind: item.kind.clone(),
        title: item.title.clone(),
        artist_name: item.artist_name.clone(),
    }
}

#[async_trait]
impl Catalogue for World {
    async fn put_items(
        &self,
        _: &TenantId,
        items: Vec<Item>,
        _: Deadline,
    ) -> Result<Vec<Result<Put, Failure>>, Failure> {
        Self::face(&self.catalogue).await?;
        let mut known = self.items.lock().unwrap();
        let put = |item: Item| {
            if item.title == "conflict" {
                return Err(Failure::conflict("key_taken", "another item has this key"));
            }
            Ok(match known.insert(item.id.clone(), item.clone()) {
                None => Put::Created,
                Some(old) if old == item => Put::Unchanged,
                Some(_) => Put::Updated,
            })
        };
        Ok(items.into_iter().map(put).collect())
    }
    async fn item(&self, _: &TenantId, id: &ItemId, _: Deadline) -> Result<Item, Failure> {
        Self::face(&self.catalogue).await?;
        self.items.lock().unwrap().get(id).cloned().ok_or_else(|| Failure::not_found("item_not_found", "no such item"))
    }
    async fn delete_item(&self, _: &TenantId, id: &ItemId, _: Deadline) -> Result<bool, Failure> {
        Self::face(&self.catalogue).await?;
        Ok(self.items.lock().unwrap().remove(id).is_some())
    }
    async fn display(&self, _: &TenantId, keys: &[ItemKey], _: Deadline) -> Result<Vec<DisplayItem>, Failure> {
        *self.reads.lock().unwrap() += 1;
        Self::face(&self.catalogue).await?;
        Ok(self.items.lock().unwrap().values().filter(|item| keys.contains(&item.key())).map(display).collect())
    }
    async fn list_items(&self, _: &TenantId, _: Option<ItemId>, _: usize, _: Deadline) -> Result<Vec<Item>, Failure> {
        Ok(Vec::new())
    }
    async fn popular(
        &self,
        _: &TenantId,
        market: Market,
        limit: usize,
        _: Deadline,
    ) -> Result<Vec<DisplayItem>, Failure> {
        Self::face(&self.catalogue).await?;
        let first = if market == Market::UNKNOWN { 10 } else { 20 };
        Ok((first..first + 10).map(track).take(limit).map(|item| display(&item)).collect())
    }
}

#[async_trait]
impl Profiles for World {
    async fn user(&self, _: &TenantId, id: &UserId, _: Deadline) -> Result<UserSummary, Failure> {
        let attributes = self
            .users
            .lock()
            .unwrap()
            .get(id)
            .cloned()
            .ok_or_else(|| Failure::not_found("user_not_found", "no such user"))?;
        Ok(UserSummary {
            attributes,
            plays: 3,
            recent: vec![(key(1), Timestamp(1_000))],
            artists: vec![],
            last_event_at: None,
        })
    }
    async fn put_user(&self, _: &TenantId, attributes: UserAttributes, _: Deadline) -> Result<(), Failure> {
        self.users.lock().unwrap().insert(attributes.id.clone(), attributes);
        Ok(())
    }
}

#[async_trait]
impl EventBus for World {
    async fn publish_linked(
        &self,
        subject: &Subject,
        envelope: Envelope,
        _: &[TraceParent],
    ) -> Result<Ack, event_bus::Error> {
        let mood = *self.bus.lock().unwrap();
        match mood {
            Mood::Hangs => std::future::pending().await,
            Mood::Well => {
                let bytes = envelope.encode().len();
                if bytes > MOST_MESSAGE_BYTES {
                    return Err(event_bus::Error::TooLarge { bytes, limit: MOST_MESSAGE_BYTES });
                }
                let mut published = self.published.lock().unwrap();
                published.push((subject.clone(), envelope));
                Ok(Ack { stream: StreamName::Events, sequence: published.len() as u64, duplicate: false })
            }
            Mood::Fails(ErrorCode::ResourceExhausted) => Err(event_bus::Error::Full),
            Mood::Fails(ErrorCode::InvalidArgument) => Err(event_bus::Error::TooLarge { bytes: 2, limit: 1 }),
            _ => Err(event_bus::Error::Closed),
        }
    }
    async fn publish_many_linked(
        &self,
        messages: Vec<(Subject, Envelope)>,
        callers: &[TraceParent],
    ) -> Result<Vec<Ack>, event_bus::Error> {
        assert_eq!(messages.len(), callers.len());
        self.batches.lock().unwrap().push(messages.len());
        self.callers.lock().unwrap().extend_from_slice(callers);
        let mut acks = Vec::new();
        for (subject, envelope) in messages {
            acks.push(self.publish_linked(&subject, envelope, &[]).await?);
        }
        Ok(acks)
    }
    async fn subscribe(&self, _: &ConsumerSpec) -> Result<Box<dyn Subscription>, event_bus::Error> {
        std::future::pending().await
    }
    async fn lag(&self, _: &ConsumerSpec) -> Result<Lag, event_bus::Error> {
        Ok(Lag::default())
    }
    fn durability(&self) -> Durability {
        Durability::Strong
    }
    fn name(&self) -> &'static str {
        "fake"
    }
}

/// An edge on a port of its own.
pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    pub(crate) world: Arc<World>,
    pub(crate) runtime: Runtime,
    pub(crate) key: String,
    pub(crate) openapi: String,
    pub(crate) client: reqwest::Client,
}

impl Edge {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let world = World::new();
        Self::over(world.clone(), world, change).await
    }

    /// An edge with a store of records.
    pub(crate) async fn with_records(records: Option<Arc<dyn Store>>) -> Self {
        let world = World::new();
        Self::build(world.clone(), world, records, |_| {}).await
    }

    pub(crate) async fn over(world: Arc<World>, bus: Arc<dyn EventBus>, change: impl FnOnce(&mut Config)) -> Self {
        Self::build(world, bus, None, change).await
    }

    async fn build(
        world: Arc<World>,
        bus: Arc<dyn EventBus>,
        records: Option<Arc<dyn Store>>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let (key, entry) = Key::generate(&TenantId::new("demo").unwrap(), &Scope::ALL);
        let mut config = Config::default();
        config.auth.keys.push(entry);
        change(&mut config);
        let runtime = Runtime::new(Arc::new(SystemClock));
        let backends = Backends {
            candidates: world.clone(),
            catalogue: world.clone(),
            profiles: world.clone(),
            ranking: world.clone(),
            bus,
            records,
        };
        let app = App::build(&config, &runtime, backends).unwrap();
        let openapi = serde_json::to_string(app.openapi()).unwrap();
        let listener = service_runtime::listen::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.tasks.work.spawn("http", OnFailure::Log, app.serve(listener));
        Self { address, world, runtime, key: key.expose().to_owned(), openapi, client: reqwest::Client::new() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path)).bearer_auth(&self.key)
    }

    /// Sends JSON text and reads the answer.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = self.request(method, path);
        let request = if body.is_empty() {
            request
        } else {
            request.header("content-type", "application/json").body(body.to_owned())
        };
        Answer::of(request).await
    }

    /// Waits until so many requests of a class are in hand.
    pub(crate) async fn has_in_flight(&self, class: &str, count: usize) {
        let line = format!("setlist_edge_in_flight{{class=\"{class}\"}} {count}\n");
        while !self.runtime.metrics.encode().contains(&line) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn page(&self, body: &str) -> serde_json::Value {
        let answer = self.send("POST", "/v1/surfaces/home:page", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The item ids of all cards, shelf by shelf.
pub(crate) fn item_ids(page: &serde_json::Value) -> Vec<String> {
    let cards = |shelf: &serde_json::Value| {
        shelf["cards"]
            .as_array()
            .unwrap()
            .iter()
            .map(|card| card["item_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    page["shelves"].as_array().unwrap().iter().flat_map(cards).collect()
}
