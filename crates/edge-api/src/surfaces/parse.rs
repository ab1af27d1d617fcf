//! From YAML text to a surface: structure by serde, values by `check`, every problem with its line.
//!
//! Must not know where the text came from beyond a name to print.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;
use shared_models::{SurfaceId, surface::Surface};

use super::{check::check, nearest};

/// One thing that is wrong in a surface file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name.
    pub file: String,
    /// The line, from 1; 0 when unknown.
    pub line: u64,
    /// The column, from 1; 0 when unknown.
    pub column: u64,
    /// Where in the document, such as `shelves[2].slate.size`.
    pub key: String,
    /// What is there.
    pub given: String,
    /// What would be right.
    pub expected: String,
}

impl Problem {
    pub(super) fn duplicate_surface(file: &str, id: &SurfaceId, first: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            column: 1,
            key: "surface".to_owned(),
            given: id.to_string(),
            expected: format!("another name: {first} already is this surface"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.given, self.expected)
    }
}

/// Reads one surface.
///
/// # Errors
/// With every unknown key and every value that is out of range; where the text is no surface at all,
/// with the first thing that is wrong.
pub fn parse(file: &str, text: &str) -> Result<Surface, Vec<Problem>> {
    let at = |line, column, key: String, given: String, expected: String| Problem {
        file: file.to_owned(),
        line,
        column,
        key,
        given,
        expected,
    };
    match serde_saphyr::from_str::<Surface>(text) {
        Ok(surface) => {
            let wrong = check(&surface);
            if wrong.is_empty() {
                return Ok(surface);
            }
            // Only a wrong file pays for reading the text a second time, with positions.
            let tree = serde_saphyr::from_str::<Spanned<Node>>(text).ok();
            Err(wrong
                .into_iter()
                .map(|wrong| {
                    let (line, column) = tree.as_ref().map_or((1, 1), |tree| position(tree, &wrong.key));
                    at(line, column, wrong.key, wrong.given, wrong.expected)
                })
                .collect())
        }
        Err(error) => {
            let error = error.without_snippet();
            // What the reader cannot place stands at the head of the file.
            let (line, column) = error.location().map_or((1, 1), |location| (location.line(), location.column()));
            let (given, expected) = explain(error);
            Err(vec![at(line, column, String::new(), given, expected)])
        }
    }
}

fn explain(error: &serde_saphyr::Error) -> (String, String) {
    use serde_saphyr::Error as Yaml;
    match error {
        Yaml::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key {field:?}"), did_you_mean(field, expected))
        }
        Yaml::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown name {variant:?}"), did_you_mean(variant, expected))
        }
        Yaml::SerdeMissingField { field, .. } => (format!("the key {field:?} is missing"), format!("add `{field}:`")),
        Yaml::DuplicateMappingKey { key, .. } => {
            (format!("the key {:?} is given twice", key.as_deref().unwrap_or("?")), "keep one of them".to_owned())
        }
        other => {
            let text = other.to_string();
            // A name outside its closed list arrives as the list's own message; the nearest is worth adding.
            let hint = unknown_name(&text).unwrap_or_else(|| "see the JSON Schema of surface files".to_owned());
            (text.lines().next().unwrap_or_default().to_owned(), hint)
        }
    }
}

/// Finds `… "given" is not known; known are a, b, c` in a message and picks the nearest.
fn unknown_name(text: &str) -> Option<String> {
    let (before, after) = text.split_once(" is not known; known are ")?;
    let given = before.rsplit('"').nth(1)?;
    let known = after.split([' ', ',', '\n']).filter(|word| !word.is_empty());
    nearest(given, known).map(|name| format!("did you mean `{name}`?"))
}

fn did_you_mean(given: &str, expected: &[&'static str]) -> String {
    let all = expected.join(", ");
    match nearest(given, expected.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? valid here: {all}"),
        None => format!("valid here: {all}"),
    }
}

/// The document with positions, for pointing at a value.
enum Node {
    Map(Vec<(String, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;

        impl<'de> Visitor<'de> for AnyNode {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any YAML value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Map(entries))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    entries.push(entry);
                }
                Ok(Node::List(entries))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar)
            }
        }

        deserializer.deserialize_any(AnyNode)
    }
}

/// Where `shelves[2].slate.size` stands; the nearest enclosing value where it is left to its default.
fn position(root: &Spanned<Node>, key: &str) -> (u64, u64) {
    let mut here = root;
    for step in key.split(['.', '[']) {
        let next = match &here.value {
            Node::Map(entries) => entries.iter().find(|(name, _)| name == step).map(|(_, node)| node),
            Node::List(entries) => {
                step.trim_end_matches(']').parse::<usize>().ok().and_then(|index| entries.get(index))
            }
            Node::Scalar => None,
        };
        match next {
            Some(node) => here = node,
            None => break,
        }
    }
    (here.referenced.line(), here.referenced.column())
}
