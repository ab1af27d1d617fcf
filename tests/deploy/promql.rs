//! What a PromQL expression asks for: its metrics, with the labels it selects and groups by. Whether it is well-formed is
//! promtool's to say. This file must not know which metrics there are.

use std::collections::{BTreeMap, BTreeSet};

/// A metric in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Its name, or the pattern that `__name__` has to match.
    pub name: String,
    /// The labels that are compared, with the value where it has to be just that one.
    pub labels: BTreeMap<String, Option<String>>,
}

/// What an expression asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The metrics.
    pub selectors: Vec<Selector>,
    /// The labels of `by`, `without`, `on` and the like.
    pub groupings: BTreeSet<String>,
}

/// Words that group: a list of labels follows.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that stand between operands.
const OPERATORS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// Reads an expression.
pub fn read(expression: &str) -> Asked {
    let tokens = tokens(expression);
    let mut asked = Asked::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1);
        at += 1;
        match token {
            Token::Word(word) if OPERATORS.contains(&word.as_str()) => {}
            Token::Word(word) if GROUPING.contains(&word.as_str()) => {
                if next == Some(&Token::Sign('(')) {
                    let (labels, end) = labels(&tokens, at + 1, ')');
                    asked.groupings.extend(labels.into_iter().map(|label| label.name));
                    at = end;
                }
            }
            // A function, or an aggregation with its grouping before its operand.
            Token::Word(_) if next == Some(&Token::Sign('(')) => {}
            Token::Word(word) if is_grouping(next) && is_aggregation(word) => {}
            Token::Word(name) => {
                let mut selector = Selector { name: name.clone(), labels: BTreeMap::new() };
                if next == Some(&Token::Sign('{')) {
                    let (found, end) = labels(&tokens, at + 1, '}');
                    selector.labels.extend(found.into_iter().map(Label::compared));
                    at = end;
                }
                asked.selectors.push(selector);
            }
            Token::Sign('{') => {
                let (found, end) = labels(&tokens, at, '}');
                let (name, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|label| label.name == "__name__");
                let name = name.into_iter().next().expect("a selector without a name").text;
                let labels = others.into_iter().map(Label::compared).collect();
                asked.selectors.push(Selector { name, labels });
                at = end;
            }
            Token::Text(_) | Token::Sign(_) => {}
        }
    }
    asked
}

fn is_grouping(token: Option<&Token>) -> bool {
    matches!(token, Some(Token::Word(word)) if word == "by" || word == "without")
}

fn is_aggregation(word: &str) -> bool {
    ["sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile", "stddev", "group"].contains(&word)
}

/// A label within brackets: how it is compared, and to what.
#[derive(Debug, Default)]
struct Label {
    name: String,
    operator: String,
    text: String,
}

impl Label {
    /// Its name, and its value where no other will do.
    fn compared(self) -> (String, Option<String>) {
        (self.name, (self.operator == "=").then_some(self.text))
    }
}

/// The labels up to `close`, and where to go on.
fn labels(tokens: &[Token], from: usize, close: char) -> (Vec<Label>, usize) {
    let mut found: Vec<Label> = Vec::new();
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match (token, found.last_mut()) {
            (Token::Sign(sign), _) if *sign == close => return (found, at + 1),
            (Token::Word(name), _) => found.push(Label { name: name.clone(), ..Label::default() }),
            (Token::Text(text), Some(label)) => label.text.clone_from(text),
            (Token::Sign(sign), Some(label)) if *sign != ',' => label.operator.push(*sign),
            _ => {}
        }
    }
    panic!("{close} is missing");
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(letter) = rest.next() {
        let mut taken = |more: &dyn Fn(char) -> bool| {
            let mut word = String::from(letter);
            while let Some(next) = rest.next_if(|next| more(*next)) {
                word.push(next);
            }
            word
        };
        match letter {
            '"' | '\'' => {
                let text = taken(&|next| next != letter);
                rest.next();
                tokens.push(Token::Text(text[1..].to_owned()));
            }
            // A range: durations are no metrics.
            '[' => {
                taken(&|next| next != ']');
                rest.next();
            }
            // A number, or a duration after `offset`.
            _ if letter.is_ascii_digit() => {
                taken(&|next| next.is_ascii_alphanumeric() || next == '.');
            }
            _ if letter.is_ascii_alphabetic() || "_:".contains(letter) => {
                tokens.push(Token::Word(taken(&|next| next.is_ascii_alphanumeric() || "_:".contains(next))));
            }
            _ if letter.is_whitespace() => {}
            sign => tokens.push(Token::Sign(sign)),
        }
    }
    tokens
}

#[test]
fn metrics_labels_and_groupings_are_found() {
    let check = |expression: &str, selectors: &[(&str, &[&str])], groupings: &[&str]| {
        let asked = read(expression);
        let found: Vec<_> = asked
            .selectors
            .iter()
            .map(|one| (one.name.as_str(), one.labels.keys().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let expected: Vec<_> = selectors.iter().map(|(name, labels)| (*name, labels.to_vec())).collect();
        assert_eq!(found, expected, "{expression}");
        assert_eq!(asked.groupings, groupings.iter().map(|label| (*label).to_owned()).collect(), "{expression}");
    };
    check("up", &[("up", &[])], &[]);
    check("sum by (le, a) (rate(x_bucket{a=\"(by\", b!~'c|d'}[5m]))", &[("x_bucket", &["a", "b"])], &["a", "le"]);
    check("sum(rate(x[5m])) by (a) / on (b) group_left (c) y * 1e3", &[("x", &[]), ("y", &[])], &["a", "b", "c"]);
    check("x offset 15m or vector(0) unless y > 0.5", &[("x", &[]), ("y", &[])], &[]);
    check("rate({__name__=~\"a|b\", c=\"d\"}[5m])", &[("a|b", &["c"])], &[]);
    check("histogram_quantile(0.99, sum by (le) (job:x:rate5m))", &[("job:x:rate5m", &[])], &["le"]);
}

#[test]
fn only_what_has_to_be_just_so_has_a_value() {
    let asked = read("x{a=\"1\", b!=\"2\", c=~\"3\", d='4'}");
    let values: Vec<_> =
        asked.selectors[0].labels.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    assert_eq!(values, [("a", Some("1")), ("b", None), ("c", None), ("d", Some("4"))]);
}
