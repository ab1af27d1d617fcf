//! The data dictionary says what files hold, no more and no less.

use learning::{archive::TABLES, export::dictionary};

const DICTIONARY: &str = include_str!("../../../../../docs/data-dictionary.md");

#[test]
fn the_dictionary_has_every_column_as_it_is_written() {
    let mut sections: Vec<String> = TABLES.iter().map(|table| table.dictionary()).collect();
    sections.extend(dictionary::ALL.iter().map(|table| table.dictionary()));
    for section in &sections {
        assert!(DICTIONARY.contains(section.as_str()), "docs/data-dictionary.md lacks, word for word:\n{section}");
    }
    let described = DICTIONARY.lines().filter(|line| line.starts_with("### `")).count();
    assert_eq!(described, sections.len(), "docs/data-dictionary.md describes a table that is not there");
}

#[test]
fn the_tables_make_schemas_whose_columns_have_the_types_that_others_read() {
    for table in TABLES {
        let schema = table.schema().unwrap();
        assert_eq!(schema.get_fields().len(), table.columns.len());
        for (field, column) in schema.get_fields().iter().zip(table.columns) {
            assert_eq!(field.name(), column.name);
            assert_eq!(field.is_optional(), !column.required, "{}", column.name);
            assert!(!column.means.is_empty() && !column.means.contains('|'), "{}", column.name);
        }
    }
}
