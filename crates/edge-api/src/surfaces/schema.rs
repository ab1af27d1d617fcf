//! The JSON Schema of surface files, for editors and for people.
//!
//! Must not know anything but the noun itself.

use shared_models::surface::Surface;

/// The schema as JSON text.
#[must_use]
pub fn schema_text() -> String {
    let schema = schemars::schema_for!(Surface);
    // A schema is plain JSON: writing it cannot fail.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE=1 cargo test -p edge-api` writes it anew.
    #[test]
    fn published_schema_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/surface.schema.json");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, schema_text()).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            published,
            schema_text(),
            "docs/surface.schema.json is stale: run `UPDATE=1 cargo test -p edge-api`"
        );
    }
}
