//! What training promises: it learns what is there, the same every time, and keeps to what was asked.

use shared_models::Seed;

use super::*;
use crate::progress::Silent;

/// Columns of numbers between 0 and 1.
fn columns(rows: usize, count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..count).map(|_| (0..rows).map(|_| random.random()).collect()).collect()
}

fn table<'a>(columns: &'a [Vec<f32>], labels: &'a [f32]) -> Table<'a> {
    Table { columns: columns.iter().map(Vec::as_slice).collect(), labels, weights: None, groups: None }
}

/// Labels by a rule with a step, a product and a slope; the last columns say nothing.
fn noisy(columns: &[Vec<f32>], seed: u64) -> Vec<f32> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..columns[0].len())
        .map(|row| {
            let at = |column: usize| columns[column][row];
            let logit =
                3.0 * f32::from(u8::from(at(0) > 0.6)) + 4.0 * (at(1) - 0.5) * (at(2) - 0.5) + 2.0 * at(3) - 2.0;
            f32::from(u8::from(random.random::<f32>() < 1.0 / (1.0 + (-logit).exp())))
        })
        .collect()
}

fn settings() -> Settings {
    Settings { trees: 40, depth: 4, ..Settings::default() }
}

#[test]
fn trees_learn_what_is_there() {
    let (seen, unseen) = (columns(6_000, 10, 1), columns(6_000, 10, 2));
    let (labels, held) = (noisy(&seen, 3), noisy(&unseen, 4));
    let (table, test) = (table(&seen, &labels), table(&unseen, &held));
    let trained = train(&table, Some(&test), &settings(), &Silent).unwrap();
    let constant = measure(&Objective::Logistic, &test, &vec![gradients::start(&Objective::Logistic, &table); 6_000]);
    let found = measure(&Objective::Logistic, &test, &trained.scores(&test));
    assert!(found < constant - 0.08, "{found} after {constant}");
    let last = trained.curve.last().unwrap();
    assert!((last.validation.unwrap() - found).abs() < 1e-5, "the curve follows what the trees say");
    assert!(last.training < found, "rows that were learned from look better");
    let important = permutation(&trained.trees, &test, &Objective::Logistic, 2, Seed(1));
    assert_eq!(important[0].column, 0);
    let most = (0..10).max_by(|a, b| trained.gains[*a].total_cmp(&trained.gains[*b]));
    assert_eq!(most, Some(0));
}

#[test]
fn the_same_seed_gives_the_same_trees_on_any_number_of_threads() {
    let columns = columns(40_000, 20, 1);
    let labels = noisy(&columns, 3);
    let sampled = Settings { trees: 5, rows: 0.7, columns_per_tree: 0.8, columns_per_level: 0.5, ..settings() };
    for settings in [Settings { trees: 5, ..settings() }, sampled] {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(&table(&columns, &labels), None, &settings, &Silent).unwrap().trees)
        };
        let one = on(1);
        assert_eq!(one, on(3));
        let other = Settings { seed: Seed(2), rows: 0.7, ..settings.clone() };
        assert_ne!(one, train(&table(&columns, &labels), None, &other, &Silent).unwrap().trees);
    }
}

#[test]
fn missing_numbers_are_told_from_others() {
    let mut columns = columns(2_000, 2, 1);
    let labels: Vec<f32> = (0..2_000).map(|row| f32::from(u8::from(row % 3 == 0))).collect();
    columns[1].iter_mut().step_by(3).for_each(|number| *number = f32::NAN);
    let table = table(&columns, &labels);
    let trained = train(&table, None, &Settings { trees: 60, learning_rate: 0.3, ..settings() }, &Silent).unwrap();
    assert!(measure(&Objective::Logistic, &table, &trained.scores(&table)) < 0.01);
}

#[test]
fn a_rising_column_never_lowers_the_score() {
    let columns = columns(5_000, 4, 1);
    let mut labels = noisy(&columns, 3);
    // The column falls in truth in the middle.
    labels.iter_mut().zip(&columns[0]).filter(|(_, x)| (0.3..0.5).contains(*x)).for_each(|(label, _)| *label = 0.0);
    let settings = Settings { monotone: vec![(0, Direction::Rising), (3, Direction::Falling)], ..settings() };
    let trained = train(&table(&columns, &labels), None, &settings, &Silent).unwrap();
    for row in 0..50 {
        for (moved, sign) in [(0, 1.0), (3, -1.0)] {
            let steps: Vec<f32> = (0..40).map(|n| n as f32 / 40.0).collect();
            let fixed: Vec<Vec<f32>> = columns.iter().map(|column| vec![column[row]; 40]).collect();
            let all: Vec<&[f32]> =
                (0..4).map(|column| if column == moved { &steps[..] } else { &fixed[column][..] }).collect();
            let labels = [0.0; 40];
            let scores = trained.scores(&Table { columns: all, labels: &labels, weights: None, groups: None });
            assert!(scores.windows(2).all(|pair| sign * (pair[1] - pair[0]) >= -1e-6), "{scores:?}");
        }
    }
}

#[test]
fn groups_are_ordered() {
    let columns = columns(4_000, 6, 1);
    let labels: Vec<f32> = (0..4_000).map(|row| (3.0 * columns[0][row] + columns[1][row]).floor()).collect();
    let groups = [20; 200];
    let table = Table { groups: Some(&groups), ..table(&columns, &labels) };
    let objective = Objective::Ranking { truncation: 20, at: 10, is_normalised: true };
    let before = measure(&objective, &table, &[0.0; 4_000]);
    let trained = train(&table, None, &Settings { objective, min_weight: 0.0, ..settings() }, &Silent).unwrap();
    let after = measure(&objective, &table, &trained.scores(&table));
    assert!(after > 0.95 && before < 0.7, "{before} {after}");
}

#[test]
fn a_mean_is_approached() {
    let columns = columns(3_000, 2, 1);
    let labels: Vec<f32> = columns[0].iter().map(|x| 100.0 + 10.0 * x).collect();
    let table = table(&columns, &labels);
    let settings = Settings { objective: Objective::Squared, ..settings() };
    let trained = train(&table, None, &settings, &Silent).unwrap();
    assert!(measure(&Objective::Squared, &table, &trained.scores(&table)) < 0.5);
}

#[test]
fn training_stops_when_the_validation_part_gets_no_better() {
    let (seen, unseen) = (columns(500, 10, 1), columns(500, 10, 2));
    let (labels, held) = (noisy(&seen, 3), noisy(&unseen, 4));
    let settings = Settings { trees: 500, learning_rate: 0.5, patience: 10, ..settings() };
    let trained = train(&table(&seen, &labels), Some(&table(&unseen, &held)), &settings, &Silent).unwrap();
    let kept = trained.trees.definition().heads[0].trees.len();
    assert!(trained.curve.len() < 400 && kept + 10 == trained.curve.len(), "{kept} of {}", trained.curve.len());
}

#[test]
fn what_cannot_be_learned_gives_the_constant() {
    let columns = vec![vec![1.0; 100], vec![f32::NAN; 100]];
    let labels: Vec<f32> = (0..100).map(|row| f32::from(u8::from(row % 4 == 0))).collect();
    let trained = train(&table(&columns, &labels), None, &settings(), &Silent).unwrap();
    let scores = trained.scores(&table(&columns, &labels));
    assert!((1.0 / (1.0 + (-scores[0]).exp()) - 0.25).abs() < 0.01);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let (columns, labels) = (columns(10, 2, 1), [0.5; 10]);
    let check = |settings: Settings, expected: &str| {
        assert_eq!(train(&table(&columns, &labels), None, &settings, &Silent).unwrap_err().to_string(), expected);
    };
    check(Settings { trees: 0, ..settings() }, "trees is 0, expected 1 to 20000");
    check(Settings { depth: 9, ..settings() }, "depth is 9, expected 1 to 8");
    check(Settings { borders: 255, ..settings() }, "borders is 255, expected 1 to 254");
    check(Settings { learning_rate: f32::NAN, ..settings() }, "learning_rate is NaN, expected more than 0, at most 1");
    check(Settings { monotone: vec![(2, Direction::Rising)], ..settings() }, "monotone is 2, expected 0 to 1");
    let ranking = Objective::Ranking { truncation: 10, at: 10, is_normalised: true };
    check(Settings { objective: ranking, ..settings() }, "ranking needs groups of rows, and there are none");
    let nothing = train(&table(&[], &[]), None, &settings(), &Silent).unwrap_err();
    assert_eq!(nothing.to_string(), "there are 0 columns of 0 rows, expected at least one of each");
    let refused = |labels: &[f32]| train(&table(&columns, labels), None, &settings(), &Silent).unwrap_err().to_string();
    assert_eq!(refused(&[2.0; 10]), "labels[0] is 2, expected 0 to 1");
    assert_eq!(refused(&[0.0; 9]), "columns[0] has 10 entries, expected 9");
}
