//! The gradient of the contrast, and what is learnt from little data.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::*;
use crate::progress::{Silent, Stage};

fn groups() -> Interactions {
    let entries: Vec<_> = (0..40_u32)
        .flat_map(|user| {
            let first = user % 2 * 10;
            (first..first + 10).filter(move |item| *item != first + user / 4).map(move |item| (user, item, 1.0))
        })
        .collect();
    Interactions::from_entries(40, 21, &entries).unwrap()
}

fn small() -> Settings {
    Settings { dimensions: 4, epochs: 8, negatives: 16, batch: 64, temperature: 0.2, ..Settings::default() }
}

#[test]
fn items_of_the_same_users_lie_together_and_users_find_what_is_missing() {
    let chosen = groups();
    let model = train(&chosen, &small(), &Silent).unwrap();
    assert!(dot(model.items.row(0), model.items.row(5)) > 0.6);
    assert!(dot(model.items.row(0), model.items.row(15)) < 0.4);
    assert!(model.items.row(20).iter().all(|value| *value == 0.0), "nobody chose it");
    for item in 0..20 {
        assert!((dot(model.items.row(item), model.items.row(item)) - 1.0).abs() < 1e-4);
    }
    let scorer = ContrastScorer { model, given: chosen.clone() };
    for user in 0..40_u32 {
        let mut scores = vec![0.0; 21];
        scorer.score(&[user], &mut scores);
        let best = crate::evaluate::top::best(&mut scores, chosen.row(user as usize).0, 1);
        assert_eq!(best, [user % 2 * 10 + user / 4]);
    }
}

#[test]
fn the_gradient_is_that_of_the_loss() {
    let chosen =
        Interactions::from_entries(2, 5, &[(0, 0, 1.0), (0, 1, 0.5), (0, 2, 2.0), (1, 2, 1.0), (1, 3, 1.0)]).unwrap();
    let mut random = Seed(3).stream("gradient");
    let mut units = Matrix::zeros(5, 3);
    units.values.iter_mut().for_each(|value| *value = random.random_range(-1.0..1.0));
    let at = |units: &Matrix| batch::step(&chosen, &[0, 1], &[4, 1], units, 0.7);
    let gradient = at(&units).gradient;
    for place in 0..15 {
        let moved = |by: f32| {
            let mut units = units.clone();
            units.values[place] += by;
            at(&units).loss / 5.0
        };
        let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!(
            (slope - f64::from(gradient.values[place])).abs() < 2e-3,
            "{place}: {slope} {}",
            gradient.values[place]
        );
    }
}

#[test]
fn what_is_chosen_much_is_longer_where_it_is_looked_for() {
    let of = lengths(&[0.0, 3.0, 8.0, 400.0], 0.5);
    assert!(of.is_sorted_by(|a, b| a < b) && of[0] == 0.5, "{of:?}");
    assert_eq!(lengths(&[0.0, 9.0], 0.0), [1.0, 1.0]);
    let chosen = groups();
    let model = train(&chosen, &Settings { lift: 0.1, ..small() }, &Silent).unwrap();
    let scorer = ContrastScorer { model: Model { lengths: vec![2.0; 21], ..model.clone() }, given: chosen.clone() };
    let plain = ContrastScorer { model: Model { lengths: vec![1.0; 21], ..model }, given: chosen };
    let (mut scores, mut once) = (vec![0.0; 21], vec![0.0; 21]);
    scorer.score(&[3], &mut scores);
    plain.score(&[3], &mut once);
    assert!(scores.iter().zip(&once).all(|(score, once)| (score - 2.0 * once).abs() < 1e-4));
    assert_eq!(scorer.item_vectors().unwrap().values[0], 2.0 * scorer.model.items.row(0)[0]);
}

#[test]
fn the_same_seed_gives_the_same_vectors() {
    let chosen = groups();
    let train = || train(&chosen, &small(), &Silent).unwrap().items;
    assert_eq!(train(), train());
}

/// Who watches a training and ends it, as a kill would, when so many epochs are over.
struct Until {
    epochs: u64,
    over: Arc<AtomicU64>,
}

impl Progress for Until {
    fn stage(&self, _: &str, _: Unit, _: Option<u64>) -> Arc<dyn Stage> {
        Arc::new(Self { epochs: self.epochs, over: Arc::clone(&self.over) })
    }
}

impl Stage for Until {
    fn advance(&self, by: u64) {
        assert!(self.over.fetch_add(by, Ordering::Relaxed) + by < self.epochs, "cut short");
    }

    fn finish(&self, _: &str) {}
}

#[test]
fn a_training_that_was_cut_short_comes_to_the_same_vectors() {
    let chosen = groups();
    let expected = train(&chosen, &small(), &Silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints { folder: folder.path().to_owned(), every: 2 };
    for epochs in [3, 6, 8] {
        let cut = std::panic::AssertUnwindSafe(|| {
            let until = Until { epochs, over: Arc::default() };
            train_resumable(&chosen, &small(), Some(&checkpoints), &until)
        });
        assert!(std::panic::catch_unwind(cut).is_err());
    }
    let resumed = train_resumable(&chosen, &small(), Some(&checkpoints), &Silent).unwrap();
    assert_eq!((&resumed.items, &resumed.lengths), (&expected.items, &expected.lengths));
    // From half-way too, where nothing is kept of what came after.
    checkpoints.clear().unwrap();
    let until = Until { epochs: 5, over: Arc::default() };
    let cut = std::panic::AssertUnwindSafe(|| train_resumable(&chosen, &small(), Some(&checkpoints), &until));
    assert!(std::panic::catch_unwind(cut).is_err());
    let resumed = train_resumable(&chosen, &small(), Some(&checkpoints), &Silent).unwrap();
    assert_eq!(resumed.items, expected.items);
    // Of other settings it is not.
    let other = Settings { rate: 0.02, ..small() };
    let fresh = train(&chosen, &other, &Silent).unwrap();
    assert_eq!(train_resumable(&chosen, &other, Some(&checkpoints), &Silent).unwrap().items, fresh.items);
}

#[test]
fn what_cannot_be_is_refused() {
    let chosen = groups();
    for settings in [
        Settings { dimensions: 0, ..small() },
        Settings { negatives: 0, ..small() },
        Settings { temperature: 0.0, ..small() },
        Settings { rate: f32::NAN, ..small() },
        Settings { lift: -0.1, ..small() },
    ] {
        assert!(matches!(train(&chosen, &settings, &Silent), Err(Error::Setting { .. })), "{settings:?}");
    }
    let single = Interactions::from_entries(2, 2, &[(0, 0, 1.0), (1, 1, 1.0)]).unwrap();
    assert_eq!(train(&single, &small(), &Silent).unwrap_err(), Error::Nothing);
}
