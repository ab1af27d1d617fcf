//! The archive's tables: their columns, defined once. Files, the data dictionary and the test that holds the two
//! together are made of them. It must not know rows.
//!
//! Types are those that DuckDB and Spark 3 both read without settings: no unsigned number, no UUID, no moment finer
//! than a microsecond. A 64-bit key keeps its bits as a signed number.

use std::{fmt::Write as _, sync::Arc};

use parquet::{
    errors::Result as ParquetResult,
    schema::{parser::parse_message_type, types::Type},
};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A signed number of 64 bits.
    Integer64,
    /// A signed number of 32 bits.
    Integer32,
    /// A floating-point number of 32 bits.
    Real32,
    /// Yes or no.
    Flag,
    /// Text in UTF-8.
    Text,
    /// A moment in UTC, in microseconds.
    Moment,
}

impl Kind {
    /// The type as the data dictionary names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Integer64 => "int64",
            Self::Integer32 => "int32",
            Self::Real32 => "float32",
            Self::Flag => "bool",
            Self::Text => "text",
            Self::Moment => "timestamp (µs, UTC)",
        }
    }
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether every row has a value.
    pub required: bool,
    /// Whether a row has any number of them.
    pub list: bool,
    /// What the value means.
    pub means: &'static str,
}

impl Column {
    /// A column in which every row has a value.
    #[must_use]
    pub const fn required(name: &'static str, kind: Kind, means: &'static str) -> Self {
        Self { name, kind, required: true, list: false, means }
    }

    /// A column in which a row may have none.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Kind, means: &'static str) -> Self {
        Self { name, kind, required: false, list: false, means }
    }

    /// A column in which a row has any number of values.
    #[must_use]
    pub const fn list(name: &'static str, kind: Kind, means: &'static str) -> Self {
        Self { name, kind, required: false, list: true, means }
    }

    fn presence(&self) -> &'static str {
        match (self.list, self.required) {
            (true, _) => "repeated",
            (false, true) => "required",
            (false, false) => "optional",
        }
    }
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Its name, and that of its folder.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// The columns, in their order in files.
    pub columns: &'static [Column],
}

impl Table {
    /// The place of a column; past the last one for a name that is none.
    #[must_use]
    pub fn index_of(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column.name == name).unwrap_or(self.columns.len())
    }

    /// The schema of its files.
    ///
    /// # Errors
    /// When a column has a name that no file can hold, which a test rules out.
    pub fn schema(&self) -> ParquetResult<Arc<Type>> {
        let mut text = format!("message {} {{\n", self.name);
        for column in self.columns {
            let presence = column.presence();
            let (physical, logical) = match column.kind {
                Kind::Integer64 => ("int64", ""),
                Kind::Integer32 => ("int32", ""),
                Kind::Real32 => ("float", ""),
                Kind::Flag => ("boolean", ""),
                Kind::Text => ("binary", " (UTF8)"),
                Kind::Moment => ("int64", " (TIMESTAMP(MICROS, true))"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {presence} {physical} {}{logical};", column.name);
        }
        text.push('}');
        parse_message_type(&text).map(Arc::new)
    }

    /// Its section of the data dictionary.
    #[must_use]
    pub fn dictionary(&self) -> String {
        let mut text = format!(
            "### `{}`\n\n{}\n\n| column | type | empty | meaning |\n|---|---|---|---|\n",
            self.name, self.about
        );
        for Column { name, kind, required, list, means } in self.columns {
            let empty = if *required { "never" } else { "may be" };
            let of = if *list { "list of " } else { "" };
            let _ = writeln!(text, "| `{name}` | {of}{} | {empty} | {means} |", kind.as_str());
        }
        text
    }
}
