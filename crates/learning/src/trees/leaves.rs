//! What a leaf says: the step that lowers the loss the most, by its second-order approximation with a penalty. A leaf
//! with too little weight says what the smallest part of the tree around it says that has enough.

use super::{
    grow::Grown,
    settings::{Direction, Settings},
};

/// The numbers of a tree's leaves, before shrinkage.
pub(super) fn values(grown: &Grown, directions: &[Option<Direction>], settings: &Settings) -> Vec<f32> {
    let depth = grown.levels.len();
    let (l2, least) = (f64::from(settings.l2) + 1e-16, f64::from(settings.min_weight));
    // The sums of all nodes, from the leaves to the root: nodes of a level differ in its bit.
    let mut nodes = vec![grown.sums.clone()];
    for level in (0..depth).rev() {
        let Some(below) = nodes.last() else { break };
        let (low, high) = below.split_at(1 << level);
        nodes.push(low.iter().zip(high).map(|(a, b)| (a.0 + b.0, a.1 + b.1)).collect());
    }
    let mut values: Vec<f64> = (0..grown.sums.len())
        .map(|leaf| {
            let mut parts = nodes.iter().filter_map(|level| level.get(leaf % level.len()));
            let heavy =
                parts.clone().find(|(_, weight)| *weight >= least && *weight > 0.0).or_else(|| parts.next_back());
            heavy.map_or(0.0, |(first, second)| -first / (second + l2))
        })
        .collect();
    let weights: Vec<f64> = grown.sums.iter().map(|(_, second)| second + l2).collect();
    order(&mut values, &weights, directions);
    values.into_iter().map(|value| value as f32).collect()
}

/// Makes values rise, or fall, with the answers of levels that have a direction: pairs on the wrong sides of each other
/// meet at their mean, again and again, and what is then left is lifted.
fn order(values: &mut [f64], weights: &[f64], directions: &[Option<Direction>]) {
    let bits: Vec<(usize, Direction)> =
        directions.iter().enumerate().filter_map(|(level, direction)| Some((1 << level, (*direction)?))).collect();
    for _ in 0..if bits.is_empty() { 0 } else { 20 } {
        for (bit, direction) in &bits {
            for low in (0..values.len()).filter(|leaf| leaf & bit == 0) {
                let high = low | bit;
                let is_wrong = match direction {
                    Direction::Rising => values[low] > values[high],
                    Direction::Falling => values[low] < values[high],
                };
                if is_wrong {
                    let weight = weights[low] + weights[high];
                    let mean = (values[low] * weights[low] + values[high] * weights[high]) / weight;
                    (values[low], values[high]) = (mean, mean);
                }
            }
        }
    }
    // Upwards from the leaf where every answer is the low one: none is below those that it must not be below.
    let falling: usize =
        bits.iter().filter(|(_, direction)| *direction == Direction::Falling).map(|(bit, _)| bit).sum();
    for step in 0..values.len() {
        for (bit, _) in bits.iter().filter(|(bit, _)| step & bit != 0) {
            values[step ^ falling] = values[step ^ falling].max(values[step ^ falling ^ bit]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trees::split::Split;

    fn grown(sums: &[(f64, f64)]) -> Grown {
        let levels = vec![Split { feature: 0, border: 0, gain: 1.0 }; sums.len().ilog2() as usize];
        Grown { levels, sums: sums.to_vec() }
    }

    #[test]
    fn leaves_are_steps_and_light_ones_say_what_is_around_them() {
        let settings = Settings { l2: 1.0, min_weight: 1.0, ..Settings::default() };
        let grown = grown(&[(-2.0, 3.0), (4.0, 1.0), (0.5, 0.25), (0.0, 0.0)]);
        // The third shares the first bit with the first: -(-2 + 0.5) / (3 + 0.25 + 1).
        assert_eq!(values(&grown, &[None, None], &settings), [0.5, -2.0, (1.5 / 4.25) as f32, -2.0]);
    }

    #[test]
    fn leaves_rise_and_fall_as_they_must() {
        let settings = Settings { l2: 0.0, min_weight: 0.0, ..Settings::default() };
        let sums: Vec<(f64, f64)> = (0..16).map(|n| (f64::from(n * 7 % 11) - 5.0, f64::from(1 + n % 3))).collect();
        let directions = [Some(Direction::Rising), None, Some(Direction::Falling), Some(Direction::Rising)];
        let values = values(&grown(&sums), &directions, &settings);
        for leaf in 0..16 {
            assert!(leaf & 1 == 1 || values[leaf] <= values[leaf | 1]);
            assert!(leaf & 4 == 4 || values[leaf] >= values[leaf | 4]);
            assert!(leaf & 8 == 8 || values[leaf] <= values[leaf | 8]);
        }
    }
}
