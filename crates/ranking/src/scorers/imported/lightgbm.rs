//! Reads LightGBM's text: `Booster.save_model`, versions 3 and 4.
//!
//! The raw number is LightGBM's raw score, times the objective's `sigmoid` where it has one, so that it is the log-odds;
//! of a random forest (`average_output`) it is the mean over iterations.

use std::{collections::HashMap, str::FromStr};

use super::{
    Error, Forest, chosen,
    forest::{Binary, MAX_SPLITS, Missing, Next, Split, Sum, Tree},
    names::Names,
};

/// Bits of `decision_type`.
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

/// Objectives whose raw score is what a calibration may start from.
const OBJECTIVES: [&str; 16] = [
    "binary",
    "lambdarank",
    "rank_xendcg",
    "cross_entropy",
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "quantile",
    "mape",
    "poisson",
    "gamma",
    "tweedie",
    "multiclass",
    "multiclassova",
    "custom",
];

/// The lines `key=value` of one part of the file; a line without `=` has an empty value.
struct Part<'a> {
    place: String,
    lines: HashMap<&'a str, &'a str>,
}

impl<'a> Part<'a> {
    fn of(place: String, text: &'a str) -> Result<Self, Error> {
        let mut lines = HashMap::new();
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if lines.insert(key, value).is_some() {
                let key: String = key.chars().take(40).collect();
                return Err(Error::form(format!("{place} has {key:?} twice")));
            }
        }
        Ok(Self { place, lines })
    }

    fn text(&self, key: &str) -> Result<&'a str, Error> {
        self.lines.get(key).copied().ok_or_else(|| Error::form(format!("{} has no {key}", self.place)))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, Error> {
        let text = self.text(key)?;
        text.trim().parse().map_err(|_| self.wrong(key, text))
    }

    /// A list of exactly so many numbers.
    fn list<T: FromStr>(&self, key: &str, expected: usize) -> Result<Vec<T>, Error> {
        // A line may hold far more words than belong there.
        let words = self.text(key)?.split_ascii_whitespace().take(expected + 1);
        let numbers =
            words.map(|word| word.parse().map_err(|_| self.wrong(key, word))).collect::<Result<Vec<T>, _>>()?;
        if numbers.len() == expected {
            Ok(numbers)
        } else {
            let given = if numbers.len() > expected { "more".to_owned() } else { numbers.len().to_string() };
            Err(Error::value(format!("the length of {key} of {}", self.place), given, expected.to_string()))
        }
    }

    fn wrong(&self, key: &str, given: &str) -> Error {
        let given: String = given.chars().take(40).collect();
        Error::value(format!("{key} of {}", self.place), format!("{given:?}"), "a number in its range")
    }
}

/// Names and forest of one output.
pub(super) fn read(bytes: &[u8], output: Option<usize>) -> Result<(Names, Forest), Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::form("it is no UTF-8 text"))?;
    if text.lines().next().map(str::trim_end) != Some("tree") {
        return Err(Error::form("its first line is not `tree`: write it with Booster.save_model"));
    }
    let Some((text, _)) = text.split_once("end of trees") else {
        return Err(Error::form("it ends before `end of trees`"));
    };
    let mut parts = text.split("\nTree=");
    let header =
        Part::of("the header".to_owned(), parts.next().and_then(|head| head.strip_prefix("tree")).unwrap_or(""))?;
    let version = header.text("version")?;
    if !["v3", "v4"].contains(&version) {
        return Err(Error::value("version", format!("{:?}", version.chars().take(20).collect::<String>()), "v3 or v4"));
    }

    let features = header.number::<usize>("max_feature_idx")?.saturating_add(1);
    let names: Vec<String> = header.text("feature_names")?.split(' ').map(str::to_owned).collect();
    if names.len() != features {
        return Err(Error::value(
            "the length of feature_names",
            names.len(),
            format!("{features}, as max_feature_idx says"),
        ));
    }
    let outputs = header.number::<usize>("num_tree_per_iteration")?;
    let output = chosen(output, outputs)?;

    let mut trees = Vec::new();
    let (mut found, mut splits) = (0_usize, 0_usize);
    for (number, part) in parts.enumerate() {
        found += 1;
        let (given, rest) = part.split_once('\n').unwrap_or((part, ""));
        if given.trim_end() != number.to_string() {
            return Err(Error::value(
                format!("the number of tree {number}"),
                given.chars().take(20).collect::<String>(),
                "the next",
            ));
        }
        if number % outputs == output {
            let tree = tree(number, rest)?;
            splits += tree.splits();
            if splits > MAX_SPLITS {
                return Err(Error::value("the number of splits", format!("more than {MAX_SPLITS}"), "at most that"));
            }
            trees.push(tree);
        }
    }
    if let Some(sizes) = header.lines.get("tree_sizes") {
        let expected = sizes.split_ascii_whitespace().count();
        if expected != found {
            return Err(Error::value("the number of trees", found, format!("{expected}, as tree_sizes says")));
        }
    }
    if found == 0 || found % outputs != 0 {
        return Err(Error::value(
            "the number of trees",
            found,
            format!("a multiple of num_tree_per_iteration, {outputs}"),
        ));
    }

    let mut scale = sigmoid(&header)?;
    if header.lines.contains_key("average_output") {
        scale /= trees.len() as f64;
    }
    let forest = Forest::new(features, trees, Sum { scale, ..Sum::PLAIN }).map_err(|refused| {
        // Trees of other outputs stand between those that were kept.
        refused.of_tree(|tree| tree * outputs + output)
    })?;
    Ok((Names::of(names, |index| format!("Column_{index}")), forest))
}

/// What makes the raw score log-odds.
fn sigmoid(header: &Part<'_>) -> Result<f64, Error> {
    let objective = header.lines.get("objective").copied().unwrap_or("custom");
    let mut words = objective.split_ascii_whitespace();
    let name = words.next().unwrap_or("custom");
    if !OBJECTIVES.contains(&name) {
        let name: String = name.chars().take(40).collect();
        return Err(Error::unsupported(
            format!("objective {name}"),
            "its raw score is not known to be log-odds or an order",
        ));
    }
    let given = words.find_map(|word| word.strip_prefix("sigmoid:"));
    match given.map(str::parse::<f64>) {
        None => Ok(1.0),
        Some(Ok(sigmoid)) if sigmoid.is_finite() && sigmoid > 0.0 => Ok(sigmoid),
        Some(_) => Err(Error::value("sigmoid of objective", given.unwrap_or(""), "a positive number")),
    }
}

fn tree(number: usize, text: &str) -> Result<Tree, Error> {
    let part = Part::of(format!("tree {number}"), text)?;
    if part.lines.get("num_cat").is_some_and(|count| count.trim() != "0") {
        return Err(Error::unsupported(
            format!("the categorical split of tree {number}"),
            "the schema's features are numbers; train without categorical_feature",
        ));
    }
    if part.lines.get("is_linear").is_some_and(|linear| linear.trim() != "0") {
        return Err(Error::unsupported(format!("the linear leaf of tree {number}"), "train with linear_tree=false"));
    }
    let leaves = part.number::<usize>("num_leaves")?;
    if leaves == 0 || leaves > MAX_SPLITS {
        return Err(Error::value(format!("num_leaves of tree {number}"), leaves, format!("1 to {MAX_SPLITS}")));
    }
    let values = part.list::<f64>("leaf_value", leaves)?;
    if leaves == 1 {
        return Ok(Tree::Binary(Binary { splits: Vec::new(), leaves: values }));
    }
    let features = part.list::<u32>("split_feature", leaves - 1)?;
    let thresholds = part.list::<f64>("threshold", leaves - 1)?;
    let decisions = part.list::<u8>("decision_type", leaves - 1)?;
    let lefts = part.list::<i32>("left_child", leaves - 1)?;
    let rights = part.list::<i32>("right_child", leaves - 1)?;
    let mut splits = Vec::with_capacity(leaves - 1);
    for (split, ((((feature, at), decision), left), right)) in
        features.into_iter().zip(thresholds).zip(decisions).zip(lefts).zip(rights).enumerate()
    {
        if decision & CATEGORICAL != 0 {
            return Err(Error::unsupported(
                format!("the categorical split {split} of tree {number}"),
                "the schema's features are numbers; train without categorical_feature",
            ));
        }
        // Infinity is one: a split that tells NaN from all else.
        if at.is_nan() {
            return Err(Error::value(format!("the threshold of split {split} of tree {number}"), at, "a number"));
        }
        let left_by_default = decision & DEFAULT_LEFT != 0;
        let missing = match (decision >> 2, left_by_default) {
            (0, _) => Missing::AsZero,
            (1, true) => Missing::ZeroLeft,
            (1, false) => Missing::ZeroRight,
            (2, true) => Missing::TinyLeft,
            (2, false) => Missing::TinyRight,
            _ => {
                let place = format!("decision_type of split {split} of tree {number}");
                return Err(Error::value(place, decision, "a missing type of 0 to 2"));
            }
        };
        splits.push(Split { feature, at: below(at), missing, left: next(left), right: next(right) });
    }
    Ok(Tree::Binary(Binary { splits, leaves: values }))
}

/// Leaves are the negative numbers, from -1 on.
fn next(child: i32) -> Next {
    if child < 0 { Next::Leaf((!child).cast_unsigned()) } else { Next::Split(child.cast_unsigned()) }
}

/// The largest `f32` that is at most the threshold: features are `f32`, so that no test changes its answer.
fn below(at: f64) -> f32 {
    let near = at as f32;
    if f64::from(near) > at { near.next_down() } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_round_down() {
        assert_eq!(below(0.1), 0.1_f32.next_down());
        assert_eq!(below(0.5), 0.5);
        assert_eq!(below(1e300), f32::MAX);
        assert_eq!(below(-1e300), f32::NEG_INFINITY);
        assert_eq!(below(1e-300), 0.0);
        assert_eq!(below(-1e-300), -1e-45);
    }

    const SMALL: &str = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n\
        objective=binary sigmoid:2\nfeature_names=trend age\nfeature_infos=[0:1] [0:1]\ntree_sizes=100\n\nTree=0\nnum_leaves=2\n\
        num_cat=0\nsplit_feature=1\nsplit_gain=1\nthreshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\n\
        leaf_value=0.25 -1\nleaf_weight=1 1\nleaf_count=1 1\ninternal_value=0\ninternal_weight=0\ninternal_count=2\n\
        is_linear=0\nshrinkage=1\n\n\nend of trees\n\nfeature_importances:\n";

    #[test]
    fn a_small_model_reads_and_its_sigmoid_scales() {
        let (names, forest) = read(SMALL.as_bytes(), None).unwrap();
        assert_eq!(names, Names::Given(vec!["trend".to_owned(), "age".to_owned()]));
        let mut raw = [0.0; 3];
        forest.raw(&[&[0.0; 3], &[0.5, 0.75, f32::NAN]], &mut raw);
        assert_eq!(raw, [0.5, -2.0, 0.5]);
    }

    #[test]
    fn what_is_not_served_says_why() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(SMALL.contains(from), "{from}");
            let error = read(SMALL.replacen(from, to, 1).as_bytes(), None).unwrap_err().to_string();
            assert_eq!(error, expected);
        };
        check("tree\n", "tre\n", "model does not read: its first line is not `tree`: write it with Booster.save_model");
        check("end of trees", "", "model does not read: it ends before `end of trees`");
        check("version=v4", "version=v9", "version is \"v9\", expected v3 or v4");
        check(
            "feature_names=trend age",
            "feature_names=trend",
            "the length of feature_names is 1, expected 2, as max_feature_idx says",
        );
        check(
            "num_cat=0",
            "num_cat=1",
            "the categorical split of tree 0 cannot be served: the schema's features are numbers; train without categorical_feature",
        );
        check("is_linear=0", "is_linear=1", "the linear leaf of tree 0 cannot be served: train with linear_tree=false");
        check(
            "decision_type=2",
            "decision_type=1",
            "the categorical split 0 of tree 0 cannot be served: the schema's features are numbers; train without categorical_feature",
        );
        check(
            "decision_type=2",
            "decision_type=14",
            "decision_type of split 0 of tree 0 is 14, expected a missing type of 0 to 2",
        );
        check("threshold=0.5", "threshold=nan", "the threshold of split 0 of tree 0 is NaN, expected a number");
        check("threshold=0.5", "threshold=x", "threshold of tree 0 is \"x\", expected a number in its range");
        check("leaf_value=0.25 -1", "leaf_value=0.25", "the length of leaf_value of tree 0 is 1, expected 2");
        check("leaf_value=0.25 -1", "leaf_value=0.25 inf", "tree 0 of the model is unusable: leaf 1 is not finite");
        check("left_child=-1", "left_child=0", "tree 0 of the model is unusable: split 0 is reached twice");
        check(
            "split_feature=1",
            "split_feature=2",
            "tree 0 of the model is unusable: split 0 reads feature 2, the model has 2",
        );
        check(
            "binary sigmoid:2",
            "cross_entropy_lambda",
            "objective cross_entropy_lambda cannot be served: its raw score is not known to be log-odds or an order",
        );
        check("sigmoid:2", "sigmoid:-2", "sigmoid of objective is -2, expected a positive number");
        check("num_tree_per_iteration=1", "num_tree_per_iteration=2", "model has 2 outputs, and none was chosen");
        check("num_tree_per_iteration=1", "num_tree_per_iteration=0", "model has 0 outputs, and none was chosen");
        check("tree_sizes=100", "tree_sizes=100 100", "the number of trees is 1, expected 2, as tree_sizes says");
        check("num_leaves=2", "num_leaves=2\nnum_leaves=2", "model does not read: tree 0 has \"num_leaves\" twice");
        check("Tree=0", "Tree=1", "the number of tree 0 is 1, expected the next");
    }
}
