//! Derivatives that order the rows of a group: for each pair in the wrong order a push, as large as NDCG would change
//! were the two to change places. Burges, "From RankNet to LambdaRank to LambdaMART: An Overview" (2010); the
//! normalisation is that of LightGBM.

use rayon::prelude::*;

use super::{packed::hash, table::Table};

/// What a relevant row gains in DCG.
pub(super) fn gain(label: f32) -> f64 {
    f64::from(label).exp2() - 1.0
}

/// What a gain is worth at a place, the first being 0.
pub(super) fn discount(place: usize) -> f64 {
    1.0 / (place as f64 + 2.0).log2()
}

/// The largest DCG that these labels can have within so many places.
pub(super) fn ideal(labels: &[f32], length: usize) -> f64 {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted.iter().take(length).enumerate().map(|(place, label)| gain(*label) * discount(place)).sum()
}

/// One group: what its rows are, and where their derivatives go.
pub(super) struct Group<'a> {
    /// The place of its first row in the table.
    start: usize,
    labels: &'a [f32],
    scores: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

/// Lets `derive` write the derivatives of each group's rows.
pub(super) fn each_group(
    table: &Table<'_>,
    scores: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    derive: impl Fn(Group<'_>) + Sync + Send,
) {
    // Each group has its own rows: they are cut off one after another.
    let (mut first, mut second) = (first, second);
    let mut groups: Vec<Group<'_>> = Vec::new();
    for range in table.ranges() {
        let (group_first, rest) = std::mem::take(&mut first).split_at_mut(range.len());
        let (group_second, rest_second) = std::mem::take(&mut second).split_at_mut(range.len());
        (first, second) = (rest, rest_second);
        let (labels, scores) = (&table.labels[range.clone()], &scores[range.clone()]);
        groups.push(Group { start: range.start, labels, scores, first: group_first, second: group_second });
    }
    groups.into_par_iter().for_each(derive);
}

/// A group's derivatives while they grow.
struct Pushes {
    first: Vec<f64>,
    second: Vec<f64>,
    total: f64,
}

impl Pushes {
    fn new(rows: usize) -> Self {
        Self { first: vec![0.0; rows], second: vec![0.0; rows], total: 0.0 }
    }

    /// A pair pushes its rows apart, the more the less their scores already are: the logistic loss of a pair.
    fn add(&mut self, group: &Group<'_>, high: usize, low: usize, weight: f64) {
        let apart = f64::from(group.scores[high]) - f64::from(group.scores[low]);
        let wrong = 1.0 / (1.0 + apart.exp());
        let (push, curve) = (wrong * weight, wrong * (1.0 - wrong) * weight);
        self.first[high] -= push;
        self.first[low] += push;
        self.second[high] += curve;
        self.second[low] += curve;
        self.total += 2.0 * push;
    }

    fn write(&self, factor: f64, group: &mut Group<'_>) {
        for (place, number) in group.first.iter_mut().zip(&self.first) {
            *place = (number * factor) as f32;
        }
        for (place, number) in group.second.iter_mut().zip(&self.second) {
            *place = (number * factor) as f32;
        }
    }
}

/// The lambda gradients of a group.
pub(super) fn lambdas(mut group: Group<'_>, truncation: usize, is_normalised: bool) {
    let (labels, scores) = (group.labels, group.scores);
    let mut pushes = Pushes::new(labels.len());
    let ideal = ideal(labels, truncation);
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let is_level = order.first().zip(order.last()).is_none_or(|(a, b)| scores[*a] == scores[*b]);
    for (place, row) in order.iter().enumerate().take(if ideal > 0.0 { truncation } else { 0 }) {
        for (other_place, other) in order.iter().enumerate().skip(place + 1) {
            if labels[*row] == labels[*other] {
                continue;
            }
            let (high, low) = if labels[*row] > labels[*other] { (*row, *other) } else { (*other, *row) };
            let gains = gain(labels[high]) - gain(labels[low]);
            let mut change = gains * (discount(place) - discount(other_place)) / ideal;
            if is_normalised && !is_level {
                change /= 0.01 + f64::from((scores[high] - scores[low]).abs());
            }
            pushes.add(&group, high, low, change);
        }
    }
    let total = pushes.total;
    let factor = if is_normalised && total > 0.0 { (1.0 + total).log2() / total } else { 1.0 };
    pushes.write(factor, &mut group);
}

/// A group's gradients by neighbours in disturbed orders: scores are log-odds, to which the logistic noise of each order
/// is added.
pub(super) fn disturbed(mut group: Group<'_>, orders: usize, decay: f64, seed: u32) {
    let labels = group.labels;
    let mut pushes = Pushes::new(labels.len());
    let mut order: Vec<(f64, usize)> = Vec::with_capacity(labels.len());
    for n in 0..orders {
        let chance = hash(seed ^ (n as u32).wrapping_mul(0x9e37_79b9));
        order.clear();
        order.extend(group.scores.iter().enumerate().map(|(row, score)| {
            let u = (f64::from(hash((group.start + row) as u32 ^ chance)) + 0.5) / 4_294_967_296.0;
            (f64::from(*score) + (u / (1.0 - u)).ln(), row)
        }));
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut weight = 1.0 / orders as f64;
        for pair in order.windows(2) {
            let (a, b) = (pair[0].1, pair[1].1);
            let apart = f64::from((labels[a] - labels[b]).abs());
            let (high, low) = if labels[a] > labels[b] { (a, b) } else { (b, a) };
            if apart > 0.0 {
                pushes.add(&group, high, low, apart * weight);
            }
            weight *= decay;
        }
    }
    pushes.write(1.0, &mut group);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derivatives(labels: &[f32], scores: &[f32], derive: impl Fn(Group<'_>)) -> (Vec<f32>, Vec<f32>) {
        let (mut first, mut second) = (vec![9.0; labels.len()], vec![9.0; labels.len()]);
        derive(Group { start: 0, labels, scores, first: &mut first, second: &mut second });
        (first, second)
    }

    #[test]
    fn pairs_in_the_wrong_order_push_the_most() {
        let check = |derive: &dyn Fn(Group<'_>)| {
            let (first, second) = derivatives(&[0.0, 2.0, 1.0], &[2.0, 0.0, 1.0], derive);
            assert!(first[1] < 0.0 && first[0] > 0.0, "{first:?}");
            assert!((first.iter().sum::<f32>()).abs() < 1e-6);
            assert!(second.iter().all(|second| *second > 0.0));
            let level = derivatives(&[1.0; 3], &[2.0, 0.0, 1.0], derive);
            assert_eq!(level, (vec![0.0; 3], vec![0.0; 3]));
        };
        check(&|group| lambdas(group, 10, false));
        check(&|group| lambdas(group, 10, true));
        check(&|group| disturbed(group, 50, 0.85, 7));
    }

    #[test]
    fn pairs_behind_the_truncation_do_not_count() {
        let at =
            |truncation| derivatives(&[2.0, 0.0, 1.0], &[3.0, 2.0, 1.0], |group| lambdas(group, truncation, false)).0;
        let (one, two) = (at(1), at(2));
        assert!(two[1] > one[1] && two[2] < one[2], "{one:?} {two:?}");
    }

    #[test]
    fn groups_have_their_own_rows() {
        let (labels, scores) = ([0.0, 1.0, 1.0, 0.0], [0.0; 4]);
        let table = Table { columns: Vec::new(), labels: &labels, weights: None, groups: Some(&[2, 2]) };
        let (mut first, mut second) = ([0.0; 4], [0.0; 4]);
        each_group(&table, &scores, &mut first, &mut second, |group| lambdas(group, 10, true));
        assert!(first[0] > 0.0 && first[0] == first[3] && first[1] == first[2] && first[1] == -first[0]);
    }
}
