//! What a page costs the edge itself: the whole router over services that answer at once from memory, and the record
//! of the decision on its way to the bus.

#![expect(clippy::panic, reason = "a bench that cannot be set up should stop at once")]

use std::{hint::black_box, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::body::Body;
use contracts::{Candidates, Catalogue, Deadline, Failure, Profiles, Put, Ranking};
use criterion::{Criterion, criterion_group, criterion_main};
use edge_api::{
    App, Backends, Config,
    auth::{Key, Scope},
};
use event_bus::{Ack, ConsumerSpec, Durability, Envelope, EventBus, Lag, StreamName, Subject, Subscription};
use http::Request;
use service_runtime::{Runtime, trace::TraceParent};
use shared_models::{
    ItemId, ItemKey, ReleaseId, SystemClock, TenantId, UserId,
    candidates::{CandidateSet, CandidateTable, Evidence, ShelfCandidates},
    component::{Fact, ReasonCode},
    degraded::SourceReport,
    item::{DisplayItem, Item, ItemKind, Market},
    listener::{ListenerContext, UserAttributes, UserSummary},
    plan::{CandidateQuery, RankQuery},
    slate::{ExplainQuery, Explanation, RankedCard, RankedPage, Reason, Slate},
};
use smallvec::smallvec;
use tower::ServiceExt as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many candidates a page has.
const ROWS: usize = 600;

/// Services that answer at once.
struct Instantly {
    items: Vec<DisplayItem>,
}

fn item(number: usize) -> Result<DisplayItem, shared_models::ids::Error> {
    let id = ItemId::new(format!("track-{number}"))?;
    Ok(DisplayItem {
        key: ItemKey::of(&id),
        id,
        kind: ItemKind::Track,
        title: format!("Song number {number}"),
        artist_name: Some(format!("Artist {}", number % 97)),
    })
}

#[async_trait]
impl Candidates for Instantly {
    async fn generate(&self, query: CandidateQuery, _: Deadline) -> Result<CandidateSet, Failure> {
        let sources = query.plan.sources.len();
        let mut table = CandidateTable {
            sources: query.plan.sources.iter().map(|source| source.name).collect(),
            facts: Fact::ALL.iter().map(|_| vec![0.5; ROWS]).collect(),
            ..CandidateTable::default()
        };
        for (row, item) in self.items.iter().take(ROWS).enumerate() {
            table.items.push(item.key);
            table.artists.push(ItemKey((row % 97) as u64 + 1));
            for source in [row % sources, (row + 1) % sources] {
                table.evidence.push(Evidence {
                    source: source as u16,
                    rank: row as u32,
                    score: 1.0,
                    seed: ItemKey::NONE,
                });
            }
            table.evidence_ends.push(table.evidence.len() as u32);
        }
        let shelf = |(index, shelf): (usize, &shared_models::plan::ShelfCandidatePlan)| ShelfCandidates {
            shelf: shelf.shelf.clone(),
            rows: (0..ROWS as u32).filter(|row| *row as usize % 5 != index).take(300).collect(),
            dropped: Vec::new(),
            dropped_items: Vec::new(),
        };
        let report = |name| SourceReport { name, returned: 100, degraded: None, elapsed: Duration::ZERO };
        Ok(CandidateSet {
            shelves: query.plan.shelves.iter().enumerate().map(shelf).collect(),
            sources: table.sources.iter().copied().map(report).collect(),
            table: Arc::new(table),
            listener: Arc::new(ListenerContext { known: true, vector: vec![0.1; 64], ..ListenerContext::default() }),
            degraded: Vec::new(),
            release: ReleaseId::new("r1").ok(),
        })
    }
}

#[async_trait]
impl Ranking for Instantly {
    async fn rank(&self, query: RankQuery, _: Deadline) -> Result<RankedPage, Failure> {
        let mut next = 0_u32;
        let slates = query.shelves.iter().map(|shelf| {
            let cards = (0..shelf.slate.size).map(|_| {
                next += 1;
                let evidence = smallvec![self.items.get(next as usize % 20).map_or(ItemKey::NONE, |item| item.key)];
                RankedCard {
                    row: next - 1,
                    score: 0.5,
                    propensity: 1.0,
                    propensity_error: 0.0,
                    predictions: [0.5; 4],
                    explored: false,
                    reason: Reason { code: ReasonCode::BecauseYouPlayed, evidence },
                }
            });
            Slate { shelf: shelf.shelf.clone(), score: 1.0, cards: cards.collect(), reserve: 0, unscored: 0 }
        });
        Ok(RankedPage {
            slates: slates.collect(),
            release: ReleaseId::new("r1").ok(),
            degraded: Vec::new(),
            detail: None,
        })
    }

    async fn explain(&self, _: ExplainQuery, _: Deadline) -> Result<Explanation, Failure> {
        Err(Failure::internal("not_asked", "the bench asks for pages only"))
    }
}

#[async_trait]
impl Catalogue for Instantly {
    async fn put_items(&self, _: &TenantId, _: Vec<Item>, _: Deadline) -> Result<Vec<Result<Put, Failure>>, Failure> {
        Ok(Vec::new())
    }
    async fn item(&self, _: &TenantId, _: &ItemId, _: Deadline) -> Result<Item, Failure> {
        Err(Failure::not_found("item_not_found", "no such item"))
    }
    async fn delete_item(&self, _: &TenantId, _: &ItemId, _: Deadline) -> Result<bool, Failure> {
        Ok(false)
    }
    async fn display(&self, _: &TenantId, keys: &[ItemKey], _: Deadline) -> Result<Vec<DisplayItem>, Failure> {
        Ok(self.items.iter().filter(|item| keys.contains(&item.key)).cloned().collect())
    }
    async fn list_items(&self, _: &TenantId, _: Option<ItemId>, _: usize, _: Deadline) -> Result<Vec<Item>, Failure> {
        Ok(Vec::new())
    }
    async fn popular(&self, _: &TenantId, _: Market, _: usize, _: Deadline) -> Result<Vec<DisplayItem>, Failure> {
        Ok(self.items.iter().take(20).cloned().collect())
    }
}

#[async_trait]
impl Profiles for Instantly {
    async fn user(&self, _: &TenantId, _: &UserId, _: Deadline) -> Result<UserSummary, Failure> {
        Err(Failure::not_found("user_not_found", "no such user"))
    }
    async fn put_user(&self, _: &TenantId, _: UserAttributes, _: Deadline) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl EventBus for Instantly {
    async fn publish_linked(
        &self,
        _: &Subject,
        envelope: Envelope,
        _: &[TraceParent],
    ) -> Result<Ack, event_bus::Error> {
        black_box(envelope.encode());
        Ok(Ack { stream: StreamName::Recommendations, sequence: 1, duplicate: false })
    }
    async fn subscribe(&self, _: &ConsumerSpec) -> Result<Box<dyn Subscription>, event_bus::Error> {
        Err(event_bus::Error::Closed)
    }
    async fn lag(&self, _: &ConsumerSpec) -> Result<Lag, event_bus::Error> {
        Ok(Lag::default())
    }
    fn durability(&self) -> Durability {
        Durability::Strong
    }
    fn name(&self) -> &'static str {
        "instant"
    }
}

fn edge(criterion: &mut Criterion) -> Result<(), Box<dyn std::error::Error>> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = executor.enter();
    let (key, entry) = Key::generate(&TenantId::new("demo")?, &Scope::ALL);
    let mut config = Config::default();
    config.auth.keys.push(entry);
    config.serving.display_ttl = Duration::from_secs(3_600);
    let runtime = Runtime::new(Arc::new(SystemClock));
    let world = Arc::new(Instantly { items: (0..ROWS).map(item).collect::<Result<_, _>>()? });
    let backends = Backends {
        candidates: Arc::<Instantly>::clone(&world),
        catalogue: Arc::<Instantly>::clone(&world),
        profiles: Arc::<Instantly>::clone(&world),
        ranking: Arc::<Instantly>::clone(&world),
        bus: world,
        records: None,
    };
    let router = App::build(&config, &runtime, backends)?.router();
    let bearer = format!("Bearer {}", key.expose());
    let mut measure = |name: &str, method: &'static str, path: &'static str, body: &'static str| {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                executor.block_on(async {
                    let request = Request::builder()
                        .method(method)
                        .uri(path)
                        .header("authorization", &bearer)
                        .header("content-type", "application/json")
                        .body(Body::from(body));
                    let Ok(request) = request else { return };
                    let Ok(answer) = router.clone().oneshot(request).await;
                    assert!(answer.status().is_success(), "{}", answer.status());
                    let _body = black_box(axum::body::to_bytes(answer.into_body(), usize::MAX).await);
                    // The recorder runs beside the request.
                    tokio::task::yield_now().await;
                });
            });
        });
    };
    measure("the way through the layers", "GET", "/livez", "");
    measure("a page", "POST", "/v1/surfaces/home:page", r#"{"user_id": "user-1", "market": "SE", "device": "phone"}"#);
    Ok(())
}

fn benches(criterion: &mut Criterion) {
    if let Err(error) = edge(criterion) {
        panic!("{error}");
    }
}

criterion_group!(all, benches);
criterion_main!(all);
