//! From a model's feature names to the columns of the schema: by name, in any order. It must not know a format.

use std::collections::HashSet;

use super::Error;
use crate::features::{COLUMNS, Column};

/// How many names are proposed for one that is unknown.
const PROPOSED: usize = 3;

/// What a model says of its features.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// A name for each.
    Given(Vec<String>),
    /// None; there are so many.
    Nameless(usize),
}

impl Names {
    /// Names that a tool makes up where it was given none (`Column_0`, `f0`, `0`) are none.
    pub(super) fn of(names: Vec<String>, made_up: impl Fn(usize) -> String) -> Self {
        if names.iter().enumerate().all(|(index, name)| name.is_empty() || *name == made_up(index)) {
            Self::Nameless(names.len())
        } else {
            Self::Given(names)
        }
    }
}

/// The column of each feature.
pub(super) fn columns(names: &Names) -> Result<Vec<Column>, Error> {
    match names {
        Names::Nameless(COLUMNS) => Ok(Column::ALL.to_vec()),
        Names::Nameless(given) => Err(Error::Nameless { given: *given }),
        Names::Given(names) => {
            let mut seen = HashSet::new();
            names
                .iter()
                .map(|name| {
                    let known = Column::ALL.iter().copied().find(|column| column.feature().name == name.as_str());
                    match known {
                        Some(_) if !seen.insert(name.as_str()) => Err(Error::Twice { name: name.clone() }),
                        Some(column) => Ok(column),
                        None => Err(Error::Unknown { name: shortened(name), nearest: nearest(name) }),
                    }
                })
                .collect()
        }
    }
}

fn nearest(name: &str) -> String {
    let name = shortened(name);
    let mut known: Vec<(usize, &str)> = Column::ALL
        .iter()
        .map(|column| column.feature().name)
        .map(|known| (strsim::damerau_levenshtein(&name, known), known))
        .collect();
    known.sort_unstable();
    known.iter().take(PROPOSED).map(|(_, known)| *known).collect::<Vec<_>>().join(", ")
}

/// A name of a broken file may be as long as the file.
fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(names: &[&str]) -> Names {
        Names::of(names.iter().map(|name| (*name).to_owned()).collect(), |index| format!("Column_{index}"))
    }

    #[test]
    fn names_map_in_any_order() {
        let columns = columns(&given(&["trend", "user_dot"])).unwrap();
        assert_eq!(columns, [Column::Trend, Column::UserDot]);
    }

    #[test]
    fn an_unknown_name_comes_back_with_its_nearest() {
        let error = columns(&given(&["user_dot", "user_cosin"])).unwrap_err();
        assert!(error.to_string().contains("the nearest are user_cosine, "), "{error}");
        assert_eq!(columns(&given(&["trend", "trend"])).unwrap_err(), Error::Twice { name: "trend".to_owned() });
    }

    #[test]
    fn without_names_the_count_must_be_the_schemas() {
        assert_eq!(columns(&given(&["Column_0", "Column_1"])).unwrap_err(), Error::Nameless { given: 2 });
        assert_eq!(columns(&Names::Nameless(COLUMNS)).unwrap(), Column::ALL);
        // One name that was given makes the made-up ones names too.
        assert!(matches!(columns(&given(&["Column_0", "trend"])), Err(Error::Unknown { .. })));
    }
}
