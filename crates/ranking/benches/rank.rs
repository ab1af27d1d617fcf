//! What a page costs: 800 candidates, 5 shelves, 64 factors. The goal is half a millisecond of CPU.
//!
//! `page` is the whole run as the service does it, spans and counts included; the rest are its parts. `call` is the whole
//! ranking call in process: the question is checked, 109 features are computed, 300 trees of six levels for each of four
//! actions, calibrated, blended by each shelf's objective, and put into slates by their rules. The bar is 1.0 ms of CPU,
//! the aim 0.4 ms.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot be set up should stop at once")]

#[path = "../tests/it/pages.rs"]
mod pages;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pipeline::StageMetrics;
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::Rng};
use ranking::{
    App, Config,
    features::{COLUMNS, Gathered, Matrix, compute::compute},
    models::Serving,
    pipeline::{self as stages, Page},
    scorers::{
        Scorer,
        calibration::Calibration,
        document::{Document, From, HeadForm},
        trees::{Borders, Definition, Ensemble, FORM, Level, Tree, Trees},
    },
};
use releases::{Parts, Store, Tiles, vectors};
use service_runtime::{Deadline, Runtime, metrics::Metrics};
use shared_models::{Seed, SystemClock, component::Action, explore::Explore, plan::RankQuery};

const ROWS: usize = 800;
const SHELVES: usize = 5;
const DIMENSIONS: usize = 64;
/// As many vectors as a known listener's page compares its candidates with.
const QUERIES: usize = 24;

/// A home page: every shelf sees half of the candidates, with diversity, a cap and exploration.
fn home(release: &releases::Release) -> RankQuery {
    let mut query = pages::page(ROWS, SHELVES, 3, Some(release));
    for shelf in &mut query.shelves {
        shelf.slate.diversity = 0.2;
        shelf.slate.max_per_artist = 2;
        shelf.slate.explore = Explore::Epsilon { share: 0.05 };
    }
    query
}

/// A scorer with 300 trees of six levels for each action, over borders where the page's own numbers lie.
fn four_heads(matrix: &Matrix) -> Vec<u8> {
    const TREES: usize = 300;
    const BORDERS: usize = 64;
    let mut random = Seed(4).stream("trees");
    let below = |random: &mut Xoshiro256PlusPlus, most: usize| (random.next_u64() % most as u64) as usize;
    let mut columns: Vec<Borders> = Vec::new();
    for (column, numbers) in matrix.columns().enumerate() {
        let mut numbers = numbers.to_vec();
        numbers.sort_by(f32::total_cmp);
        let mut borders: Vec<f32> = (1..BORDERS).map(|n| numbers[n * numbers.len() / BORDERS]).collect();
        borders.dedup();
        columns.push(Borders { column, borders });
    }
    let mut tree = || Tree {
        levels: (0..6)
            .map(|_| {
                let column = below(&mut random, COLUMNS);
                Level { column, border: below(&mut random, columns[column].borders.len()) }
            })
            .collect(),
        leaves: (0..64).map(|_| (random.next_u64() >> 40) as f32 / (1_u64 << 27) as f32 - 0.0625).collect(),
    };
    let heads = (0..Action::ALL.len()).map(|_| Ensemble { bias: -1.0, trees: (0..TREES).map(|_| tree()).collect() });
    let heads = heads.collect();
    let trees = Trees::new(Definition { form: FORM, width: COLUMNS, columns, heads }).expect("sound trees");
    let head = |(head, action): (usize, &Action)| HeadForm {
        action: *action,
        from: From::Trees { head },
        calibration: Calibration::Beta { up: 0.9, down: 1.1, offset: -0.1 },
    };
    let heads = Action::ALL.iter().enumerate().map(head).collect();
    Document::new(Some(trees), heads).to_json().expect("a document")
}

/// The service with a release of such a scorer.
fn service(runtime: &tokio::runtime::Runtime, matrix: &Matrix, folder: &std::path::Path) -> (App, Runtime) {
    let store = Store::open(folder).expect("a store");
    let parts = Parts { scorer: Some(four_heads(matrix)), ..pages::parts(DIMENSIONS, None) };
    let id = store.write(&pages::tenant(), &parts, pages::meta()).expect("a release");
    store.promote(&pages::tenant(), &id).expect("a sound release");
    let set = |key: &str, value: String| (key.to_owned(), value);
    let set = [set("releases.path", folder.display().to_string())];
    let config: Config = service_runtime::config::load(ranking::config::DEFAULTS, None, "SETLIST_BENCH_NOTHING", &set)
        .expect("a configuration");
    let services = Runtime::new(Arc::new(SystemClock));
    let app = runtime.block_on(App::build(config, &services)).expect("a service");
    (app, services)
}

fn call(criterion: &mut Criterion) {
    let executor =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let release = pages::release(DIMENSIONS);
    let matrix = compute(&home(&release), &Gathered::of(&home(&release), Some(&release)));
    let folder = tempfile::tempdir().expect("a folder");
    let (app, _kept) = service(&executor, &matrix, folder.path());
    let ranking = app.ranking();
    // The vector of a listener is of the release that serves.
    let served = Store::open(folder.path()).and_then(|store| {
        let live = store.live(&pages::tenant())?;
        live.map(|live| store.load(&pages::tenant(), &live)).transpose()
    });
    let served = served.expect("a store").expect("a release");
    let query = home(&served);
    let answer = executor.block_on(ranking.rank(query.clone(), Deadline::within(Duration::from_secs(5))));
    let answer = answer.expect("a page");
    assert!(answer.degraded.is_empty() && answer.slates.len() == SHELVES, "{:?}", answer.degraded);
    let serving = Serving::new(Arc::new(served)).expect("a sound scorer");
    let scorer = serving.scorer.as_ref().expect("a scorer");
    let matrix = compute(&query, &Gathered::of(&query, Some(&serving.release)));

    let mut group = criterion.benchmark_group("call");
    group.bench_function("four heads of 300 trees", |bencher| bencher.iter(|| scorer.predict(black_box(&matrix))));
    group.bench_function("800 candidates, 109 features, four heads, slates", |bencher| {
        let run = |query| {
            let deadline = Deadline::within(Duration::from_secs(5));
            executor.block_on(ranking.rank(query, deadline)).expect("a page")
        };
        bencher.iter_batched(|| query.clone(), run, BatchSize::SmallInput);
    });
    group.finish();
}

fn rank(criterion: &mut Criterion) {
    let release = pages::release(DIMENSIONS);
    let serving = Arc::new(Serving::new(Arc::clone(&release)).expect("a sound scorer"));
    let query = home(&release);
    let gathered = Gathered::of(&query, Some(&release));
    let matrix = compute(&query, &gathered);
    let model = pages::scorer();
    let pipeline = stages::build(Duration::from_secs(1), StageMetrics::register(&Metrics::new(), "ranking"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");

    let mut group = criterion.benchmark_group("rank");
    group.bench_function("gather", |bencher| bencher.iter(|| Gathered::of(black_box(&query), Some(&release))));
    group.bench_function("cosines_one_by_one", |bencher| {
        let mut cosines = vec![0.0; ROWS];
        bencher.iter(|| {
            for query in 0..QUERIES {
                vectors::dot_many(gathered.candidates.unit(query), gathered.candidates.values(), &mut cosines);
                black_box(&cosines);
            }
        });
    });
    group.bench_function("cosines_in_tiles", |bencher| {
        let queries: Vec<&[f32]> = (0..QUERIES).map(|query| gathered.candidates.unit(query)).collect();
        let units = &gathered.candidates;
        bencher.iter(|| Tiles::of(black_box(units.values()), units.stride()).products(&queries));
    });
    group.bench_function("features", |bencher| bencher.iter(|| compute(black_box(&query), &gathered)));
    group.bench_function("predict", |bencher| bencher.iter(|| model.predict(black_box(&matrix))));
    group.bench_function("page", |bencher| {
        let run = |query| {
            let page = Page::new(query, Some(Arc::clone(&serving)));
            let deadline = Deadline::within(Duration::from_secs(5));
            runtime.block_on(pipeline.run(&page, ROWS, deadline)).expect("a page")
        };
        bencher.iter_batched(|| query.clone(), run, BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, rank, call);
criterion_main!(benches);
