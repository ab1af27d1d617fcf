//! What trees promise: the numbers they give, and what is refused.

use super::*;
use crate::features::COLUMNS;

/// Two heads over two columns: the first asks twice, the second once.
fn definition() -> Definition {
    Definition {
        form: FORM,
        width: COLUMNS,
        columns: vec![Borders { column: 1, borders: vec![-1.5, 0.0, 2.0] }, Borders { column: 4, borders: vec![0.25] }],
        heads: vec![
            Ensemble {
                bias: 0.5,
                trees: vec![
                    Tree {
                        levels: vec![Level { column: 0, border: 1 }, Level { column: 1, border: 0 }],
                        leaves: vec![1.0, 2.0, 4.0, 8.0],
                    },
                    Tree { levels: vec![Level { column: 0, border: 2 }], leaves: vec![0.0, 100.0] },
                ],
            },
            Ensemble {
                bias: 0.0,
                trees: vec![Tree { levels: vec![Level { column: 1, border: 0 }], leaves: vec![-1.0, 1.0] }],
            },
        ],
    }
}

fn matrix(rows: &[[f32; 2]]) -> Matrix {
    let mut numbers = vec![[0.0; COLUMNS]; rows.len()];
    for (place, row) in numbers.iter_mut().zip(rows) {
        (place[1], place[4]) = (row[0], row[1]);
    }
    Matrix::from_rows(numbers.as_flattened()).unwrap()
}

#[test]
fn answers_spell_the_leaf() {
    let trees = Arc::new(Trees::new(definition()).unwrap());
    let matrix = matrix(&[[-9.0, 0.0], [0.5, 0.25], [-0.0, 0.3], [2.5, 9.0]]);
    let mut raw = [0.0; 4];
    trees.head(0, COLUMNS).unwrap().raw(&matrix, &mut raw);
    assert_eq!(raw, [1.5, 2.5, 4.5, 108.5]);
    let binned = trees.bin_matrix(&matrix);
    trees.raw(1, &binned, &mut raw);
    assert_eq!(raw, [-1.0, -1.0, 1.0, 1.0]);
}

#[test]
fn numbers_that_are_none_have_a_score_too() {
    let trees = Trees::new(definition()).unwrap();
    let binned = trees.bin_matrix(&matrix(&[[f32::NAN, f32::NAN], [f32::NEG_INFINITY, f32::INFINITY], [-0.0, -0.0]]));
    let mut raw = [0.0; 3];
    trees.raw(0, &binned, &mut raw);
    assert_eq!(raw, [1.5, 4.5, 1.5]);
}

#[test]
fn no_head_and_foreign_bins_give_nan() {
    let trees = Trees::new(definition()).unwrap();
    let mut raw = [0.0; 1];
    trees.raw(2, &trees.bin_matrix(&matrix(&[[0.0; 2]])), &mut raw);
    assert!(raw[0].is_nan());
    let mut other = definition();
    other.columns.push(Borders { column: 5, borders: vec![0.0] });
    raw = [0.0];
    trees.raw(0, &Trees::new(other).unwrap().bin_matrix(&matrix(&[[0.0; 2]])), &mut raw);
    assert!(raw[0].is_nan());
}

#[test]
fn what_is_written_is_read_again() {
    let trees = Trees::new(definition()).unwrap();
    assert_eq!(Trees::from_json(&trees.to_json().unwrap()).unwrap(), trees);
    assert!(matches!(Trees::from_json(b"{}"), Err(Error::Json(_))));
    assert!(
        serde_json::from_value::<Trees>(serde_json::json!({"form": 9, "width": 1, "columns": [], "heads": []}))
            .is_err()
    );
}

#[test]
fn a_head_reads_tables_of_its_own_width() {
    let trees = Arc::new(Trees::new(definition()).unwrap());
    assert!(matches!(trees.head(0, COLUMNS + 1), Err(Error::Width { .. })));
    assert!(matches!(trees.head(2, COLUMNS), Err(Error::Place { .. })));
}

#[test]
fn bad_trees_are_refused_with_the_place() {
    let check = |break_it: fn(&mut Definition), expected: &str| {
        let mut definition = definition();
        break_it(&mut definition);
        let error = Trees::new(definition).unwrap_err();
        assert_eq!(error.code(), shared_models::ErrorCode::InvalidArgument);
        assert_eq!(error.to_string(), expected);
    };
    check(|d| d.form = 2, "form is 2, expected 1");
    check(|d| d.width = 0, "width has 0 entries, expected 1 to 65536");
    check(|d| d.columns[1].column = 1 << 20, &format!("columns[1].column is 1048576, expected less than {COLUMNS}"));
    check(|d| d.columns[1].column = 1, "columns[1].column is 1 after 1, expected more");
    check(|d| d.columns[0].borders.clear(), "columns[0].borders has 0 entries, expected 1 to 254");
    check(|d| d.columns[0].borders = vec![0.0; 255], "columns[0].borders has 255 entries, expected 1 to 254");
    check(|d| d.columns[0].borders[1] = f32::NAN, "columns[0].borders[1] is NaN, expected a finite number");
    check(|d| d.columns[0].borders[2] = f32::INFINITY, "columns[0].borders[2] is inf, expected a finite number");
    check(|d| d.columns[0].borders[1] = -2.0, "columns[0].borders[1] is -2 after -1.5, expected more");
    check(|d| d.columns[0].borders[0] = -0.0, "columns[0].borders[1] is 0 after -0, expected more");
    check(|d| d.heads.clear(), "heads has 0 entries, expected 1 to 64");
    check(|d| d.heads[1].bias = f64::NAN, "heads[1].bias is NaN, expected a finite number");
    check(|d| d.heads[0].trees[1].levels.clear(), "heads[0].trees[1].levels has 0 entries, expected 1 to 8");
    check(
        |d| d.heads[0].trees[1].levels = vec![Level { column: 0, border: 0 }; 9],
        "heads[0].trees[1].levels has 9 entries, expected 1 to 8",
    );
    check(
        |d| d.heads[0].trees[0].levels[1].column = 2,
        "heads[0].trees[0].levels[1].column is 2, expected less than 2",
    );
    check(
        |d| d.heads[0].trees[0].levels[1].border = 1,
        "heads[0].trees[0].levels[1].border is 1, expected less than 1",
    );
    check(|d| d.heads[0].trees[0].leaves.truncate(3), "heads[0].trees[0].leaves has 3 entries, expected 4 to 4");
    check(|d| d.heads[0].trees[0].leaves[3] = f32::NAN, "heads[0].trees[0].leaves[3] is NaN, expected a finite number");
    check(
        |d| d.heads[1].trees = vec![d.heads[1].trees[0].clone(); MOST_TREES + 1],
        "heads[1].trees has 20001 entries, expected 0 to 20000",
    );
}
