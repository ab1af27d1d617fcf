//! The best k of a long row of scores.

/// The items of the k largest scores, best first, ties by row, without those of `seen` (ascending).
/// Scores that are not finite stand last and never on a list. Overwrites the scores of `seen`.
#[must_use]
pub fn best(scores: &mut [f32], seen: &[u32], k: usize) -> Vec<u32> {
    for item in seen {
        if let Some(score) = scores.get_mut(*item as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
    let mut list: Vec<(f32, u32)> = Vec::with_capacity(2 * k);
    let mut bar = f32::NEG_INFINITY;
    let better = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1));
    for (item, &score) in scores.iter().enumerate() {
        // Rows ascend, so a score equal to the bar's comes later and loses the tie; NaN fails too.
        if score > bar && score < f32::INFINITY {
            list.push((score, item as u32));
            if k > 0 && list.len() == 2 * k {
                list.select_nth_unstable_by(k - 1, better);
                list.truncate(k);
                bar = list[k - 1].0;
            }
        }
    }
    list.sort_unstable_by(better);
    list.truncate(k);
    list.into_iter().map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_sorting_everything(scores in prop::collection::vec((0_u8..20).prop_map(f32::from), 0..200), k in 0_usize..30, seen in prop::collection::btree_set(0_u32..200, 0..20)) {
            let seen: Vec<u32> = seen.into_iter().collect();
            let mut all: Vec<u32> = (0..scores.len() as u32).filter(|item| !seen.contains(item)).collect();
            all.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)));
            all.truncate(k);
            let mut scores = scores;
            prop_assert_eq!(best(&mut scores, &seen, k), all);
        }
    }

    #[test]
    fn what_is_no_number_stands_on_no_list() {
        assert_eq!(best(&mut [f32::NAN, 1.0, f32::INFINITY, 2.0, f32::NEG_INFINITY], &[], 5), [3, 1]);
    }
}
