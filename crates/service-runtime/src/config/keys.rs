//! Which keys exist, read from the defaults text, and which of them a stranger probably meant.

use std::collections::BTreeSet;

/// Every dotted key of the defaults: those with a value, and those that stand as `# key = value` in a comment.
pub(super) fn known(text: &str, defaults: &toml::Table) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    collect("", defaults, &mut keys);
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        let plain = line.trim_start_matches('#').trim();
        if let Some(name) = plain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if line.starts_with('#')
            && let Some((key, _)) = plain.split_once('=')
            && is_key(key.trim())
        {
            keys.insert(join(&section, key.trim()));
        }
    }
    keys
}

/// The key a stranger probably meant by `given`.
pub(super) fn nearest<'a>(given: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let wanted = last(given);
    let distance = |key: &String| {
        // The right name in the wrong section is as near as one wrong letter.
        if last(key) == wanted { 1 } else { strsim::damerau_levenshtein(given, key) }
    };
    let (distance, key) = known.iter().map(|key| (distance(key), key)).min()?;
    (distance <= 2.max(given.len() / 3)).then_some(key.as_str())
}

/// `key` within `section`, either of which may be empty.
pub(super) fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

fn collect(section: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = join(section, key);
        match value {
            toml::Value::Table(inner) => collect(&path, inner, keys),
            _ => {
                keys.insert(path);
            }
        }
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_.".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = 1\n[grpc]\n# Where to listen.\nlisten = 2\n# tls_key = \"x\"\n[store.pool]\nsize = 3\n";

    fn keys() -> BTreeSet<String> {
        known(TEXT, &TEXT.parse().expect("valid"))
    }

    #[test]
    fn commented_keys_count() {
        assert_eq!(keys().into_iter().collect::<Vec<_>>(), ["grpc.listen", "grpc.tls_key", "name", "store.pool.size"]);
    }

    #[test]
    fn the_nearest_key_is_named() {
        for (given, meant) in [
            ("grpc.lisen", Some("grpc.listen")),
            ("listen", Some("grpc.listen")),
            ("store.size", Some("store.pool.size")),
            ("completely_else", None),
        ] {
            assert_eq!(nearest(given, &keys()), meant, "{given}");
        }
    }
}
