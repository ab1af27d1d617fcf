//! A YAML document with positions: for pointing at a value, and for reading on behind a key that nobody knows.
//!
//! Must not know what a surface is.

use std::{collections::VecDeque, fmt, fmt::Write as _};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// A line and a column, from 1.
pub(super) type Position = (u64, u64);

/// A document.
pub(super) struct Tree(Spanned<Node>);

/// A document as it was written anew: every entry on a line of its own, with what stands on each line.
pub(super) struct Rewritten {
    pub(super) text: String,
    lines: Vec<Vec<usize>>,
}

enum Node {
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    /// A scalar, as YAML reads it back.
    Scalar(String),
}

fn place<T>(spanned: &Spanned<T>) -> Position {
    (spanned.referenced.line(), spanned.referenced.column())
}

impl Tree {
    /// Reads a document; `None` where it is no YAML.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_saphyr::from_str(text).ok().map(Self)
    }

    /// Where `shelves[2].slate.size` stands; the nearest enclosing value where it is left to its default.
    pub(super) fn position(&self, key: &str) -> Position {
        let mut here = &self.0;
        for step in key.split(['.', '[']) {
            let next = match &here.value {
                Node::Map(entries) => entries.iter().find(|(name, _)| name.value == step).map(|(_, node)| node),
                Node::List(entries) => {
                    step.trim_end_matches(']').parse::<usize>().ok().and_then(|index| entries.get(index))
                }
                Node::Scalar(_) => None,
            };
            match next {
                Some(node) => here = node,
                None => break,
            }
        }
        place(here)
    }

    /// The document, written anew.
    pub(super) fn rewritten(&self) -> Rewritten {
        let mut rewritten = Rewritten { text: String::new(), lines: vec![Vec::new()] };
        rewritten.write(&self.0.value, &mut Vec::new());
        rewritten
    }

    /// Where the value at a path stands in the file.
    pub(super) fn origin(&mut self, path: &[usize]) -> Position {
        self.at(path).map_or((1, 1), |node| place(node))
    }

    /// Takes a key out of the way, or gives it the name that it was meant to have, where that is still free. `line` is
    /// near the key, in the rewritten document. Says where the key stands in the file.
    pub(super) fn mend(&mut self, line: u64, of: &Rewritten, name: &str, meant: Option<&str>) -> Option<Position> {
        let path = of.path(line);
        // The map that the line's own entry is in comes first, then what is below the line, then what is around it.
        let parents = (0..path.len()).rev().filter_map(|length| path.get(..length));
        let nearest = parents.clone().take(1).chain([path]).chain(parents);
        let paths: Vec<Vec<usize>> = nearest.map(<[usize]>::to_vec).collect();
        for path in paths {
            let Some(below) = self.at(&path).and_then(|node| path_to(node, name)) else { continue };
            let Node::Map(entries) = &mut self.at(&[path, below].concat())?.value else { continue };
            let index = entries.iter().position(|(key, _)| key.value == name)?;
            let free = |meant: &&str| entries.iter().all(|(key, _)| key.value != **meant);
            return match (meant.filter(free), entries.get_mut(index)) {
                (Some(meant), Some((key, _))) => {
                    meant.clone_into(&mut key.value);
                    Some(place(key))
                }
                _ => Some(place(&entries.remove(index).0)),
            };
        }
        None
    }

    /// Takes what stands at a path out of the way; whether that can be.
    pub(super) fn remove(&mut self, path: &[usize]) -> bool {
        let Some((last, parent)) = path.split_last() else { return false };
        match self.at(parent).map(|node| &mut node.value) {
            Some(Node::Map(entries)) if *last < entries.len() => drop(entries.remove(*last)),
            Some(Node::List(entries)) if *last < entries.len() => drop(entries.remove(*last)),
            _ => return false,
        }
        true
    }

    fn at(&mut self, path: &[usize]) -> Option<&mut Spanned<Node>> {
        path.iter().try_fold(&mut self.0, |node, step| match &mut node.value {
            Node::Map(entries) => entries.get_mut(*step).map(|(_, node)| node),
            Node::List(entries) => entries.get_mut(*step),
            Node::Scalar(_) => None,
        })
    }
}

/// Where the outermost map at or below a node is that has such a key.
fn path_to(node: &Spanned<Node>, name: &str) -> Option<Vec<usize>> {
    let mut waiting = VecDeque::from([(node, Vec::new())]);
    while let Some((node, path)) = waiting.pop_front() {
        let below = |index: usize| path.iter().copied().chain([index]).collect::<Vec<_>>();
        match &node.value {
            Node::Map(entries) if entries.iter().any(|(key, _)| key.value == name) => return Some(path),
            Node::Map(entries) => waiting.extend(entries.iter().enumerate().map(|(i, (_, node))| (node, below(i)))),
            Node::List(entries) => waiting.extend(entries.iter().enumerate().map(|(i, node)| (node, below(i)))),
            Node::Scalar(_) => {}
        }
    }
    None
}

impl Rewritten {
    /// The path of what stands on a line: indices of entries, from the root.
    pub(super) fn path(&self, line: u64) -> &[usize] {
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        self.lines.get(index).map_or(&[], Vec::as_slice)
    }

    fn write(&mut self, node: &Node, path: &mut Vec<usize>) {
        match node {
            Node::Scalar(text) => self.text.push_str(text),
            Node::Map(entries) => {
                self.text.push('{');
                for (index, (key, node)) in entries.iter().enumerate() {
                    path.push(index);
                    self.line(path);
                    self.text.push_str(&quoted(&key.value));
                    self.text.push_str(": ");
                    self.write(&node.value, path);
                    self.text.push(',');
                    path.pop();
                }
                self.line(path);
                self.text.push('}');
            }
            Node::List(entries) => {
                self.text.push('[');
                for (index, node) in entries.iter().enumerate() {
                    path.push(index);
                    self.line(path);
                    self.write(&node.value, path);
                    self.text.push(',');
                    path.pop();
                }
                self.line(path);
                self.text.push(']');
            }
        }
    }

    /// Begins a line for what stands at a path.
    fn line(&mut self, path: &[usize]) {
        self.text.push('\n');
        self.lines.push(path.to_vec());
    }
}

/// A text in quotes; what JSON quotes, YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
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
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                let mut text = String::new();
                let _fits = match value {
                    _ if value.is_nan() => write!(text, ".nan"),
                    _ if value.is_infinite() => write!(text, "{}.inf", if value < 0.0 { "-" } else { "" }),
                    _ => write!(text, "{value:?}"),
                };
                Ok(Node::Scalar(text))
            }
            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Scalar(quoted(value)))
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar("null".to_owned()))
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Scalar("null".to_owned()))
            }
        }

        deserializer.deserialize_any(AnyNode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_the_same_when_written_anew() {
        let text = "a: 1\nb: [ x, 'y z', -2, 0.5, true, ~, { c: \"d\\te\" } ]\n'f g':\n  h: {}\n  i: []\n";
        let rewritten = Tree::read(text).unwrap().rewritten();
        let read = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&rewritten.text), read(text), "{}", rewritten.text);
        assert_eq!(rewritten.text.lines().count(), rewritten.lines.len());
        let mut tree = Tree::read(text).unwrap();
        let line = rewritten.text.lines().position(|line| line.contains("\"h\"")).unwrap() as u64 + 1;
        assert_eq!(tree.origin(rewritten.path(line)).0, 4);
    }

    #[test]
    fn a_key_is_found_near_its_line() {
        let text = "size: 1\nlist:\n  - one: 1\n    size: 2\n  - two: { size: 3 }\n";
        let mut tree = Tree::read(text).unwrap();
        let rewritten = tree.rewritten();
        let line = |text: &str| rewritten.text.lines().position(|line| line.contains(text)).unwrap() as u64 + 1;
        assert_eq!(tree.mend(line("\"two\""), &rewritten, "size", Some("length")), Some((5, 12)));
        assert_eq!(tree.mend(line("\"one\""), &rewritten, "size", Some("one")), Some((4, 5)), "one is there already");
        assert_eq!(tree.mend(line("\"list\""), &rewritten, "size", None), Some((1, 1)));
        assert_eq!(tree.mend(1, &rewritten, "size", None), None);
        assert_eq!(tree.rewritten().text.matches("length").count(), 1);
        assert!(!tree.remove(rewritten.path(1)));
    }
}
