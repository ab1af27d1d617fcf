//! The numbers themselves, for one user's list.

/// The share of the held-out items that stand among the first k: `hits / |held out|` (not divided by
/// k where more than k are held out), as NGCF and LightGCN report it.
#[must_use]
pub fn recall(list: &[u32], held_out: &[u32], k: usize) -> f32 {
    if held_out.is_empty() {
        return 0.0;
    }
    let hits = list.iter().take(k).filter(|item| held_out.binary_search(item).is_ok()).count();
    hits as f32 / held_out.len() as f32
}

/// The share of what could have been hit with k: `hits / min(k, |held out|)`, as Mult-VAE and InfAE report it. With one
/// item held out it is whether that item stands among the first k.
#[must_use]
pub fn hit_rate(list: &[u32], held_out: &[u32], k: usize) -> f32 {
    if held_out.is_empty() || k == 0 {
        return 0.0;
    }
    let hits = list.iter().take(k).filter(|item| held_out.binary_search(item).is_ok()).count();
    hits as f32 / held_out.len().min(k) as f32
}

/// Normalised discounted cumulative gain with binary gains:
/// `Σ_hits 1 / log₂(rank + 1)`, divided by the same sum for a list that begins with all held-out
/// items (Järvelin and Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", TOIS 2002).
#[must_use]
pub fn ndcg(list: &[u32], held_out: &[u32], k: usize) -> f32 {
    let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
    let ideal: f64 = (0..k.min(held_out.len())).map(discount).sum();
    if ideal == 0.0 {
        return 0.0;
    }
    let places = list.iter().take(k).enumerate().filter(|(_, item)| held_out.binary_search(item).is_ok());
    (places.map(|(place, _)| discount(place)).sum::<f64>() / ideal) as f32
}

/// The share of `items` items that stand among the first k of at least one list.
#[must_use]
pub fn coverage(lists: &[Vec<u32>], k: usize, items: usize) -> f64 {
    let mut shown = vec![false; items];
    for item in lists.iter().flat_map(|list| list.iter().take(k)) {
        if let Some(shown) = shown.get_mut(*item as usize) {
            *shown = true;
        }
    }
    if items == 0 { 0.0 } else { shown.iter().filter(|shown| **shown).count() as f64 / items as f64 }
}

/// The mean; 0 of nothing.
#[must_use]
pub fn mean(values: &[f32]) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_rows() {
        // (list, held out, k, recall, ndcg by hand)
        let log3 = 1.0 / 3.0_f32.log2();
        for (list, held_out, k, expected_recall, expected_ndcg) in [
            (&[1, 2, 3][..], &[1, 2, 3][..], 3, 1.0, 1.0),
            (&[9, 1], &[1], 2, 1.0, log3),
            (&[9, 1], &[1], 1, 0.0, 0.0),
            (&[1, 9], &[1, 5], 2, 0.5, 1.0 / (1.0 + log3)),
            (&[1, 2], &[1, 2, 3, 4], 2, 0.5, 1.0),
            (&[], &[1], 5, 0.0, 0.0),
            (&[1], &[], 5, 0.0, 0.0),
        ] {
            assert!((recall(list, held_out, k) - expected_recall).abs() < 1e-6, "{list:?} {held_out:?} {k}");
            let of_possible = expected_recall * held_out.len() as f32 / held_out.len().min(k).max(1) as f32;
            assert!((hit_rate(list, held_out, k) - of_possible).abs() < 1e-6, "{list:?} {held_out:?} {k}");
            assert!((ndcg(list, held_out, k) - expected_ndcg).abs() < 1e-6, "{list:?} {held_out:?} {k}");
        }
    }

    #[test]
    fn coverage_counts_each_item_once() {
        assert_eq!(coverage(&[vec![0, 1, 2], vec![1, 3]], 2, 8), 0.375);
        assert_eq!(coverage(&[], 2, 0), 0.0);
    }
}
