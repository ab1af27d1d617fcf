//! Models of other tools give what their own libraries give, and broken ones are refused.
//!
//! `make.py` trains the models with the libraries that `scripts/model-tools` provides. Where those are not there, the
//! models and scores that are kept in `tests/golden/imported` are all that is held to, and the test says so.

mod broken;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use ranking::{
    features::{COLUMNS, Column, Matrix, SCHEMA},
    scorers::imported::{self, Format},
};
use serde::Deserialize;

/// How many rows each model is asked about.
const ROWS: &str = "10000";

/// A model, and what its library says of some rows.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    format: Format,
    file: String,
    output: Option<usize>,
    tolerance: f64,
}

fn cases(folder: &Path) -> Vec<Case> {
    let text = std::fs::read(folder.join("cases.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/imported")
}

/// Rows with the schema's defaults where the model has no feature, and the expected scores.
fn rows(path: &Path) -> (Matrix, Vec<f64>) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let columns: Vec<Column> = names[..names.len() - 1]
        .iter()
        .map(|name| *Column::ALL.iter().find(|column| column.feature().name == *name).unwrap())
        .collect();
    let defaults: Vec<f32> = SCHEMA.iter().map(|feature| feature.default).collect();
    let (mut values, mut expected) = (Vec::new(), Vec::new());
    for line in lines {
        let mut row = defaults.clone();
        let mut numbers = line.split(',');
        for (column, number) in columns.iter().zip(numbers.by_ref()) {
            row[*column as usize] = number.parse().unwrap();
        }
        expected.push(numbers.next().unwrap().parse().unwrap());
        values.append(&mut row);
    }
    (Matrix::from_rows(&values).unwrap(), expected)
}

/// The largest distance of a score from the library's.
fn furthest(folder: &Path, case: &Case) -> f64 {
    let bytes = std::fs::read(folder.join(&case.file)).unwrap();
    let head = match case.output {
        None => imported::read(case.format, &bytes),
        Some(output) => imported::read_output(case.format, &bytes, output),
    };
    let head = head.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let (matrix, expected) = rows(&folder.join(format!("{}.csv", case.name)));
    let mut raw = vec![f64::NAN; expected.len()];
    head.raw(&matrix, &mut raw);
    let distances = raw.iter().zip(&expected).map(|(raw, expected)| (raw - expected).abs());
    distances.fold(0.0, |furthest, distance| if distance.is_nan() { f64::INFINITY } else { furthest.max(distance) })
}

fn hold(folder: &Path) -> String {
    let mut report = String::new();
    let mut wrong = Vec::new();
    for case in cases(folder) {
        let furthest = furthest(folder, &case);
        report.push_str(&format!("{}: at most {furthest:.1e} apart\n", case.name));
        if furthest > case.tolerance {
            wrong.push(format!("{} is {furthest:e} apart, at most {:e} is meant", case.name, case.tolerance));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    report
}

/// The interpreter of `scripts/model-tools`, where it is.
fn python() -> Option<PathBuf> {
    let told = std::env::var_os("SETLIST_MODEL_TOOLS").map(PathBuf::from);
    let folder = told.unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
        target.unwrap_or_else(|| Path::new("../../target")).join("tools/model-tools")
    });
    Some(folder.join("bin/python3")).filter(|python| python.is_file())
}

/// Past the test harness, which keeps what passing tests print to itself.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

#[test]
fn stored_models_give_their_stored_scores() {
    let folder = golden();
    assert!(cases(&folder).len() >= 7);
    hold(&folder);
}

#[test]
fn models_give_what_their_libraries_give() {
    let Some(python) = python() else {
        say(
            "\nWARNING: the libraries of scripts/model-tools are not there: imported models were held to the scores that \
             are stored in tests/golden/imported, not to fresh ones of LightGBM, XGBoost, CatBoost and ONNX Runtime\n",
        );
        hold(&golden());
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/imported/make.py");
    let made = Command::new(python).arg(script).arg(folder.path()).args(["--rows", ROWS]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    print!("{}", hold(folder.path()));
}

#[test]
fn a_model_without_names_must_have_the_schemas_columns() {
    let text = std::fs::read_to_string(golden().join("lightgbm-binary.txt")).unwrap();
    let names = text.lines().find(|line| line.starts_with("feature_names=")).unwrap();
    let count = names.split(' ').count();
    let made_up = |count: usize| (0..count).map(|index| format!("Column_{index}")).collect::<Vec<_>>().join(" ");
    let few = text.replace(names, &format!("feature_names={}", made_up(count)));
    let error = imported::open(Format::Lightgbm, few.as_bytes(), None).unwrap_err().to_string();
    assert_eq!(error, format!("model names no features and has {count}, the feature schema has {COLUMNS} columns"));
    let all = text
        .replace(names, &format!("feature_names={}", made_up(COLUMNS)))
        .replace(&format!("max_feature_idx={}", count - 1), &format!("max_feature_idx={}", COLUMNS - 1));
    assert_eq!(imported::open(Format::Lightgbm, all.as_bytes(), None).unwrap().features(), COLUMNS);
}

#[test]
fn an_unknown_feature_is_refused_with_its_nearest_names() {
    let text = std::fs::read_to_string(golden().join("lightgbm-binary.txt")).unwrap();
    let text = text.replace("=trend ", "=trent ");
    let error = imported::open(Format::Lightgbm, text.as_bytes(), None).unwrap_err().to_string();
    assert!(
        error.starts_with("feature \"trent\" of the model is no column of the feature schema; the nearest are trend"),
        "{error}"
    );
}
