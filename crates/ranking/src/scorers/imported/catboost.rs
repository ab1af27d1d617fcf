//! Reads CatBoost's JSON: `save_model(…, format="json")` of a model with symmetric trees over float features.
//!
//! The raw number is CatBoost's `RawFormulaVal`: the sum of leaves times the scale, plus the bias.

use serde::Deserialize;

use super::{
    Error, Forest, chosen,
    forest::{Levels, MAX_SPLITS, Missing, Sum, Tree},
    names::Names,
};

#[derive(Deserialize)]
struct File {
    features_info: Features,
    #[serde(default)]
    oblivious_trees: Option<Vec<Grown>>,
    #[serde(default)]
    trees: Option<serde::de::IgnoredAny>,
    scale_and_bias: Option<(f64, Bias)>,
}

#[derive(Deserialize)]
struct Features {
    #[serde(default)]
    float_features: Vec<Float>,
    #[serde(default)]
    categorical_features: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    text_features: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    embedding_features: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Float {
    #[serde(default)]
    feature_id: String,
    feature_index: usize,
    flat_feature_index: usize,
    #[serde(default)]
    nan_value_treatment: String,
}

/// One number, or one for each output.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bias {
    One(f64),
    Each(Vec<f64>),
}

#[derive(Deserialize)]
struct Grown {
    leaf_values: Vec<f64>,
    /// None at all in a tree of one leaf.
    splits: Option<Vec<Question>>,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    border: f64,
    #[serde(default)]
    float_feature_index: u32,
    split_type: String,
}

/// Names and forest of one output.
pub(super) fn read(bytes: &[u8], output: Option<usize>) -> Result<(Names, Forest), Error> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| {
        Error::form(format!("it is no CatBoost model in JSON (save_model with format=\"json\"): {error}"))
    })?;
    let info = &file.features_info;
    if !(info.categorical_features.is_empty() && info.text_features.is_empty() && info.embedding_features.is_empty()) {
        return Err(Error::unsupported(
            "a categorical, text or embedding feature",
            "the schema's features are numbers; train without cat_features",
        ));
    }
    let Some(grown) = file.oblivious_trees else {
        return Err(match file.trees {
            Some(_) => Error::unsupported("a tree that is not symmetric", "train with grow_policy=\"SymmetricTree\""),
            None => Error::form("it has no oblivious_trees"),
        });
    };
    let (names, treatments) = features(&info.float_features)?;

    let (scale, biases) = match file.scale_and_bias {
        None => (1.0, vec![0.0]),
        Some((scale, Bias::One(bias))) => (scale, vec![bias]),
        Some((scale, Bias::Each(biases))) => (scale, if biases.is_empty() { vec![0.0] } else { biases }),
    };
    let outputs = biases.len();
    let output = chosen(output, outputs)?;
    let offset = biases.get(output).copied().unwrap_or(0.0);

    let (mut trees, mut splits) = (Vec::with_capacity(grown.len()), 0);
    for (number, grown) in grown.into_iter().enumerate() {
        let tree = tree(number, grown, &treatments, output, outputs)?;
        splits += tree.splits();
        if splits > MAX_SPLITS {
            return Err(Error::value("the number of splits", format!("more than {MAX_SPLITS}"), "at most that"));
        }
        trees.push(tree);
    }
    let sum = Sum { scale, offset, ..Sum::PLAIN };
    let forest = Forest::new(treatments.len(), trees, sum).map_err(|refused| refused.of_tree(|tree| tree))?;
    Ok((names, forest))
}

/// The names of float features, and where NaN goes at each of their borders.
fn features(given: &[Float]) -> Result<(Names, Vec<Missing>), Error> {
    let mut treatments = Vec::with_capacity(given.len());
    for (index, feature) in given.iter().enumerate() {
        if feature.feature_index != index || feature.flat_feature_index != index {
            return Err(Error::value(
                format!("feature_index of float feature {index}"),
                feature.feature_index,
                index.to_string(),
            ));
        }
        treatments.push(match feature.nan_value_treatment.as_str() {
            // As it is, NaN is above no border.
            "AsIs" | "AsFalse" | "" => Missing::Left,
            "AsTrue" => Missing::Right,
            other => {
                let other: String = other.chars().take(40).collect();
                let place = format!("nan_value_treatment of float feature {index}");
                return Err(Error::value(place, format!("{other:?}"), "AsIs, AsFalse or AsTrue"));
            }
        });
    }
    let names = given.iter().map(|feature| feature.feature_id.clone()).collect();
    Ok((Names::of(names, |index| index.to_string()), treatments))
}

fn tree(number: usize, grown: Grown, treatments: &[Missing], output: usize, outputs: usize) -> Result<Tree, Error> {
    let mut questions = Vec::new();
    for (level, question) in grown.splits.into_iter().flatten().enumerate() {
        if question.split_type != "FloatFeature" {
            let kind: String = question.split_type.chars().take(40).collect();
            return Err(Error::unsupported(
                format!("the split {kind} of tree {number}"),
                "the schema's features are numbers; train without cat_features and one-hot encoding",
            ));
        }
        let border = question.border as f32;
        if !border.is_finite() {
            return Err(Error::value(format!("border {level} of tree {number}"), question.border, "a finite number"));
        }
        let feature = question.float_feature_index;
        // A feature that does not exist is refused with the tree.
        let missing = treatments.get(feature as usize).copied().unwrap_or(Missing::Left);
        questions.push((feature, border, missing));
    }
    let expected = 1_usize.checked_shl(questions.len() as u32).and_then(|leaves| leaves.checked_mul(outputs));
    if expected != Some(grown.leaf_values.len()) {
        let given = grown.leaf_values.len();
        return Err(Error::value(
            format!("the length of leaf_values of tree {number}"),
            given,
            "2^splits for each output",
        ));
    }
    let leaves = grown.leaf_values.into_iter().skip(output).step_by(outputs).collect();
    Ok(Tree::Levels(Levels { questions, leaves }))
}
