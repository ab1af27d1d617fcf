//! How long the inner work of training takes: an epoch of the solver on generated data, the dot
//! products and the fold-in that serving shares, the neighbours.
//!
//! `cargo bench -p learning`

use std::{hint::black_box, num::NonZeroUsize};

use criterion::{Criterion, criterion_group, criterion_main};
use learning::{
    factors::{Interactions, Settings, Solver, train},
    neighbours,
};
use rand::RngExt;
use releases::vectors;
use shared_models::Seed;

const USERS: u32 = 5_000;
const ITEMS: u32 = 4_000;

/// 27 items a user on average; an item's chance falls with its row, as music's does.
fn generated() -> Interactions {
    let mut random = Seed(1).stream("bench");
    let entries: Vec<(u32, u32, f32)> = (0..USERS * 27)
        .map(|_| {
            let item = (random.random::<f32>().powi(3) * ITEMS as f32) as u32;
            (random.random_range(0..USERS), item.min(ITEMS - 1), 1.0)
        })
        .collect();
    // The entries lie inside by construction.
    Interactions::from_entries(USERS as usize, ITEMS as usize, &entries).unwrap_or_default()
}

fn epochs(criterion: &mut Criterion) {
    let interactions = generated();
    let mut group = criterion.benchmark_group("epoch of 64 factors");
    group.sample_size(10);
    for (name, solver) in [
        ("conjugate gradient, 3 steps", Solver::ConjugateGradient(NonZeroUsize::MIN.saturating_add(2))),
        ("cholesky", Solver::Cholesky),
    ] {
        let settings = Settings { epochs: 1, solver, threads: 2, ..Settings::default() };
        group.bench_function(name, |bencher| {
            bencher.iter(|| train(black_box(&interactions), &settings, &mut |_| {}));
        });
    }
    group.finish();
    criterion.bench_function("neighbours, 100 of each of 4,000 items", |bencher| {
        bencher.iter(|| neighbours::nearest(black_box(&interactions), &neighbours::Settings::default()));
    });
}

fn products(criterion: &mut Criterion) {
    let table: Vec<f32> = (0..10_000 * 64).map(|n| (n as f32 * 0.37).sin()).collect();
    let query: Vec<f32> = (0..64).map(|n| (n as f32 * 0.11).cos()).collect();
    criterion.bench_function("dot of 64", |bencher| {
        bencher.iter(|| vectors::dot(black_box(&query), black_box(&table[640..704])));
    });
    let mut out = vec![0.0; 10_000];
    criterion.bench_function("dot_many of 10,000 rows of 64", |bencher| {
        bencher.iter(|| vectors::dot_many(black_box(&query), black_box(&table), &mut out));
    });
    if let Ok(factors) = releases::Factors::new(64, &table, 10.0, 0.1, 0.5) {
        let profile: Vec<(u32, f32)> = (0..100).map(|n| (n * 97, 10.0)).collect();
        criterion.bench_function("fold-in of 100 items, 64 factors", |bencher| {
            bencher.iter(|| factors.fold_in(black_box(&profile)));
        });
    }
}

criterion_group!(benches, epochs, products);
criterion_main!(benches);
