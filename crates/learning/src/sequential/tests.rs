//! Weights from the recent to the next, on lists that can be followed by hand.

use proptest::prelude::*;

use super::*;
use crate::progress::Silent;

/// The sums by their definition: a profile at every place.
fn plain(sequences: &[Vec<u32>], items: usize, profiles: &[Profile]) -> (Matrix, Matrix) {
    let wide = profiles.len() * items;
    let (mut squares, mut next) = (Matrix::zeros(wide, wide), Matrix::zeros(wide, items));
    for sequence in sequences {
        let mut x = vec![0.0; wide];
        for (place, item) in sequence.iter().enumerate() {
            if place > 0 {
                for (i, left) in x.iter().enumerate() {
                    for (j, right) in x.iter().enumerate() {
                        squares.row_mut(i)[j] += left * right;
                    }
                    next.row_mut(i)[*item as usize] += left;
                }
            }
            for (number, Profile { decay, scale }) in profiles.iter().enumerate() {
                let profile = &mut x[number * items..(number + 1) * items];
                profile.iter_mut().for_each(|value| *value *= decay);
                profile[*item as usize] += scale;
            }
        }
    }
    (squares, next)
}

proptest! {
    #[test]
    fn the_closed_form_is_the_sum_over_all_places(
        sequences in prop::collection::vec(prop::collection::vec(0_u32..5, 0..9), 1..6),
        decays in prop::collection::vec((0.6_f32..=1.0, 0.5_f32..2.0), 1..4),
    ) {
        let profiles: Vec<Profile> = decays.into_iter().map(|(decay, scale)| Profile { decay, scale }).collect();
        let (expected_squares, expected_next) = plain(&sequences, 5, &profiles);
        let places = sums::Places::of(&sequences, 5);
        let (mut squares, mut next) =
            (Matrix::zeros(expected_squares.rows, expected_squares.rows), Matrix::zeros(expected_next.rows, 5));
        sums::squares(&places, &sequences, &profiles, &mut squares);
        sums::next(&places, &sequences, &profiles, &mut next);
        for (found, expected) in squares.values.iter().zip(&expected_squares.values) {
            prop_assert!((found - expected).abs() < 1e-2 * (1.0 + expected.abs()), "{found} {expected}");
        }
        for (found, expected) in next.values.iter().zip(&expected_next.values) {
            prop_assert!((found - expected).abs() < 1e-2 * (1.0 + expected.abs()), "{found} {expected}");
        }
    }
}

#[test]
fn what_follows_ranks_first() {
    // 0 is followed by 1, 1 by 2, 2 by 0, always.
    let sequences: Vec<Vec<u32>> = (0..20).map(|n| (0..9).map(|at| (n + at) % 3).collect()).collect();
    let settings = Settings { regularisation: 1.0, ..Settings::default() };
    let model = train(&sequences, 4, &settings, &Silent).unwrap();
    for last in 0..3_u32 {
        let mut scores = [0.0; 4];
        model.score(&[(last + 2) % 3, last], &mut scores);
        let best = (0..4).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
        assert_eq!(best as u32, (last + 1) % 3, "{scores:?}");
    }
    let mut nothing = [1.0; 4];
    model.score(&[], &mut nothing);
    assert_eq!(nothing, [0.0; 4]);
}

#[test]
fn one_decay_and_two_items_by_hand() {
    // Lists [0, 1] twice: Σ x xᵀ = 2 at (0, 0), Σ x eᵀ = 2 at (0, 1), so the weight is 2 / (2 + λ).
    let settings = Settings {
        profiles: vec![Profile { decay: 0.5, scale: 1.0 }],
        regularisation: 2.0,
        popularity_exponent: 0.0,
        ..Settings::default()
    };
    let model = train(&[vec![0, 1], vec![0, 1]], 2, &settings, &Silent).unwrap();
    let mut scores = [0.0; 2];
    model.score(&[0], &mut scores);
    assert!((scores[1] - 0.5).abs() < 1e-6 && scores[0].abs() < 1e-6, "{scores:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let lists = [vec![0, 1]];
    let refused = |settings: &Settings| train(&lists, 2, settings, &Silent).unwrap_err();
    let default = Settings::default();
    assert_eq!(refused(&Settings { most_items: 1, ..default.clone() }), Error::TooMany { items: 2, most: 1 });
    for settings in [
        Settings { profiles: Vec::new(), ..default.clone() },
        Settings { profiles: vec![Profile { decay: 0.0, scale: 1.0 }], ..default.clone() },
        Settings { profiles: vec![Profile { decay: 0.5, scale: f32::NAN }], ..default.clone() },
        Settings { regularisation: 0.0, ..default.clone() },
    ] {
        assert!(matches!(refused(&settings), Error::Setting { .. }), "{settings:?}");
    }
    assert_eq!(train(&[vec![0], vec![]], 2, &default, &Silent).unwrap_err(), Error::Nothing);
}
