//! From YAML text to a surface: structure by serde, values by `check`, every problem with its line.
//!
//! Must not know where the text came from beyond a name to print.

use std::fmt;

use shared_models::{SurfaceId, surface::Surface};

use super::{
    check::check,
    nearest,
    tree::{Position, Tree},
};

/// A file with more unknown keys than this is no surface file.
const MOST_MENDED: usize = 100;

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

/// A problem without its file.
struct Wrong {
    position: Position,
    key: String,
    given: String,
    expected: String,
}

/// Reads one surface.
///
/// # Errors
/// With every unknown key, every value that is out of range, and the first thing that is wrong otherwise.
pub fn parse(file: &str, text: &str) -> Result<Surface, Vec<Problem>> {
    let wrong = match serde_saphyr::from_str::<Surface>(text) {
        Ok(surface) => {
            let wrong = check(&surface);
            if wrong.is_empty() {
                return Ok(surface);
            }
            // Only a wrong file pays for reading the text a second time, with positions.
            out_of_range(wrong, Tree::read(text).as_ref())
        }
        Err(first) => read_on(text, &first),
    };
    let problem = |Wrong { position: (line, column), key, given, expected }| Problem {
        file: file.to_owned(),
        line,
        column,
        key,
        given,
        expected,
    };
    Err(wrong.into_iter().map(problem).collect())
}

fn out_of_range(wrong: Vec<super::check::Wrong>, tree: Option<&Tree>) -> Vec<Wrong> {
    let placed = |wrong: super::check::Wrong| Wrong {
        position: tree.map_or((1, 1), |tree| tree.position(&wrong.key)),
        key: wrong.key,
        given: wrong.given,
        expected: wrong.expected,
    };
    wrong.into_iter().map(placed).collect()
}

/// Everything that can be told of a text that is no surface. Serde stops at the first unknown key: it is mended in a
/// copy, and the copy is read again.
fn read_on(text: &str, first: &serde_saphyr::Error) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    // Behind something that cannot be mended only unknown keys are certain: the rest may be its consequence.
    let mut certain = true;
    if unknown_key(first).is_none() {
        wrong.push(told(first, position_of(first)));
        certain = false;
    }
    let Some(mut tree) = Tree::read(text) else {
        return if wrong.is_empty() { vec![told(first, position_of(first))] } else { wrong };
    };
    for _ in 0..MOST_MENDED {
        let copy = tree.rewritten();
        let error = match serde_saphyr::from_str::<Surface>(&copy.text) {
            Ok(surface) => {
                if certain {
                    wrong.extend(out_of_range(check(&surface), Some(&tree)));
                }
                break;
            }
            Err(error) => error,
        };
        let (line, _) = position_of(&error);
        if let Some((key, known)) = unknown_key(&error) {
            match tree.mend(line, &copy, key, nearest(key, known.iter().copied())) {
                Some(position) => wrong.push(told(&error, position)),
                None => break,
            }
        } else {
            let mut path = copy.path(line);
            // What is missing is missed at the end of a map: by the map that its last entry is in.
            if let serde_saphyr::Error::SerdeMissingField { .. } = error.without_snippet() {
                path = path.split_last().map_or(path, |(_, parent)| parent);
            }
            if certain {
                wrong.push(told(&error, tree.origin(path)));
                certain = false;
            }
            if !tree.remove(path) {
                break;
            }
        }
    }
    if wrong.is_empty() {
        wrong.push(told(first, position_of(first)));
    }
    wrong.sort_by_key(|wrong| wrong.position);
    wrong
}

fn unknown_key(error: &serde_saphyr::Error) -> Option<(&str, &[&'static str])> {
    match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => Some((field, expected)),
        _ => None,
    }
}

/// What the reader cannot place stands at the head of the file.
fn position_of(error: &serde_saphyr::Error) -> Position {
    error.without_snippet().location().map_or((1, 1), |location| (location.line(), location.column()))
}

fn told(error: &serde_saphyr::Error, position: Position) -> Wrong {
    let (given, expected) = explain(error.without_snippet());
    Wrong { position, key: String::new(), given, expected }
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
