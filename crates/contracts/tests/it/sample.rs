//! Sound values of every noun, drawn from a seed: the same seed draws the same value.

use std::{sync::Arc, time::Duration};

use contracts::{
    RecommendationRecord,
    records::{ShelfSummary, Variant},
};
use shared_models::{
    ErrorCode, EventId, FeatureName, ItemId, ItemKey, RecommendationId, ReleaseId, Seed, ShelfId, SurfaceId, TenantId,
    Timestamp, UserId,
    candidates::{CandidateSet, CandidateTable, DroppedItem, Evidence, ShelfCandidates},
    component::{Action, DropReason, Fact, FilterName, FilterParams, ReasonCode, SourceName, SourceParams},
    degraded::{DegradedCause, DegradedLevel, DegradedStage, SourceReport},
    event::{Event, EventKind},
    explore::{Explore, NewItems},
    item::{DisplayItem, Item, ItemKind, Market},
    listener::{ListenerContext, UserAttributes, UserSummary},
    numbers::Numbers,
    plan::{
        CandidatePlan, CandidateQuery, FilterPlan, Objective, Pin, RankQuery, RequestContext, ShelfCandidatePlan,
        ShelfOrder, ShelfRankPlan, SlatePlan, SourcePlan, SourceUse,
    },
    slate::{
        ExplainQuery, Explanation, FeatureInfo, Pinned, RankDetail, RankedCard, RankedPage, Reason, RowExplanation,
        ShelfScores, Slate,
    },
};
use uuid::Uuid;

/// The generator of a seed (SplitMix64, Steele et al. 2014: every seed is a good one).
pub(crate) struct Draw(pub(crate) u64);

const CAUSES: [DegradedCause; 5] = [
    DegradedCause::Timeout,
    DegradedCause::Failed,
    DegradedCause::Unavailable,
    DegradedCause::NoRelease,
    DegradedCause::Skipped,
];

const LEVELS: [DegradedLevel; 6] = [
    DegradedLevel::None,
    DegradedLevel::Partial,
    DegradedLevel::SourceOrder,
    DegradedLevel::LastGood,
    DegradedLevel::Popular,
    DegradedLevel::Empty,
];

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.bits() % limit.max(1) as u64) as usize
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 0
    }

    fn number(&mut self) -> u32 {
        // Small and large ones: varints have a length of their own.
        if self.yes() { self.below(200) as u32 } else { self.bits() as u32 }
    }

    fn share(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn score(&mut self) -> f32 {
        (self.share() - 0.5) * 1e6
    }

    fn key(&mut self) -> ItemKey {
        ItemKey(self.bits().max(1))
    }

    fn some_key(&mut self) -> ItemKey {
        if self.yes() { self.key() } else { ItemKey::NONE }
    }

    fn keys(&mut self, most: usize) -> Vec<ItemKey> {
        (0..self.below(most + 1)).map(|_| self.key()).collect()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| draw(self))
    }

    fn list<T>(&mut self, most: usize, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| draw(self)).collect()
    }

    fn word(&mut self) -> String {
        let words = ["now", "made-for-you", "phone", "Björk", "a b", "", "東京", "x"];
        format!("{}{}", self.pick(&words), self.below(1_000))
    }

    fn slug(&mut self) -> String {
        format!("name-{}", self.below(1_000_000))
    }

    fn span(&mut self) -> Duration {
        Duration::from_nanos(self.bits() >> 8)
    }

    fn moment(&mut self) -> Timestamp {
        Timestamp(1_700_000_000_000 + i64::from(self.number()) - i64::from(self.number()) * 1_000)
    }

    fn market(&mut self) -> Market {
        self.pick(&[Market::UNKNOWN, Market::parse("SE").unwrap(), Market::parse("us").unwrap()])
    }

    pub(crate) fn tenant(&mut self) -> TenantId {
        TenantId::new(self.slug()).unwrap()
    }

    pub(crate) fn user(&mut self) -> UserId {
        UserId::new(self.word()).unwrap()
    }

    fn shelf(&mut self) -> ShelfId {
        ShelfId::new(self.slug()).unwrap()
    }

    pub(crate) fn release(&mut self) -> ReleaseId {
        ReleaseId::new(format!("{:016x}", self.bits())).unwrap()
    }

    fn context(&mut self) -> RequestContext {
        RequestContext {
            now: self.moment(),
            local_hour: self.below(24) as u8,
            local_weekday: self.below(7) as u8,
            market: self.market(),
            device: self.word(),
            session: self.maybe(Self::word),
            seed: Seed(self.bits()),
        }
    }

    pub(crate) fn listener(&mut self) -> Arc<ListenerContext> {
        let dimensions = self.pick(&[0, 64]);
        Arc::new(ListenerContext {
            known: self.yes(),
            vector: (0..dimensions).map(|_| self.share() - 0.5).collect(),
            vector_release: self.maybe(Self::release),
            recent: self.keys(20),
            plays: self.number(),
            plays_7d: self.number(),
            skip_rate: self.share(),
            complete_rate: self.share(),
            repeat_rate: self.share(),
            artists: self.number(),
            idle_days: self.share() * 30.0 - 1.0,
            hour_share: self.share(),
            mean_popularity: self.share() * 10.0,
            favourites: self.keys(10),
            skipped: self.keys(10),
            session_items: self.number(),
            session_plays: self.number(),
            session_skips: self.number(),
            session_artists: self.number(),
            session_minutes: self.share() * 90.0,
            impressions: self.number(),
            click_rate: self.share(),
            like_rate: self.share(),
        })
    }

    pub(crate) fn table(&mut self, rows: usize) -> Arc<CandidateTable> {
        let sources: Vec<SourceName> = (0..=self.below(6)).map(|_| self.pick(SourceName::ALL)).collect();
        let mut evidence = Vec::new();
        let mut evidence_ends = Vec::new();
        for _ in 0..rows {
            for _ in 0..self.below(4) {
                evidence.push(Evidence {
                    source: self.below(sources.len()) as u16,
                    rank: self.below(2_000) as u32,
                    score: self.score(),
                    seed: self.some_key(),
                });
            }
            evidence_ends.push(evidence.len() as u32);
        }
        let columns = Fact::ALL.len() - self.below(2) * self.below(Fact::ALL.len() + 1);
        let column =
            |draw: &mut Self| if draw.below(8) == 0 { Vec::new() } else { (0..rows).map(|_| draw.score()).collect() };
        Arc::new(CandidateTable {
            items: (0..rows).map(|_| self.key()).collect(),
            artists: (0..rows).map(|_| self.some_key()).collect(),
            sources,
            evidence_ends,
            evidence,
            facts: (0..columns).map(|_| column(self)).collect(),
        })
    }

    fn rows(&mut self, of: usize) -> Vec<u32> {
        (0..of as u32).filter(|_| self.yes()).collect()
    }

    fn degraded(&mut self) -> Vec<DegradedStage> {
        self.list(3, |draw| DegradedStage::new(draw.word(), draw.pick(&CAUSES)))
    }

    fn reports(&mut self) -> Vec<SourceReport> {
        self.list(5, |draw| SourceReport {
            name: draw.pick(SourceName::ALL),
            returned: draw.number(),
            degraded: draw.maybe(|draw| draw.pick(&CAUSES)),
            elapsed: draw.span(),
        })
    }

    fn dropped(&mut self) -> Vec<(DropReason, u32)> {
        self.list(4, |draw| (draw.pick(DropReason::ALL), draw.number()))
    }

    fn candidate_plan(&mut self, shelves: usize) -> Arc<CandidatePlan> {
        let sources: Vec<SourcePlan> = (0..=self.below(5))
            .map(|_| SourcePlan {
                name: self.pick(SourceName::ALL),
                limit: self.number(),
                params: SourceParams {
                    seeds: self.maybe(|draw| draw.bits() as u16),
                    artists: self.maybe(|draw| draw.bits() as u16),
                    within: self.maybe(Self::span),
                },
                budget: self.span(),
            })
            .collect();
        let known = sources.len();
        let shelves = (0..shelves)
            .map(|_| ShelfCandidatePlan {
                shelf: self.shelf(),
                sources: self.list(4, |draw| SourceUse { source: draw.below(known) as u16, limit: draw.number() }),
                filters: self.list(4, |draw| FilterPlan {
                    name: draw.pick(FilterName::ALL),
                    params: FilterParams { within: draw.maybe(Self::span), max: draw.maybe(|draw| draw.bits() as u16) },
                }),
                limit: self.number(),
            })
            .collect();
        Arc::new(CandidatePlan { sources, shelves, crowd: self.yes() })
    }

    pub(crate) fn candidate_query(&mut self, shelves: usize) -> CandidateQuery {
        CandidateQuery {
            tenant: self.tenant(),
            user: self.maybe(Self::user),
            context: self.context(),
            seed_items: self.keys(3),
            exclude: self.keys(30),
            plan: self.candidate_plan(shelves),
            whole: self.yes(),
            release: self.maybe(Self::release),
        }
    }

    pub(crate) fn candidate_set(&mut self, rows: usize, shelves: usize) -> CandidateSet {
        let table = self.table(rows);
        CandidateSet {
            shelves: (0..shelves)
                .map(|_| ShelfCandidates {
                    shelf: self.shelf(),
                    rows: self.rows(rows),
                    dropped: self.dropped(),
                    dropped_items: self.dropped_items(table.sources.len()),
                })
                .collect(),
            table,
            listener: self.listener(),
            sources: self.reports(),
            degraded: self.degraded(),
            release: self.maybe(Self::release),
        }
    }

    fn dropped_items(&mut self, sources: usize) -> Vec<DroppedItem> {
        let most = if sources == 0 { 0 } else { 5 };
        self.list(most, |draw| DroppedItem {
            item: draw.key(),
            reason: draw.pick(DropReason::ALL),
            source: draw.below(sources) as u16,
            rank: draw.number(),
        })
    }

    fn rank_plan(&mut self, table: &CandidateTable) -> ShelfRankPlan {
        ShelfRankPlan {
            shelf: self.shelf(),
            rows: self.rows(table.len()),
            sources: self.list(3, |draw| draw.below(table.sources.len()) as u16),
            objective: Objective {
                play: self.score(),
                complete: self.share(),
                like: self.score(),
                skip: -self.share(),
            },
            slate: SlatePlan {
                size: self.bits() as u16,
                max_per_artist: self.bits() as u16,
                diversity: self.share(),
                explore: match self.below(4) {
                    0 => Explore::None,
                    1 => Explore::Epsilon { share: self.share().max(0.001) },
                    2 => Explore::Softmax { temperature: self.share() },
                    _ => Explore::Thompson { prior: self.share(), spread: self.share() },
                },
                new_items: self.maybe(|draw| NewItems {
                    slots: draw.bits() as u16,
                    from: draw.bits() as u16,
                    share: draw.share(),
                    younger: draw.span(),
                    shown_below: draw.share(),
                    hourly: draw.share(),
                }),
                pins: self.list(2, |draw| Pin { item: draw.key(), position: draw.bits() as u16 }),
            },
            pinned_slot: self.maybe(|draw| draw.bits() as u16),
        }
    }

    pub(crate) fn rank_query(&mut self, rows: usize, shelves: usize) -> RankQuery {
        let table = self.table(rows);
        RankQuery {
            tenant: self.tenant(),
            context: self.context(),
            seed_items: self.keys(3),
            listener: self.listener(),
            shelves: (0..shelves).map(|_| self.rank_plan(&table)).collect(),
            table,
            order: self.pick(&[ShelfOrder::ByScore, ShelfOrder::Fixed]),
            whole: self.yes(),
            release: self.maybe(Self::release),
        }
    }

    fn slate(&mut self, rows: usize) -> Slate {
        let cards = self.below(rows.min(30) + 1);
        Slate {
            shelf: self.shelf(),
            score: self.score(),
            cards: (0..cards)
                .map(|_| RankedCard {
                    row: self.below(rows) as u32,
                    score: self.score(),
                    propensity: 1.0 - self.share(),
                    propensity_error: self.share(),
                    predictions: std::array::from_fn::<_, { Action::ALL.len() }, _>(|_| self.share()),
                    explored: self.yes(),
                    reason: Reason { code: self.pick(ReasonCode::ALL), evidence: self.keys(4).into() },
                })
                .collect(),
            reserve: self.number(),
            unscored: self.number(),
        }
    }

    pub(crate) fn ranked_page(&mut self, rows: usize, shelves: usize) -> RankedPage {
        RankedPage {
            slates: (0..shelves).map(|_| self.slate(rows)).collect(),
            release: self.maybe(Self::release),
            degraded: self.degraded(),
            detail: self.maybe(|draw| draw.detail(rows, shelves)),
        }
    }

    fn detail(&mut self, rows: usize, shelves: usize) -> RankDetail {
        let shown = self.rows(rows);
        RankDetail {
            shelves: (0..shelves)
                .map(|_| {
                    let rows = self.rows(rows);
                    let scores = rows.iter().map(|_| self.score()).collect();
                    ShelfScores { shelf: self.shelf(), rows, scores }
                })
                .collect(),
            schema: self.bits(),
            features: (0..shown.len() * 3).map(|_| self.score()).collect(),
            predictions: (0..rows * 4).map(|_| self.score()).collect(),
            rows: shown,
        }
    }

    pub(crate) fn explain_query(&mut self, rows: usize, shelves: usize) -> ExplainQuery {
        let page = self.rank_query(rows, shelves);
        let release = match self.below(4) {
            0 => Pinned::Live,
            1 => Pinned::Cold,
            2 => Pinned::Unscored(self.release()),
            _ => Pinned::Release(self.release()),
        };
        ExplainQuery { page, release, rows: self.rows(rows) }
    }

    pub(crate) fn explanation(&mut self, rows: usize, shelves: usize) -> Explanation {
        let features = self.list(4, |draw| FeatureInfo { name: draw.word(), unit: draw.word(), doc: draw.word() });
        let explained = self.rows(rows);
        Explanation {
            page: self.ranked_page(rows, shelves),
            rows: explained
                .into_iter()
                .map(|row| RowExplanation {
                    row,
                    predictions: std::array::from_fn(|_| self.share()),
                    values: features.iter().map(|_| self.score()).collect(),
                    contributions: features.iter().map(|_| std::array::from_fn(|_| self.share())).collect(),
                })
                .collect(),
            features,
        }
    }

    pub(crate) fn record(&mut self, rows: usize, shelves: usize) -> RecommendationRecord {
        let candidates = self.candidate_query(shelves);
        let rank = self.rank_query(rows, shelves);
        let sources = rank.table.sources.len();
        RecommendationRecord {
            id: RecommendationId(Uuid::from_u64_pair(self.bits(), self.bits())),
            tenant: candidates.tenant,
            user: candidates.user,
            surface: SurfaceId::new(self.slug()).unwrap(),
            surface_version: self.word(),
            variants: self.list(2, |draw| Variant { experiment: draw.word(), variant: draw.word() }),
            context: candidates.context,
            seed_items: candidates.seed_items,
            exclude: candidates.exclude,
            candidate_plan: candidates.plan,
            rank_shelves: rank.shelves,
            order: rank.order,
            listener: rank.listener,
            table: rank.table,
            table_complete: true,
            shelves: (0..shelves)
                .map(|_| ShelfSummary {
                    shelf: self.shelf(),
                    kept: self.number(),
                    dropped: self.dropped(),
                    dropped_items: self.dropped_items(sources),
                })
                .collect(),
            sources: self.reports(),
            slates: (0..shelves).map(|_| self.slate(rows)).collect(),
            candidates_release: self.maybe(Self::release),
            ranking_release: self.maybe(Self::release),
            level: self.pick(&LEVELS),
            degraded: self.degraded(),
            elapsed: self.span(),
            trace_id: self.maybe(Self::slug),
            detail: self.maybe(|draw| draw.detail(rows, shelves)),
            flat: self.yes(),
            limit: self.maybe(|draw| draw.bits() as u16),
            explore: self.yes(),
        }
    }

    pub(crate) fn event(&mut self) -> Event {
        let mut kinds = EventKind::KNOWN.to_vec();
        kinds.push(EventKind::Other("radio_started".to_owned()));
        Event {
            id: EventId::new(self.word()).unwrap(),
            user: self.user(),
            kind: self.pick(&kinds),
            item: ItemId::new(self.word()).unwrap(),
            occurred_at: self.moment(),
            received_at: self.moment(),
            ms_played: self.maybe(Self::number),
            recommendation: self.maybe(|draw| Uuid::from_u64_pair(draw.bits(), draw.bits())),
            shelf: self.maybe(Self::word),
            position: self.maybe(|draw| draw.bits() as u16),
            session: self.maybe(Self::word),
            device: self.maybe(Self::word),
            market: self.maybe(Self::market),
        }
    }

    pub(crate) fn item(&mut self) -> Item {
        Item {
            id: ItemId::new(self.word()).unwrap(),
            kind: self.pick(&[ItemKind::Track, ItemKind::Artist, ItemKind::Other("mixtape".to_owned())]),
            title: self.word(),
            artist_id: self.maybe(|draw| ItemId::new(draw.word()).unwrap()),
            artist_name: self.maybe(Self::word),
            genres: self.list(3, Self::word),
            released_at: self.maybe(Self::moment),
            duration_ms: self.maybe(Self::number),
            explicit: self.yes(),
            markets: self.list(5, Self::market).into(),
            numbers: self.numbers(),
        }
    }

    fn numbers(&mut self) -> Option<Arc<Numbers>> {
        let features = (0..self.below(4)).map(|n| (FeatureName::new(format!("f{n}")).unwrap(), n as f32 * 0.1));
        let features: Vec<_> = features.collect();
        let length = self.below(9);
        Numbers::new(features, (0..length).map(|n| n as f32 - 3.7).collect()).unwrap()
    }

    pub(crate) fn display(&mut self) -> DisplayItem {
        let item = self.item();
        DisplayItem { key: item.key(), id: item.id, kind: item.kind, title: item.title, artist_name: item.artist_name }
    }

    pub(crate) fn attributes(&mut self) -> UserAttributes {
        UserAttributes {
            id: self.user(),
            market: self.maybe(Self::market),
            explicit_allowed: self.yes(),
            updated_at: self.moment(),
        }
    }

    pub(crate) fn summary(&mut self) -> UserSummary {
        UserSummary {
            attributes: self.attributes(),
            plays: self.bits(),
            recent: self.list(20, |draw| (draw.key(), draw.moment())),
            artists: self.list(20, |draw| (draw.key(), draw.share())),
            last_event_at: self.maybe(Self::moment),
        }
    }

    pub(crate) fn failure(&mut self) -> contracts::Failure {
        contracts::Failure {
            code: self.pick(&ErrorCode::ALL),
            reason: self.slug().replace('-', "_").into(),
            message: self.word(),
            retry_after: self.maybe(|draw| Duration::from_millis(draw.bits() >> 20)),
        }
    }
}
