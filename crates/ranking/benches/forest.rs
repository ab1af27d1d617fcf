//! What imported models cost: 300 trees of 63 leaves over 100 features, 1,000 rows, one thread. Thresholds are among 254
//! a feature, as LightGBM makes them with its defaults; numbers and trees are drawn at random.
//!
//! `scripts/bench/forest` takes the same figures with trained models, beside LightGBM's own library and lleaves.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up should stop at once")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};
use ranking::scorers::imported::{
    Forest,
    forest::{Binary, Missing, Next, Split, Sum, Tree},
};

const ROWS: usize = 1000;
const FEATURES: usize = 100;
const TREES: usize = 300;
const THRESHOLDS: u32 = 254;

/// Uniform in 0..1.
fn number(random: &mut Xoshiro256PlusPlus) -> f32 {
    (random.next_u32() >> 8) as f32 / (1 << 24) as f32
}

fn below(random: &mut Xoshiro256PlusPlus, end: usize) -> usize {
    random.next_u32() as usize % end
}

/// A tree that grew leaf by leaf.
fn tree(random: &mut Xoshiro256PlusPlus, leaves: usize) -> Tree {
    let mut splits: Vec<Split> = Vec::new();
    let mut hanging: Vec<Option<(usize, bool)>> = vec![None];
    while hanging.len() < leaves {
        let leaf = below(random, hanging.len());
        let number = splits.len();
        if let Some((above, right)) = hanging[leaf] {
            let above = &mut splits[above];
            *(if right { &mut above.right } else { &mut above.left }) = Next::Split(number as u32);
        }
        splits.push(Split {
            feature: below(random, FEATURES) as u32,
            at: (random.next_u32() % THRESHOLDS) as f32 / THRESHOLDS as f32,
            missing: Missing::AsZero,
            left: Next::Leaf(leaf as u32),
            right: Next::Leaf(hanging.len() as u32),
        });
        hanging[leaf] = Some((number, false));
        hanging.push(Some((number, true)));
    }
    let leaves = (0..leaves).map(|_| f64::from(number(random)) - 0.5).collect();
    Tree::Binary(Binary { splits, leaves })
}

fn forest(criterion: &mut Criterion) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let numbers: Vec<f32> = (0..ROWS * FEATURES).map(|_| number(&mut random)).collect();
    let columns: Vec<&[f32]> = numbers.chunks(ROWS).collect();
    let mut group = criterion.benchmark_group("forest");
    group.throughput(Throughput::Elements(ROWS as u64));
    for leaves in [31, 63, 255, 600] {
        let trees = (0..TREES).map(|_| tree(&mut random, leaves)).collect();
        let forest = Forest::new(FEATURES, trees, Sum::PLAIN).unwrap();
        let mut raw = vec![0.0; ROWS];
        group.bench_function(format!("300 x {leaves} leaves, 1000 rows"), |bencher| {
            bencher.iter(|| forest.raw(black_box(&columns), &mut raw));
        });
    }
    group.finish();
}

criterion_group!(benches, forest);
criterion_main!(benches);
