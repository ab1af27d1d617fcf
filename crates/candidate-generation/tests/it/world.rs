//! Builders of small real worlds: a catalogue, a release over it, a listener, a page's question.

use std::{sync::Arc, time::Duration};

use candidate_generation::{
    catalog::Snapshot,
    index::{Serving, Trending, embedding},
    pipeline::Pipeline,
    profiles::{GenreKey, ItemFactsForFold, Profile, memory::ServingProfile},
    query::{Crowd, PageQuery},
};
use pipeline::StageMetrics;
use releases::{Factors, Neighbours, Popularity, Release, release::Parts};
use service_runtime::Metrics;
use shared_models::{
    EventId, ItemId, ItemKey, Seed, ShelfId, TenantId, Timestamp, UserId,
    component::{SourceName, SourceParams},
    event::{Event, EventKind},
    item::{Item, ItemKind, Market},
    listener::UserAttributes,
    plan::{CandidatePlan, CandidateQuery, FilterPlan, RequestContext, ShelfCandidatePlan, SourcePlan, SourceUse},
};
use smallvec::SmallVec;

pub(crate) const DAY: i64 = 86_400_000;
pub(crate) const NOW: Timestamp = Timestamp(20_000 * DAY);

pub(crate) fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

pub(crate) fn id(name: &str) -> ItemId {
    ItemId::new(name).unwrap()
}

pub(crate) fn key(name: &str) -> ItemKey {
    ItemKey::of(&id(name))
}

pub(crate) fn track(name: &str, artist: &str) -> Item {
    Item {
        id: id(name),
        kind: ItemKind::Track,
        title: name.to_owned(),
        artist_id: (!artist.is_empty()).then(|| id(artist)),
        artist_name: (!artist.is_empty()).then(|| artist.to_owned()),
        genres: Vec::new(),
        released_at: None,
        duration_ms: Some(200_000),
        explicit: false,
        markets: SmallVec::new(),
        numbers: None,
    }
}

pub(crate) fn event(number: u64, user: &str, kind: EventKind, item: &str, at: Timestamp) -> Event {
    Event {
        id: EventId::new(format!("e{number}")).unwrap(),
        user: UserId::new(user).unwrap(),
        kind,
        item: id(item),
        occurred_at: at,
        received_at: at,
        ms_played: None,
        recommendation: None,
        shelf: None,
        position: None,
        session: None,
        device: None,
        market: None,
    }
}

/// A world in the making. Everything is there by default and empty.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) items: Vec<Item>,
    pub(crate) parts: Option<Parts>,
    pub(crate) profile: Profile,
    pub(crate) attributes: Option<UserAttributes>,
    pub(crate) trending: Option<Trending>,
    /// What was shown to anybody.
    pub(crate) shown: Option<Trending>,
    pub(crate) seeds: Vec<ItemKey>,
    pub(crate) exclude: Vec<ItemKey>,
    pub(crate) market: Market,
    events: u64,
}

impl World {
    pub(crate) fn of(items: impl IntoIterator<Item = Item>) -> Self {
        Self { items: items.into_iter().collect(), ..Self::default() }
    }

    /// The listener did something so many days ago.
    pub(crate) fn did(&mut self, kind: EventKind, item: &str, days_ago: f64) -> &mut Self {
        self.events += 1;
        let at = Timestamp(NOW.0 - (days_ago * DAY as f64) as i64);
        let event = event(self.events, "u", kind, item, at);
        let known = self.items.iter().find(|known| known.id == event.item);
        let genres: Vec<GenreKey> =
            known.iter().flat_map(|item| &item.genres).map(|genre| GenreKey::of(genre)).collect();
        let artist = known.map_or(ItemKey::NONE, Item::artist_key);
        self.profile.apply(&event, &ItemFactsForFold { artist, genres: &genres });
        self
    }

    /// A release over all items: factors in two groups by the parity of their order, neighbours from
    /// each item to the next, popularity falling with order.
    pub(crate) fn released(&mut self) -> &mut Self {
        self.parts = Some(parts(&self.items));
        self
    }

    pub(crate) fn page(&self, plan: CandidatePlan) -> PageQuery {
        let snapshot = Arc::new(Snapshot::of(self.items.iter().cloned()));
        let serving = self.parts.clone().map(|parts| {
            let meta = releases::Meta { created_at: Timestamp(NOW.0 - 3 * DAY), ..releases::Meta::default() };
            let release = Release::in_memory(tenant(), meta, parts).unwrap();
            Arc::new(Serving::build(Arc::new(release), &snapshot, &embedding::Config::default()))
        });
        let refreshed = |trending: &Trending| {
            trending.refresh();
            trending.trends()
        };
        let trends = self.trending.as_ref().map(refreshed);
        let shown = self.shown.as_ref().map(refreshed);
        let listener = Arc::new(ServingProfile::new(1, self.profile.clone(), self.attributes.clone()));
        let asked = CandidateQuery {
            seed_items: self.seeds.clone(),
            exclude: self.exclude.clone(),
            ..question(plan, self.market)
        };
        PageQuery::new(asked, snapshot, serving, listener, trends.unwrap_or_default())
            .with_crowd(Crowd { shown: shown.unwrap_or_default(), ..Crowd::default() })
    }
}

pub(crate) fn question(plan: CandidatePlan, market: Market) -> CandidateQuery {
    CandidateQuery {
        tenant: tenant(),
        user: Some(UserId::new("u").unwrap()),
        context: RequestContext {
            now: NOW,
            local_hour: 12,
            local_weekday: 0,
            market,
            device: "phone".to_owned(),
            session: None,
            seed: Seed(1),
        },
        seed_items: Vec::new(),
        exclude: Vec::new(),
        plan: Arc::new(plan),
        whole: false,
        release: None,
    }
}

pub(crate) fn parts(items: &[Item]) -> Parts {
    let mut ordered: Vec<(ItemKey, usize)> =
        items.iter().enumerate().map(|(order, item)| (item.key(), order)).collect();
    ordered.sort_unstable();
    let row_of = |order: usize| ordered.iter().position(|(_, other)| *other == order).unwrap() as u32;
    let mut values = Vec::new();
    let (mut offsets, mut neighbours, mut scores) = (vec![0], Vec::new(), Vec::new());
    let mut global = Vec::new();
    for (_, order) in &ordered {
        let near = 1.0 + *order as f32 * 0.01;
        values.extend(if order % 2 == 0 { [near, 0.05] } else { [0.05, near] });
        if order + 1 < items.len() {
            neighbours.push(row_of(order + 1));
            scores.push(0.5);
        }
        offsets.push(neighbours.len() as u32);
        global.push((items.len() - order) as f32);
    }
    Parts {
        items: ordered.iter().map(|entry| entry.0).collect(),
        factors: Some(Factors::new(2, &values, 10.0, 0.1, 0.0).unwrap()),
        neighbours: Some(Neighbours { offsets, items: neighbours, scores }),
        popularity: Some(Popularity {
            global,
            markets: vec![(Market::parse("SE").unwrap(), vec![(row_of(items.len() - 1), 5.0)])],
        }),
        ..Parts::default()
    }
}

pub(crate) fn source(name: SourceName, limit: u32) -> SourcePlan {
    SourcePlan { name, limit, params: SourceParams::default(), budget: Duration::from_secs(5) }
}

/// One shelf that takes everything from these sources.
pub(crate) fn shelf(sources: Vec<SourcePlan>, filters: Vec<FilterPlan>) -> CandidatePlan {
    let uses =
        sources.iter().enumerate().map(|(index, plan)| SourceUse { source: index as u16, limit: plan.limit }).collect();
    let shelf = ShelfCandidatePlan { shelf: ShelfId::new("shelf").unwrap(), sources: uses, filters, limit: 1_000 };
    CandidatePlan { sources, shelves: vec![shelf], crowd: false }
}

pub(crate) fn pipeline() -> Pipeline {
    Pipeline::new(StageMetrics::register(&Metrics::new(), "candidates"))
}
