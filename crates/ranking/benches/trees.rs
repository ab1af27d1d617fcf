//! What trees cost: 300 trees of six levels over 100 columns, 1,000 rows, one thread. The bar is 0.25 µs a row once the
//! table is in bins, the aim 0.14.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up should stop at once")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ranking::scorers::trees::{Borders, Definition, Ensemble, FORM, Level, Tree, Trees};

const ROWS: usize = 1_000;
const COLUMNS: usize = 100;
const TREES: usize = 300;

/// Numbers without order, the same every time.
fn numbers() -> impl FnMut() -> u32 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    }
}

fn trees(depth: usize, borders: usize) -> Trees {
    let mut number = numbers();
    let columns =
        (0..COLUMNS).map(|column| Borders { column, borders: (0..borders).map(|n| n as f32 * 1_000.0).collect() });
    let mut tree = || Tree {
        levels: (0..depth)
            .map(|_| Level { column: number() as usize % COLUMNS, border: number() as usize % borders })
            .collect(),
        leaves: (0..1 << depth).map(|_| number() as f32 / 1e7 - 0.8).collect(),
    };
    let head = Ensemble { bias: 0.0, trees: (0..TREES).map(|_| tree()).collect() };
    Trees::new(Definition { form: FORM, width: COLUMNS, columns: columns.collect(), heads: vec![head] })
        .expect("sound trees")
}

fn bench(criterion: &mut Criterion) {
    let mut number = numbers();
    let columns: Vec<Vec<f32>> =
        (0..COLUMNS).map(|_| (0..ROWS).map(|_| (number() % 260_000) as f32).collect()).collect();
    let mut raw = vec![0.0; ROWS];
    let mut group = criterion.benchmark_group("trees");
    group.throughput(Throughput::Elements(ROWS as u64));
    for depth in [4, 6, 8] {
        let trees = trees(depth, 200);
        let binned = trees.bin(ROWS, |column| &columns[column]);
        group.bench_function(format!("{TREES} trees of {depth} levels"), |bencher| {
            bencher.iter(|| trees.raw(0, black_box(&binned), &mut raw));
        });
    }
    for borders in [15, 30, 60, 250] {
        let trees = trees(6, borders);
        group.bench_function(format!("bins of {COLUMNS} columns, {borders} borders"), |bencher| {
            bencher.iter(|| trees.bin(ROWS, |column| black_box(&columns[column])));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
