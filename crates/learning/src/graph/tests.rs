//! Graph filters on a path that can be filtered by hand.

use super::*;
use crate::progress::Silent;

/// Two users who share item 1: the graph 0 - u0 - 1 - u1 - 2, and item 3 that nobody chose.
fn path() -> Interactions {
    Interactions::from_entries(2, 4, &[(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0), (1, 2, 1.0)]).unwrap()
}

fn scores(chosen: &Interactions, settings: &Settings, users: &[u32]) -> Vec<f32> {
    let mut scores = vec![0.0; users.len() * chosen.columns()];
    Filter::of(chosen, settings, &Silent).scorer(chosen.clone()).score(users, &mut scores);
    scores
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
    }
}

#[test]
fn the_linear_part_by_hand() {
    // Degrees: users 2, 2; items 1, 2, 1. P = [[1/2, 1/√8, 0], [1/√8, 1/2, 1/√8], [0, 1/√8, 1/2]].
    let linear = Settings { signals: 0, ..Settings::gf_cf() };
    let e = 1.0 / 8.0_f32.sqrt();
    close(&scores(&path(), &linear, &[0]), &[0.5 + e, 0.5 + e, e, 0.0]);
    // c = 0 undoes the last division by √degree.
    let lifted = Settings { end_exponent: 0.0, ..linear };
    close(&scores(&path(), &lifted, &[0]), &[0.5 + e, 2.0_f32.sqrt() * (0.5 + e), e, 0.0]);
}

#[test]
fn with_all_signals_the_low_pass_leaves_the_span_of_rows_as_it_is() {
    // V spans the rows of S; D^-½ x is such a row (times the user's degree), so the projection gives x back.
    let settings = Settings { signals: 4, low_pass: 1.0, rounds: 8, ..Settings::gf_cf() };
    let linear = scores(&path(), &Settings { signals: 0, ..Settings::gf_cf() }, &[0, 1]);
    let both = scores(&path(), &settings, &[0, 1]);
    let low_pass: Vec<f32> = both.iter().zip(&linear).map(|(both, linear)| both - linear).collect();
    close(&low_pass, &[1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn one_signal_is_what_everybody_gets() {
    // The leading singular vector of S is √degree, so the low pass of one signal ranks by degree.
    let settings = Settings { signals: 1, low_pass: 100.0, rounds: 30, ..Settings::gf_cf() };
    let found = scores(&path(), &settings, &[0]);
    assert!((found[1] / found[2] - 2.0).abs() < 0.1, "{found:?}");
}

#[test]
fn sharpening_takes_off_what_a_further_walk_says() {
    let plain = Settings { signals: 0, ..Settings::gf_cf() };
    let sharp = Settings { sharpening: 0.5, ..plain };
    let z = scores(&path(), &plain, &[0]);
    let e = 1.0 / 8.0_f32.sqrt();
    let step = |z: &[f32]| vec![0.5 * z[0] + e * z[1], e * z[0] + 0.5 * z[1] + e * z[2], e * z[1] + 0.5 * z[2], 0.0];
    let (mut power, mut expected, mut weight) = (z.clone(), z, 1.0);
    for order in 1..=4 {
        weight *= -0.5 / order as f32;
        power = step(&power);
        expected.iter_mut().zip(&power).for_each(|(sum, power)| *sum += weight * power);
    }
    close(&scores(&path(), &sharp, &[0]), &expected);
}

#[test]
fn users_are_scored_alike_alone_and_together() {
    let entries: Vec<_> =
        (0..40_u32).flat_map(|user| (0..5).map(move |n| (user, (user * (n + 3) + n) % 30, 1.0))).collect();
    let chosen = Interactions::from_entries(40, 30, &entries).unwrap();
    let settings = Settings { signals: 6, sharpening: 1.0, ..Settings::gf_cf() };
    let users: Vec<u32> = (0..40).collect();
    let together = scores(&chosen, &settings, &users);
    for user in [0, 15, 16, 39] {
        close(&scores(&chosen, &settings, &[user]), &together[user as usize * 30..][..30]);
    }
}
