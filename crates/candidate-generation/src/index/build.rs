//! How the lists of a release are made: by directions learnt from a sample, longest rows first.

use rayon::prelude::*;
use releases::{
    Factors, Lists,
    lists::{LANES, NOBODY, ZERO},
    vectors::dot,
};

use super::{kernel, kmeans};

/// A row on its way to its place.
#[derive(Clone, Copy)]
struct Bound {
    list: u32,
    length: f32,
    row: u32,
}

/// The lists of these factors, on the processors of the rayon pool that this is called in; up to `exact_below` rows
/// stand in one. Takes about ten seconds of processor time for a million rows of 64 numbers.
#[must_use]
pub fn lists(factors: &Factors, exact_below: usize) -> Lists {
    let stride = factors.stride();
    let known: Vec<u32> =
        (0..factors.rows as u32).filter(|row| factors.row(*row).iter().any(|value| *value != 0.0)).collect();
    if known.is_empty() {
        return Lists { stride, of_rows: factors.rows, starts: vec![0].into(), ..Lists::default() };
    }
    if known.len() <= exact_below {
        let bound = known.iter().map(|row| Bound { list: 0, length: length(factors.row(*row)), row: *row }).collect();
        return place(factors, &kmeans::Centres { stride, values: vec![0.0; stride] }, bound);
    }
    let count = ((known.len() as f64).sqrt() * 2.0) as usize;
    let centres = kmeans::learn(&factors.values, stride, &known, count);
    let lists = centres.assign(&factors.values, &known);
    let bound = known
        .par_iter()
        .zip(lists)
        .map(|(row, list)| Bound { list, length: length(factors.row(*row)), row: *row })
        .collect();
    place(factors, &centres, bound)
}

fn length(row: &[f32]) -> f32 {
    dot(row, row).sqrt()
}

/// Puts rows into blocks, list by list.
fn place(factors: &Factors, centres: &kmeans::Centres, mut bound: Vec<Bound>) -> Lists {
    let stride = centres.stride;
    bound.par_sort_unstable_by(|a, b| a.list.cmp(&b.list).then(b.length.total_cmp(&a.length)).then(a.row.cmp(&b.row)));
    let mut starts = vec![0_u32];
    let mut spreads = Vec::with_capacity(centres.len());
    let (mut rows, mut lengths) = (Vec::new(), Vec::new());
    let mut rest = bound.as_slice();
    for (list, centre) in centres.values.chunks_exact(stride).enumerate() {
        let (of_list, others) = rest.split_at(rest.partition_point(|bound| bound.list as usize <= list));
        rest = others;
        let mut squares = 0.0;
        for block in of_list.chunks(LANES) {
            lengths.push(block.first().map_or(0.0, |bound| bound.length));
            rows.extend(block.iter().map(|bound| bound.row));
            rows.resize(rows.len().next_multiple_of(LANES), NOBODY);
            for bound in block {
                let cosine = dot(factors.row(bound.row), centre) / bound.length.max(f32::MIN_POSITIVE);
                squares += f64::from((1.0 - cosine * cosine).max(0.0));
            }
        }
        spreads.push((squares / of_list.len().max(1) as f64).sqrt() as f32);
        starts.push(lengths.len() as u32);
    }
    let mut steps = vec![0.0; rows.len()];
    let mut codes = vec![ZERO; rows.len() * stride];
    codes
        .par_chunks_exact_mut(stride * LANES)
        .zip(steps.par_chunks_exact_mut(LANES))
        .zip(rows.par_chunks_exact(LANES))
        .for_each(|((codes, steps), rows)| {
            let mut coded = vec![0; stride];
            for (lane, (row, step)) in rows.iter().zip(steps).enumerate().filter(|(_, (row, _))| **row != NOBODY) {
                *step = kernel::quantise(factors.row(*row), &mut coded);
                kernel::put(&coded, lane, codes);
            }
        });
    Lists {
        stride,
        of_rows: factors.rows,
        centres: centres.values.clone().into(),
        spreads: spreads.into(),
        starts: starts.into(),
        lengths: lengths.into(),
        rows: rows.into(),
        steps: steps.into(),
        codes: codes.into(),
    }
}
