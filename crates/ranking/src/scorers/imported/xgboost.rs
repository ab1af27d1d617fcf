//! Reads XGBoost's JSON: `Booster.save_model("model.json")`, boosters `gbtree` and `dart`.
//!
//! The raw number is XGBoost's margin, added up in `f32` in XGBoost's order. Every tree of the file counts, whatever
//! iteration was best.

use serde::Deserialize;

use super::{
    Error, Forest, chosen,
    forest::{Binary, MAX_SPLITS, Missing, Next, Split, Sum, Tree},
    names::Names,
};

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    feature_names: Vec<String>,
    #[serde(default)]
    feature_types: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: Param,
    objective: Objective,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

#[derive(Deserialize)]
struct Param {
    base_score: String,
    num_class: String,
    num_feature: String,
    #[serde(default = "one")]
    num_target: String,
}

fn one() -> String {
    "1".to_owned()
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    model: Option<Model>,
    gbtree: Option<Inner>,
    weight_drop: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Inner {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    tree_info: Vec<usize>,
    trees: Vec<Grown>,
}

/// A tree: nodes in columns; where `left_children` is -1 the split's condition is the leaf's value.
#[derive(Deserialize)]
struct Grown {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<u32>,
    split_conditions: Vec<f64>,
    default_left: Vec<Flag>,
    #[serde(default)]
    split_type: Vec<u8>,
    tree_param: TreeParam,
}

#[derive(Deserialize)]
struct TreeParam {
    #[serde(default)]
    num_deleted: String,
    #[serde(default)]
    size_leaf_vector: String,
}

/// Written as a number or, by older versions, as a word.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Flag {
    Word(bool),
    Number(u8),
}

/// Names and forest of one output.
pub(super) fn read(bytes: &[u8], output: Option<usize>) -> Result<(Names, Forest), Error> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| {
        Error::form(format!("it is no XGBoost model in JSON (save_model to a name in .json): {error}"))
    })?;
    let learner = file.learner;
    let features: usize = number("num_feature", &learner.learner_model_param.num_feature)?;
    let names = if learner.feature_names.is_empty() {
        Names::Nameless(features)
    } else if learner.feature_names.len() == features {
        Names::of(learner.feature_names, |index| format!("f{index}"))
    } else {
        let expected = format!("{features}, as num_feature says");
        return Err(Error::value("the length of feature_names", learner.feature_names.len(), expected));
    };
    if learner.feature_types.iter().any(|kind| kind == "c") {
        return Err(categorical("the model's feature_types"));
    }
    if number::<usize>("num_target", &learner.learner_model_param.num_target)? > 1 {
        return Err(Error::unsupported("a model of several targets", "train one model for each action"));
    }
    let outputs = number::<usize>("num_class", &learner.learner_model_param.num_class)?.max(1);
    let output = chosen(output, outputs)?;
    let start = start(&learner.objective.name, &learner.learner_model_param.base_score, output, outputs)?;

    let (model, weights) = booster(learner.gradient_booster)?;
    if model.tree_info.len() != model.trees.len() {
        return Err(Error::value("the length of tree_info", model.tree_info.len(), model.trees.len().to_string()));
    }
    if let Some(weights) = weights.as_ref().filter(|weights| weights.len() != model.trees.len()) {
        return Err(Error::value("the length of weight_drop", weights.len(), model.trees.len().to_string()));
    }
    let (mut trees, mut numbers, mut splits) = (Vec::new(), Vec::new(), 0);
    for (number, (grown, info)) in model.trees.into_iter().zip(&model.tree_info).enumerate() {
        if *info >= outputs {
            return Err(Error::value(format!("tree_info of tree {number}"), info, format!("less than {outputs}")));
        }
        if *info == output {
            let weight = weights.as_ref().and_then(|weights| weights.get(number)).copied().unwrap_or(1.0);
            let tree = tree(number, &grown, weight)?;
            splits += tree.splits();
            if splits > MAX_SPLITS {
                return Err(Error::value("the number of splits", format!("more than {MAX_SPLITS}"), "at most that"));
            }
            trees.push(tree);
            numbers.push(number);
        }
    }
    let sum = Sum { start: f64::from(start), single: true, ..Sum::PLAIN };
    let forest = Forest::new(features, trees, sum)
        .map_err(|refused| refused.of_tree(|tree| numbers.get(tree).copied().unwrap_or(tree)))?;
    Ok((names, forest))
}

fn booster(booster: Booster) -> Result<(Model, Option<Vec<f32>>), Error> {
    let missing = || Error::form("gradient_booster has no model");
    match booster.name.as_str() {
        "gbtree" => Ok((booster.model.ok_or_else(missing)?, None)),
        "dart" => {
            let weights = booster.weight_drop.ok_or_else(|| Error::form("gradient_booster has no weight_drop"))?;
            if weights.iter().any(|weight| !weight.is_finite()) {
                return Err(Error::form("weight_drop holds a number that is not finite"));
            }
            Ok((booster.gbtree.map(|inner| inner.model).ok_or_else(missing)?, Some(weights)))
        }
        _ => {
            let name: String = booster.name.chars().take(40).collect();
            Err(Error::unsupported(format!("booster {name}"), "gbtree and dart are"))
        }
    }
}

/// The margin that every sum starts from: `base_score` is what the objective predicts, not its margin.
fn start(objective: &str, base_score: &str, output: usize, outputs: usize) -> Result<f32, Error> {
    let scores: Vec<&str> = base_score.trim_matches(['[', ']']).split(',').collect();
    let wrong = || {
        Error::value(
            "base_score",
            base_score.chars().take(60).collect::<String>(),
            "a number the objective can predict",
        )
    };
    // One for all outputs, or one for each.
    let score = if scores.len() == outputs { scores.get(output) } else { scores.first().filter(|_| scores.len() == 1) };
    let score: f32 = score.and_then(|score| score.trim().parse().ok()).ok_or_else(wrong)?;
    let margin = match objective {
        "binary:logistic" | "reg:logistic" | "binary:logitraw" => -(1.0 / score - 1.0).ln(),
        "count:poisson" | "reg:gamma" | "reg:tweedie" => score.ln(),
        "rank:pairwise"
        | "rank:ndcg"
        | "rank:map"
        | "reg:squarederror"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "binary:hinge"
        | "multi:softprob"
        | "multi:softmax" => score,
        _ => {
            let name: String = objective.chars().take(40).collect();
            return Err(Error::unsupported(format!("objective {name}"), "what its base_score means is not known"));
        }
    };
    if margin.is_finite() { Ok(margin) } else { Err(wrong()) }
}

fn number<T: std::str::FromStr>(place: &str, text: &str) -> Result<T, Error> {
    let given = || text.chars().take(40).collect::<String>();
    text.trim().parse().map_err(|_| Error::value(place, format!("{:?}", given()), "a number"))
}

fn categorical(what: &str) -> Error {
    Error::unsupported(
        format!("a categorical feature in {what}"),
        "the schema's features are numbers; train with enable_categorical=False",
    )
}

/// The nodes that hang together from the root; pruning leaves others behind, which `num_deleted` counts.
fn tree(number: usize, grown: &Grown, weight: f32) -> Result<Tree, Error> {
    let nodes = grown.left_children.len();
    let lengths = [
        ("right_children", grown.right_children.len()),
        ("split_indices", grown.split_indices.len()),
        ("split_conditions", grown.split_conditions.len()),
        ("default_left", grown.default_left.len()),
    ];
    if let Some((what, given)) = lengths.iter().find(|(_, given)| *given != nodes) {
        return Err(Error::value(format!("the length of {what} of tree {number}"), given, nodes.to_string()));
    }
    if grown.split_type.iter().any(|kind| *kind != 0) {
        return Err(categorical(&format!("tree {number}")));
    }
    if !["", "0", "1"].contains(&grown.tree_param.size_leaf_vector.as_str()) {
        return Err(Error::unsupported(format!("the vector leaf of tree {number}"), "train with one_output_per_tree"));
    }
    let unusable = |problem: String| Error::Tree { tree: number, problem };
    let mut seen = vec![false; nodes];
    let (mut splits, mut leaves) = (Vec::new(), Vec::new());
    // Each open node hangs on the side of a split.
    let mut open: Vec<(i32, Option<(usize, bool)>)> = vec![(0, None)];
    while let Some((node, above)) = open.pop() {
        let Some(node) = usize::try_from(node).ok().filter(|node| *node < nodes) else {
            return Err(unusable(format!("node {node} does not exist")));
        };
        if std::mem::replace(&mut seen[node], true) {
            return Err(unusable(format!("node {node} is reached twice")));
        }
        let condition = grown.split_conditions[node];
        if !condition.is_finite() || !(condition as f32).is_finite() {
            return Err(unusable(format!("the condition of node {node} is not finite")));
        }
        let next = if grown.left_children[node] == -1 {
            leaves.push(f64::from(condition as f32 * weight));
            Next::Leaf((leaves.len() - 1) as u32)
        } else {
            let left_by_default = match grown.default_left[node] {
                Flag::Word(left) => left,
                Flag::Number(left) => left != 0,
            };
            let split = splits.len();
            open.push((grown.right_children[node], Some((split, true))));
            open.push((grown.left_children[node], Some((split, false))));
            splits.push(Split {
                feature: grown.split_indices[node],
                // XGBoost goes left below the condition, not at it.
                at: (condition as f32).next_down(),
                missing: if left_by_default { Missing::Left } else { Missing::Right },
                left: Next::Leaf(0),
                right: Next::Leaf(0),
            });
            Next::Split(split as u32)
        };
        if let Some((split, right)) = above
            && let Some(split) = splits.get_mut(split)
        {
            *(if right { &mut split.right } else { &mut split.left }) = next;
        }
    }
    let unreached = seen.iter().filter(|seen| !**seen).count();
    let deleted = if grown.tree_param.num_deleted.is_empty() {
        0
    } else {
        self::number("num_deleted", &grown.tree_param.num_deleted)?
    };
    if unreached != deleted {
        return Err(unusable(format!("{unreached} nodes are never reached, {deleted} are said to be deleted")));
    }
    Ok(Tree::Binary(Binary { splits, leaves }))
}
