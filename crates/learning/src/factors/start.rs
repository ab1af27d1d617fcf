//! Where training starts from: random item factors, which may be spread over the interactions.
//!
//! It must not know how factors are solved.

use rand_distr::{Distribution, StandardNormal};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};

use super::{Interactions, Settings, lines::Rows};

/// Rows that threads take at a time.
const BLOCK: usize = 256;

/// Item factors of deviation `σ / √k`.
pub(crate) fn initial(by_user: &Interactions, by_item: &Interactions, settings: &Settings) -> Rows {
    let dimensions = settings.dimensions;
    let mut random = settings.seed.stream("factors/items");
    let mut items = Rows::zeros(by_item.rows(), dimensions);
    let scale = settings.initial_deviation / (dimensions as f32).sqrt();
    for row in 0..items.len() {
        for value in &mut items.row_mut(row)[..dimensions] {
            let normal: f32 = StandardNormal.sample(&mut random);
            *value = normal * scale;
        }
    }
    if !settings.spread {
        return items;
    }
    let (of_users, of_items) = (roots(by_user), roots(by_item));
    let mut users = Rows::zeros(by_user.rows(), dimensions);
    spread(by_user, &of_users, &of_items, &items, &mut users);
    spread(by_item, &of_items, &of_users, &users, &mut items);
    let squares: f64 = items.values().iter().map(|value| f64::from(value * value)).sum();
    let deviation = (squares / (items.len() * dimensions) as f64).sqrt() as f32;
    let factor = scale / deviation.max(f32::MIN_POSITIVE);
    items.values_mut().iter_mut().for_each(|value| *value *= factor);
    items
}

/// `1 / √n` for a row of n entries.
fn roots(interactions: &Interactions) -> Vec<f32> {
    (0..interactions.rows()).map(|row| 1.0 / (interactions.row(row).0.len().max(1) as f32).sqrt()).collect()
}

/// `into = D₁ R D₂ from`, of the matrix R of what was chosen, without its weights.
fn spread(interactions: &Interactions, of_rows: &[f32], of_columns: &[f32], from: &Rows, into: &mut Rows) {
    let stride = into.stride();
    into.blocks_mut(BLOCK).enumerate().for_each(|(block, rows)| {
        for (at, into) in rows.chunks_exact_mut(stride).enumerate() {
            let row = block * BLOCK + at;
            into.fill(0.0);
            for column in interactions.row(row).0 {
                add(of_rows[row] * of_columns[*column as usize], from.row(*column as usize), into);
            }
        }
    });
}

fn add(weight: f32, row: &[f32], into: &mut [f32]) {
    for (into, value) in into.iter_mut().zip(row) {
        *into += weight * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use releases::vectors::dot;

    #[test]
    fn items_of_the_same_users_start_alike() {
        let entries: Vec<_> = (0..20_u32).flat_map(|user| [(user, user % 2, 1.0), (user, 2 + user % 2, 1.0)]).collect();
        let by_user = Interactions::from_entries(20, 5, &entries).unwrap();
        let settings = Settings { spread: true, ..Settings::default() };
        let items = initial(&by_user, &by_user.transpose(), &settings);
        let cosine = |a, b| {
            let (a, b) = (items.row(a), items.row(b));
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        assert!(cosine(0, 2) > 0.99 && cosine(1, 3) > 0.99 && cosine(0, 1).abs() < 0.5);
        assert!(items.row(4).iter().all(|value| *value == 0.0));
    }
}
