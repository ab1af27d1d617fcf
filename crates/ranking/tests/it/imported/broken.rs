//! Models that were broken on purpose: cut short, with bits turned, with parts exchanged. Each is refused with a reason,
//! or is still a model and then never answers with NaN. None brings the service down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use ranking::{
    features::{COLUMNS, Matrix},
    scorers::imported::{self, Error, Format},
};

use super::{cases, golden};

/// A model that is whole.
struct Whole {
    name: String,
    format: Format,
    bytes: Vec<u8>,
}

fn whole() -> Vec<Whole> {
    let folder = golden();
    let read = |case: super::Case| Whole {
        bytes: std::fs::read(folder.join(&case.file)).unwrap(),
        name: case.name,
        format: case.format,
    };
    cases(&folder).into_iter().map(read).collect()
}

/// What a row may hold, at its extremes.
fn matrix() -> Matrix {
    let rows = [0.0, -0.0, 1.0, -1.0, 1e30, -1e30, 1e-45, f32::MAX].map(|number| [number; COLUMNS]);
    Matrix::from_rows(rows.as_flattened()).unwrap()
}

/// Reads and, where it can be read, asks the model; gives the reason where it cannot.
fn ask(what: &str, format: Format, bytes: &[u8]) -> Option<Error> {
    let asked = catch_unwind(AssertUnwindSafe(|| match imported::read(format, bytes) {
        Err(error) => Some(error),
        Ok(head) => {
            let matrix = matrix();
            let mut raw = vec![f64::NAN; matrix.rows()];
            head.raw(&matrix, &mut raw);
            // A network may pass the largest number on the way; a forest may not.
            if format != Format::Onnx {
                assert!(raw.iter().all(|raw| raw.is_finite()), "{what} answers {raw:?}");
            }
            None
        }
    }));
    asked.unwrap_or_else(|_| panic!("{what} panics"))
}

#[test]
fn every_model_cut_short_is_refused() {
    let mut refused = 0;
    for model in whole() {
        // The end of the text of LightGBM is a line end, without which it is whole.
        let last = model.bytes.len() - 2;
        for part in 0..64 {
            let cut = last * part / 63;
            let what = format!("{} cut at {cut}", model.name);
            let error = ask(&what, model.format, &model.bytes[..cut]);
            // A network may lose its names, which stand at its end, and be whole without them but for their number.
            assert!(error.is_some(), "{what} is served");
            assert!(!error.unwrap().to_string().is_empty());
            refused += 1;
        }
    }
    assert!(refused >= 200, "{refused}");
}

#[test]
fn every_model_with_a_part_exchanged_is_refused() {
    // A word of the file, what it is exchanged for, and what the refusal must speak of.
    let table: &[(&str, &str, &str, &str)] = &[
        ("lightgbm-binary", "leaf_value=", "leaf_value=nan ", "the length of leaf_value"),
        ("lightgbm-binary", "left_child=", "left_child=0 ", "the length of left_child"),
        ("lightgbm-binary", "threshold=", "threshold=inf ", "the length of threshold"),
        ("lightgbm-binary", "num_leaves=9", "num_leaves=900000000", "num_leaves"),
        ("lightgbm-binary", "num_leaves=9", "num_leaves=99999999999999999999", "num_leaves"),
        ("lightgbm-binary", "num_leaves=9", "num_leaves=8", "the length of"),
        ("lightgbm-binary", "max_feature_idx=7", "max_feature_idx=6", "feature_names"),
        ("lightgbm-binary", "max_feature_idx=7", "max_feature_idx=18446744073709551615", "feature_names"),
        ("lightgbm-binary", "trend user_dot", "trend trend", "stands twice"),
        ("lightgbm-binary", "trend user_dot", "trend user_do", "no column of the feature schema"),
        ("lightgbm-binary", "Tree=2", "Tree=7", "the number of tree 2"),
        ("lightgbm-binary", "tree_sizes=", "tree_sizes=1 ", "tree_sizes"),
        ("lightgbm-binary", "num_tree_per_iteration=1", "num_tree_per_iteration=3", "3 outputs"),
        ("lightgbm-binary", "objective=binary", "objective=cross_entropy_lambda", "cannot be served"),
        ("lightgbm-binary", "is_linear=0", "is_linear=1", "linear"),
        ("lightgbm-binary", "num_cat=0", "num_cat=1", "categorical"),
        ("xgboost-logistic", "\"left_children\":[1", "\"left_children\":[0", "reached twice"),
        ("xgboost-logistic", "\"left_children\":[1", "\"left_children\":[1000000", "does not exist"),
        ("xgboost-logistic", "\"left_children\":[1", "\"left_children\":[-7", "does not exist"),
        ("xgboost-logistic", "\"left_children\":[1", "\"left_children\":[1,1", "the length of"),
        ("xgboost-logistic", "\"split_conditions\":[", "\"split_conditions\":[1e39,", "the length of"),
        ("xgboost-logistic", "\"split_indices\":[", "\"split_indices\":[-1,", "no XGBoost model"),
        ("xgboost-logistic", "\"split_type\":[0", "\"split_type\":[1", "categorical"),
        ("xgboost-logistic", "\"tree_info\":[0", "\"tree_info\":[3", "tree_info"),
        ("xgboost-logistic", "\"tree_info\":[0", "\"tree_info\":[0,0", "tree_info"),
        ("xgboost-logistic", "\"8\",\"num_target\"", "\"9\",\"num_target\"", "feature_names"),
        ("xgboost-logistic", "\"num_class\":\"0\"", "\"num_class\":\"x\"", "num_class"),
        ("xgboost-logistic", "\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "booster gblinear"),
        ("xgboost-logistic", "\"base_score\":\"", "\"base_score\":\"2", "base_score"),
        ("xgboost-logistic", "binary:logistic", "survival:cox", "objective"),
        ("xgboost-logistic", "\"trend\"", "\"trendy\"", "no column of the feature schema"),
        ("catboost-logloss", "\"leaf_values\": [", "\"leaf_values\": [1e309, ", "no CatBoost model"),
        ("catboost-logloss", "\"leaf_values\": [", "\"leaf_values\": [0.5, ", "the length of leaf_values"),
        ("catboost-logloss", "\"float_feature_index\": ", "\"float_feature_index\": 99", "reads feature 99"),
        ("catboost-logloss", "\"float_feature_index\": ", "\"float_feature_index\": -", "no CatBoost model"),
        ("catboost-logloss", "\"border\": ", "\"border\": 1e200, \"spare\": ", "border"),
        ("catboost-logloss", "FloatFeature", "OnlineCtr", "the split OnlineCtr"),
        ("catboost-logloss", "\"oblivious_trees\"", "\"trees\"", "not symmetric"),
        ("catboost-logloss", "\"AsFalse\"", "\"AsHe\"", "nan_value_treatment"),
        ("catboost-logloss", "\"scale_and_bias\": [1", "\"scale_and_bias\": [1.79e308", "may not be finite"),
        ("catboost-logloss", "\"feature_id\": \"trend\"", "\"feature_id\": \"age\"", "stands twice"),
        ("onnx-perceptron", "LeakyRelu", "LeakyRelx", "operator LeakyRelx"),
        ("onnx-perceptron", "trend,user_dot", "trend,user_dox", "no column of the feature schema"),
    ];
    let whole = whole();
    for (name, from, to, reason) in table {
        let model = whole.iter().find(|model| model.name == *name).unwrap();
        let at = model.bytes.windows(from.len()).position(|window| window == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{name} has no {from}"));
        let mut bytes = model.bytes.clone();
        bytes.splice(at..at + from.len(), to.bytes());
        let error = ask(&format!("{name} with {to}"), model.format, &bytes);
        let error = error.unwrap_or_else(|| panic!("{name} with {to} is served")).to_string();
        assert!(error.contains(reason), "{name} with {to}: {error}");
    }
}

#[test]
fn what_was_never_a_model_is_refused() {
    let deep = [&b"{\"learner\":"[..], &b"[".repeat(200_000)].concat();
    let nested = [0x3a_u8, 0x80, 0x01].repeat(50_000);
    let files: [&[u8]; 8] =
        [b"", b"{}", b"null", b"tree\n", b"\xff\xfe\x00", b"tree\nversion=v4\nend of trees", &deep, &nested];
    for format in Format::ALL {
        for bytes in files {
            let what = format!("{} of {} bytes", format.name(), bytes.len());
            assert!(ask(&what, *format, bytes).is_some(), "{what} is served");
        }
        // The models of the others too.
        for model in whole().iter().filter(|model| model.format != *format) {
            let what = format!("{} as {}", model.name, format.name());
            assert!(ask(&what, *format, &model.bytes).is_some(), "{what} is served");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn turned_bits_never_panic(
        model in any::<prop::sample::Index>(),
        turns in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..6),
    ) {
        let whole = whole();
        let model = model.get(&whole);
        let mut bytes = model.bytes.clone();
        for (at, bit) in turns {
            *at.get_mut(&mut bytes) ^= 1 << bit;
        }
        ask(&model.name, model.format, &bytes);
    }

    #[test]
    fn parts_in_the_wrong_place_never_panic(
        model in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        length in 1..200_usize,
    ) {
        let whole = whole();
        let model = model.get(&whole);
        let from = from.index(model.bytes.len());
        let part = model.bytes[from..model.bytes.len().min(from + length)].to_vec();
        let to = to.index(model.bytes.len());
        let mut bytes = model.bytes.clone();
        bytes.splice(to..bytes.len().min(to + length), part);
        ask(&model.name, model.format, &bytes);
    }
}
