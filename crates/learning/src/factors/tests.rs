//! What training promises, on small matrices.

use std::num::NonZeroUsize;

use releases::vectors::dot;
use shared_models::Seed;

use super::{Error, Interactions, Model, Settings, Solver, train, train_resumable};
use crate::checkpoint::Checkpoints;

const STEPS: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// Two tastes of 40 users and 30 items each; everybody has about a third of their taste's items.
fn two_tastes() -> Interactions {
    let entries: Vec<(u32, u32, f32)> = (0..80_u32)
        .flat_map(|user| {
            let taste = user % 2;
            (0..30_u32)
                .filter(move |item| (user * 7 + item * 13) % 3 == 0)
                .map(move |item| (user, item * 2 + taste, 1.0 + (item % 3) as f32))
        })
        .collect();
    Interactions::from_entries(80, 60, &entries).unwrap()
}

fn settings() -> Settings {
    Settings {
        dimensions: 8,
        epochs: 12,
        alpha: 5.0,
        regularisation: 0.01,
        regularisation_exponent: 1.0,
        item_damping: 0.0,
        user_damping: 0.0,
        spread: false,
        ..Settings::default()
    }
}

fn trained(interactions: &Interactions, settings: &Settings) -> Model {
    train(interactions, settings, &mut |_| {}).unwrap()
}

/// The sum that training lowers (see the module's text), by plain loops in f64.
fn objective(interactions: &Interactions, model: &Model, settings: &Settings) -> f64 {
    let by_item = interactions.transpose();
    let mut sum = 0.0;
    for user in 0..interactions.rows() {
        let (items, weights) = interactions.row(user);
        for item in 0..interactions.columns() {
            let score = f64::from(dot(model.user(user as u32), model.item(item as u32)));
            let (target, confidence) = match items.binary_search(&(item as u32)) {
                Ok(at) => (1.0, 1.0 + f64::from(settings.alpha * weights[at])),
                Err(_) => (0.0, 1.0),
            };
            sum += confidence * (target - score) * (target - score);
        }
    }
    let penalty = |matrix: &Interactions, row: usize, vector: &[f32]| {
        let total: f32 = matrix.row(row).1.iter().map(|weight| settings.alpha * weight).sum();
        let strength =
            settings.regularisation * (matrix.columns() as f32 + total).powf(settings.regularisation_exponent);
        f64::from(strength * dot(vector, vector))
    };
    sum += (0..interactions.rows()).map(|row| penalty(interactions, row, model.user(row as u32))).sum::<f64>();
    sum + (0..interactions.columns()).map(|row| penalty(&by_item, row, model.item(row as u32))).sum::<f64>()
}

#[test]
fn the_objective_falls_with_every_epoch() {
    let interactions = two_tastes();
    for solver in [Solver::Cholesky, Solver::ConjugateGradient(STEPS)] {
        let objectives: Vec<f64> = (1..10)
            .map(|epochs| {
                let settings = Settings { epochs, solver, ..settings() };
                objective(&interactions, &trained(&interactions, &settings), &settings)
            })
            .collect();
        assert!(objectives.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-5)), "{solver:?}: {objectives:?}");
    }
}

#[test]
fn both_solvers_reach_the_same_objective() {
    let interactions = two_tastes();
    let reach = |solver| {
        let settings = Settings { epochs: 40, solver, ..settings() };
        objective(&interactions, &trained(&interactions, &settings), &settings)
    };
    let (exact, stepped) = (reach(Solver::Cholesky), reach(Solver::ConjugateGradient(STEPS)));
    assert!((exact - stepped).abs() / exact < 0.005, "{exact} {stepped}");
}

#[test]
fn tastes_are_told_apart() {
    let interactions = two_tastes();
    let model = trained(&interactions, &settings());
    let mean =
        |user: u32, taste: u32| (0..30).map(|n| dot(model.user(user), model.item(n * 2 + taste))).sum::<f32>() / 30.0;
    for user in 0..80 {
        assert!(mean(user, user % 2) > 4.0 * mean(user, 1 - user % 2).abs(), "user {user}");
    }
}

#[test]
fn folding_in_gives_the_vector_of_the_training_user() {
    let interactions = two_tastes();
    for (dimensions, item_damping, spread) in [(1, 0.0, false), (8, 0.6, true), (19, 0.6, false), (64, 0.0, true)] {
        let user_damping = item_damping / 2.0;
        let settings = Settings { dimensions, item_damping, user_damping, spread, ..settings() };
        let model = trained(&interactions, &settings);
        let factors = model.to_factors().unwrap();
        for user in 0..80 {
            let (items, weights) = interactions.row(user);
            let confidences: Vec<(u32, f32)> =
                items.iter().zip(weights).map(|(item, weight)| (*item, factors.confidence(*weight, 0.0))).collect();
            let folded = factors.fold_in(&confidences);
            for (a, b) in folded.iter().zip(model.user(user as u32)) {
                assert!((a - b).abs() < 1e-3, "{dimensions} factors, user {user}: {a} {b}");
            }
        }
    }
}

#[test]
fn threads_change_nothing_and_seeds_do() {
    let interactions = two_tastes();
    let values = |threads, seed| {
        let model = trained(&interactions, &Settings { threads, seed: Seed(seed), ..settings() });
        (0..60).flat_map(|item| model.item(item).to_vec()).collect::<Vec<f32>>()
    };
    assert_eq!(values(1, 1), values(3, 1));
    assert_ne!(values(1, 1), values(1, 2));
}

#[test]
fn a_training_that_is_cut_short_goes_on_and_comes_to_the_same_factors() {
    let interactions = two_tastes();
    let values = |model: &Model| -> Vec<u32> {
        let items = (0..60).flat_map(|item| model.item(item).to_vec());
        items.chain((0..80).flat_map(|user| model.user(user).to_vec())).map(f32::to_bits).collect()
    };
    for solver in [Solver::Cholesky, Solver::ConjugateGradient(STEPS)] {
        let settings = Settings { solver, epochs: 7, spread: true, ..settings() };
        let expected = values(&trained(&interactions, &settings));
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints { folder: folder.path().to_owned(), every: 2 };
        for cut_after in [3, 6, 7] {
            let cut = std::panic::AssertUnwindSafe(|| {
                train_resumable(&interactions, &settings, Some(&checkpoints), &mut |epoch| {
                    assert!(epoch.number < cut_after, "cut short");
                })
            });
            assert!(std::panic::catch_unwind(cut).is_err());
        }
        let mut resumed = Vec::new();
        let model = train_resumable(&interactions, &settings, Some(&checkpoints), &mut |epoch| {
            resumed.push(epoch.resumed);
        });
        assert_eq!(resumed, [true; 7], "the last epoch is kept as well: what follows may be cut short too");
        assert_eq!(values(&model.unwrap()), expected);
    }
}

#[test]
fn every_epoch_is_reported() {
    let mut heard = Vec::new();
    train(&two_tastes(), &Settings { epochs: 3, ..settings() }, &mut |epoch| heard.push((epoch.number, epoch.of)))
        .unwrap();
    assert_eq!(heard, [(1, 3), (2, 3), (3, 3)]);
}

#[test]
fn users_and_items_without_interactions_are_zero() {
    let interactions = Interactions::from_entries(3, 3, &[(0, 0, 1.0), (1, 0, 1.0)]).unwrap();
    let model = trained(&interactions, &settings());
    assert!(model.user(2).iter().chain(model.item(1)).all(|value| *value == 0.0));
    assert!(dot(model.user(0), model.item(0)) > 0.3);
}

#[test]
fn nonsense_is_refused() {
    let nothing = Interactions::from_entries(3, 3, &[]).unwrap();
    assert!(matches!(train(&nothing, &settings(), &mut |_| {}), Err(Error::Nothing)));
    for (settings, name) in [
        (Settings { dimensions: 0, ..settings() }, "dimensions"),
        (Settings { epochs: 0, ..settings() }, "epochs"),
        (Settings { alpha: f32::NAN, ..settings() }, "alpha"),
        (Settings { regularisation: 0.0, ..settings() }, "regularisation"),
        (Settings { regularisation_exponent: -1.0, ..settings() }, "regularisation_exponent"),
        (Settings { item_damping: -0.1, ..settings() }, "item_damping"),
        (Settings { user_damping: f32::NAN, ..settings() }, "user_damping"),
        (Settings { initial_deviation: 0.0, ..settings() }, "initial_deviation"),
    ] {
        match train(&two_tastes(), &settings, &mut |_| {}) {
            Err(Error::Setting { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}
