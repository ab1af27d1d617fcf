//! The laws of whole pages, through the service as its callers see it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use contracts::{Deadline, Failure, Ranking};
use proptest::prelude::*;
use ranking::{
    features::{Column, compute},
    metrics::RankingMetrics,
    models::{self, Models},
    objective, pipeline as stages,
    scorers::Scorer,
    server::Ranker,
};
use releases::Store;
use service_runtime::metrics::Metrics;
use shared_models::{
    ErrorCode, SystemClock,
    component::Fact,
    degraded::{DegradedCause, DegradedStage},
    explore::{Explore, NewItems},
    plan::{Pin, RankQuery, ShelfOrder},
    slate::{ExplainQuery, Pinned, RankedPage},
};

use crate::{pages, propensities};

/// The service over a folder of its own, with a live release when `has_release`.
pub(crate) struct Service {
    _folder: tempfile::TempDir,
    pub(crate) ranker: Ranker,
    pub(crate) release: Option<Arc<releases::Release>>,
    pub(crate) metrics: Metrics,
}

/// How long any page may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

fn service(has_release: bool) -> Service {
    sampling(has_release, 1)
}

/// The same, which looks at the features of one page in so many.
pub(crate) fn sampling(has_release: bool, sampled_one_in: u64) -> Service {
    build(has_release, sampled_one_in, Duration::from_secs(5))
}

/// The same, whose scorer may take so long.
fn build(has_release: bool, sampled_one_in: u64, scorer_budget: Duration) -> Service {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    if has_release {
        let id = store.write(&pages::tenant(), &pages::parts(16, Some(&pages::scorer())), pages::meta()).unwrap();
        store.promote(&pages::tenant(), &id).unwrap();
    }
    let metrics = Metrics::new();
    let ours = RankingMetrics::register(&metrics);
    let config = models::Config { path: folder.path().to_owned(), poll: Duration::from_secs(1) };
    let models = Arc::new(Models::open(&config, Arc::new(SystemClock), ours.clone()).unwrap());
    models.refresh();
    let release = models.serving(&pages::tenant()).map(|serving| Arc::clone(&serving.release));
    let mut pipeline = stages::build(scorer_budget, pipeline::StageMetrics::register(&metrics, "ranking"));
    pipeline.arrange.counts = Some(ours.clone());
    let tasks = service_runtime::Runtime::new(Arc::new(SystemClock)).tasks.intake;
    // No page is short of time here.
    let pages = ranking::config::Pages {
        max_candidates: 2_000,
        scorer_budget,
        spend: 1.0,
        least_scored: 2_000,
        sampled_one_in,
    };
    Service { _folder: folder, ranker: Ranker::new(models, pipeline, pages, tasks, ours), release, metrics }
}

fn rank(service: &Service, query: RankQuery) -> Result<RankedPage, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(service.ranker.rank(query, Deadline::within(PATIENCE)))
}

fn rows_of(page: &RankedPage) -> BTreeMap<String, Vec<u32>> {
    page.slates
        .iter()
        .map(|slate| (slate.shelf.to_string(), slate.cards.iter().map(|card| card.row).collect()))
        .collect()
}

#[test]
fn a_page_is_scored_by_the_live_release() {
    let service = service(true);
    let release = service.release.as_deref();
    let query = pages::page(300, 3, 4, release);
    let page = rank(&service, query.clone()).unwrap();
    assert_eq!(page.release.as_ref(), release.map(releases::Release::id));
    assert_eq!(page.degraded, []);
    // The card's numbers are those of the schema, the model and the objective, and nothing else.
    let predictions = pages::scorer().predict(&compute(&query, release));
    for card in page.slates.iter().flat_map(|slate| &slate.cards) {
        assert_eq!(card.predictions, predictions[card.row as usize]);
        assert_eq!(card.score, objective::blend(query.shelves[0].objective, &card.predictions).unwrap().value());
        assert!(card.predictions.iter().all(|p| *p > 0.0 && *p < 1.0));
    }
    assert!(service.metrics.encode().contains("setlist_ranking_pages_total{outcome=\"ok\"} 1"));
}

#[test]
fn without_a_release_cold_scores_answer_and_say_so() {
    let service = service(false);
    let page = rank(&service, pages::page(100, 2, 4, None)).unwrap();
    assert_eq!(page.degraded, [DegradedStage::new("scorer.release", DegradedCause::NoRelease)]);
    assert_eq!(page.release, None);
    assert_eq!(page.slates.iter().map(|slate| slate.cards.len()).sum::<usize>(), 40);
}

#[test]
fn a_page_whose_scorer_had_no_time_is_ranked_again_without_it() {
    let service = build(true, 1, Duration::ZERO);
    let query = pages::page(300, 3, 4, service.release.as_deref());
    let page = rank(&service, query.clone()).unwrap();
    assert_eq!(page.degraded, [DegradedStage::new("scorer.release", DegradedCause::Timeout)]);
    let id = service.release.as_ref().unwrap().id().clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let again = |release: Pinned| {
        let asked = ExplainQuery { page: query.clone(), release, rows: vec![0] };
        runtime.block_on(service.ranker.explain(asked, Deadline::within(PATIENCE))).unwrap()
    };
    // Without the scorer, but with the release's factors and counts: those are what slates read beside scores.
    let unscored = again(Pinned::Unscored(id.clone()));
    assert_eq!(unscored.page.slates, page.slates);
    assert_eq!(unscored.page.release.as_ref(), Some(&id));
    // A question about a page gives the scorer the time that the page did not have.
    let scored = again(Pinned::Release(id));
    assert_eq!(scored.page.degraded, []);
    assert_ne!(scored.page.slates, page.slates);
    assert_ne!(scored.rows[0].contributions, unscored.rows[0].contributions);
}

#[test]
fn a_number_that_is_not_finite_never_becomes_a_score() {
    let service = service(true);
    let mut query = pages::page(60, 1, 4, service.release.as_deref());
    let spoiled = [3, 10, 59];
    for (row, number) in spoiled.into_iter().zip([f32::NAN, f32::INFINITY, f32::NEG_INFINITY]) {
        // A weight of 0 times infinity is NaN too; a plain infinity must not pass for certainty.
        Arc::make_mut(&mut query.table).facts[Fact::Trend as usize][row] = f32::NAN;
        Arc::make_mut(&mut query.table).facts[Fact::Popularity as usize][row] = number;
    }
    query.shelves[0].slate.size = 100;
    let page = rank(&service, query).unwrap();
    assert_eq!(page.slates[0].unscored, 3);
    assert_eq!(page.slates[0].cards.len(), 57);
    assert!(page.slates[0].cards.iter().all(|card| card.score.is_finite() && !spoiled.contains(&(card.row as usize))));
}

#[test]
fn a_page_that_contradicts_itself_is_refused() {
    let service = service(false);
    let check = |spoil: &dyn Fn(&mut RankQuery), reason: &str| {
        let mut query = pages::page(50, 2, 1, None);
        spoil(&mut query);
        let failure = rank(&service, query).unwrap_err();
        assert_eq!((failure.code, failure.reason.as_ref()), (ErrorCode::InvalidArgument, reason));
    };
    check(&|query| Arc::make_mut(&mut query.table).artists.truncate(1), "inconsistent_table");
    check(&|query| query.shelves[0].rows.push(50), "unknown_row");
    check(&|query| query.shelves[0].rows = vec![1, 2, 1], "unknown_row");
    check(&|query| query.shelves[1].sources.push(99), "unknown_source");
    check(&|query| query.shelves[1].shelf = query.shelves[0].shelf.clone(), "duplicate_shelf");
    check(&|query| query.shelves[0].slate.size = 0, "invalid_plan");
    check(&|query| query.shelves[0].slate.diversity = 1.5, "invalid_plan");
    check(&|query| query.shelves[0].slate.explore = Explore::Epsilon { share: f32::NAN }, "invalid_plan");
    check(&|query| query.shelves[0].slate.explore = Explore::Softmax { temperature: 0.0 }, "invalid_plan");
    check(&|query| query.shelves[0].slate.explore = Explore::Thompson { prior: 1.0, spread: -1.0 }, "invalid_plan");
    let kept = NewItems { slots: 0, ..propensities::new_items() };
    check(&|query| query.shelves[0].slate.new_items = Some(kept), "invalid_plan");
    check(&|query| query.shelves[0].objective.like = f32::INFINITY, "invalid_plan");
    check(&|query| query.table = Arc::new(pages::table(2_001, 1)), "too_many_candidates");
}

#[test]
fn a_deadline_that_has_passed_is_not_worked_for() {
    let service = service(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let failure = runtime
        .block_on(service.ranker.rank(pages::page(5, 1, 1, None), Deadline::within(Duration::ZERO)))
        .unwrap_err();
    assert_eq!(failure.code, ErrorCode::DeadlineExceeded);
}

#[test]
fn a_shelf_takes_nothing_that_stands_above_it() {
    let service = service(true);
    let mut query = pages::page(40, 1, 4, service.release.as_deref());
    let rows = query.shelves[0].rows.clone();
    query.order = ShelfOrder::Fixed;
    query.shelves.push(pages::shelf("second", rows));
    let page = rank(&service, query).unwrap();
    assert_eq!([page.slates[0].cards.len(), page.slates[1].cards.len()], [20, 20]);
    assert!(page.slates[0].cards[19].score >= page.slates[1].cards[0].score);
}

#[test]
fn features_do_not_depend_on_the_other_rows_but_for_score_scales() {
    let release = pages::release(16);
    let query = pages::page(200, 1, 9, Some(&release));
    let all = compute(&query, Some(&release));
    let mut one = query;
    let table = Arc::make_mut(&mut one.table);
    table.items.truncate(1);
    table.artists.truncate(1);
    table.evidence_ends.truncate(1);
    table.evidence.truncate(table.evidence_ends[0] as usize);
    table.facts.iter_mut().for_each(|column| column.truncate(1));
    let single = compute(&one, Some(&release));
    for column in Column::ALL.iter().filter(|column| !column.feature().name.contains("score")) {
        assert_eq!(all.get(0, *column), single.get(0, *column), "{column:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn laws_of_a_page(
        rows in 0_usize..300,
        shelves in 1_usize..7,
        explore in prop::sample::select(propensities::policies()),
        keeps: bool,
        diversity in prop::sample::select(vec![0.0_f32, 0.4]),
        cap in 0_u16..3,
        has_release: bool,
        is_fixed: bool,
        broken in prop::collection::vec(0_usize..300, 0..4),
        pinned in 0_usize..300,
        seed: u64,
    ) {
        let service = service(has_release);
        let mut query = pages::page(rows, shelves, seed, service.release.as_deref());
        query.order = if is_fixed { ShelfOrder::Fixed } else { ShelfOrder::ByScore };
        for row in broken.iter().filter(|row| **row < rows) {
            Arc::make_mut(&mut query.table).facts[Fact::Trend as usize][*row] = f32::NAN;
        }
        let pin = query.table.items.get(pinned).map(|item| Pin { item: *item, position: 1 });
        for shelf in &mut query.shelves {
            shelf.slate.explore = explore;
            shelf.slate.new_items = keeps.then(propensities::new_items);
            shelf.slate.diversity = diversity;
            shelf.slate.max_per_artist = cap;
            shelf.slate.pins.extend(pin);
        }
        let page = rank(&service, query.clone()).unwrap();

        // The same query, release and seed give the same answer, bit for bit.
        prop_assert_eq!(&page, &rank(&service, query.clone()).unwrap());

        // Every shelf is there once; fixed order is the plan's.
        let names: Vec<_> = page.slates.iter().map(|slate| slate.shelf.clone()).collect();
        let mut planned: Vec<_> = query.shelves.iter().map(|shelf| shelf.shelf.clone()).collect();
        if is_fixed {
            prop_assert_eq!(&names, &planned);
        }
        let mut sorted = names;
        sorted.sort();
        planned.sort();
        prop_assert_eq!(sorted, planned);

        let mut shown = HashSet::new();
        for slate in &page.slates {
            let plan = query.shelves.iter().find(|shelf| shelf.shelf == slate.shelf).unwrap();
            // Nothing is lost.
            prop_assert_eq!(plan.rows.len(), slate.cards.len() + slate.reserve as usize + slate.unscored as usize);
            let spoiled = plan.rows.iter().filter(|row| broken.contains(&(**row as usize))).count();
            prop_assert_eq!(slate.unscored as usize, spoiled);
            for card in &slate.cards {
                prop_assert!(plan.rows.contains(&card.row));
                // Nothing is twice on a page.
                prop_assert!(shown.insert(query.table.items[card.row as usize]));
                prop_assert!(card.score.is_finite() && card.propensity > 0.0 && card.propensity <= 1.0);
            }
            prop_assert!(slate.score.is_finite());
        }

        // Another seed draws other cards only where the plan explores.
        if explore.is_off() && !keeps {
            let mut other = query.clone();
            other.context.seed = shared_models::Seed(seed ^ 1);
            prop_assert_eq!(rows_of(&page), rows_of(&rank(&service, other).unwrap()));
        }
    }
}
