//! What a page costs: 800 candidates, 5 shelves, 64 factors. The goal is half a millisecond of CPU.
//!
//! `page` is the whole run as the service does it, spans and counts included; the rest are its parts.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot be set up should stop at once")]

#[path = "../tests/it/pages.rs"]
mod pages;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pipeline::StageMetrics;
use ranking::{
    features::{Gathered, compute::compute},
    models::Serving,
    pipeline::{self as stages, Page},
    scorers::Scorer,
};
use releases::{Tiles, vectors};
use service_runtime::{Deadline, metrics::Metrics};
use shared_models::{explore::Explore, plan::RankQuery};

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

criterion_group!(benches, rank);
criterion_main!(benches);
