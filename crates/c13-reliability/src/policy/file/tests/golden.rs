//! What is made of the rows and kept in the tree: the schema for editors, and the tables of keys of the documentation.

use super::super::{key_tables, schema};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// Compares a file of the documentation with what the rows say; writes it anew where `C13_WRITE_GOLDEN` is set.
#[track_caller]
fn assert_golden(name: &str, actual: &str) {
    let path = format!("{DOCS}/{name}");
    if std::env::var_os("C13_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, actual).expect("the documentation can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == actual,
        "docs/{name} is not what the rows say: run this test with C13_WRITE_GOLDEN=1, and look at what it changes"
    );
}

#[test]
fn the_schema_in_the_tree_is_that_of_the_rows() {
    assert_golden("reliability.schema.json", &schema());
    let schema: serde_json::Value = serde_json::from_str(&schema()).expect("it is JSON");
    assert!(schema["$defs"]["circuit_breaker"].is_object(), "{schema}");
}

#[test]
fn the_tables_of_keys_in_the_tree_are_those_of_the_rows() {
    assert_golden("keys.md", &key_tables());
}
