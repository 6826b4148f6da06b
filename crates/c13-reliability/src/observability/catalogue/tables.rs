//! The tables of metrics in the documentation are what the rows say. `C13_UPDATE_GOLDEN=1` writes them anew.

use super::parts;
use crate::snapshot::{Described, Kind};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const HEAD: [&str; 2] = ["| metric | kind | unit | labels | what |", "|---|---|---|---|---|"];

fn row(described: &Described) -> String {
    let metric = described.metric;
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram { .. } => "histogram",
    };
    let mut labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    if let Some(last) = labels.last_mut().filter(|_| !described.values.is_empty()) {
        *last += &format!(": {}", described.values.join(", "));
    }
    let cells = [
        format!("`{}`", metric.name),
        kind.to_owned(),
        metric.unit.to_owned(),
        labels.join(", "),
        metric.help.to_owned(),
    ];
    let cells = cells.map(|cell| if cell.is_empty() { cell } else { format!(" {cell}") });
    format!("|{} |", cells.join(" |"))
}

/// The table of each folder; a metric of several snapshots stands in it once.
fn tables() -> BTreeMap<&'static str, Vec<String>> {
    let mut tables = BTreeMap::new();
    for (folder, metrics) in parts() {
        let table: &mut Vec<String> = tables.entry(folder).or_insert_with(|| HEAD.map(str::to_owned).to_vec());
        for line in metrics.iter().map(row) {
            if !table.contains(&line) {
                table.push(line);
            }
        }
    }
    tables
}

/// The text with `table` in place of the table of metrics that stands there; `prefix` begins each line.
fn with_table(text: &str, prefix: &str, table: &[String]) -> String {
    let head = format!("{prefix}{}", HEAD[0]);
    let start = text
        .find(&head)
        .unwrap_or_else(|| panic!("a table that begins with `{head}`"));
    let old: usize = text[start..]
        .split_inclusive('\n')
        .take_while(|line| line.starts_with(&format!("{prefix}|")))
        .map(str::len)
        .sum();
    let new: String = table.iter().map(|line| format!("{prefix}{line}\n")).collect();
    format!("{}{new}{}", &text[..start], &text[start + old..])
}

fn assert_holds(path: &Path, wanted: &str) {
    if std::env::var_os("C13_UPDATE_GOLDEN").is_some() {
        fs::write(path, wanted).expect("the file can be written");
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} does not say what the rows say; with C13_UPDATE_GOLDEN=1 this test writes it anew",
        path.display()
    );
}

#[test]
fn the_tables_in_the_modules_say_what_the_rows_say() {
    for (folder, table) in tables() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{folder}/mod.rs"));
        let text = fs::read_to_string(&path).unwrap();
        assert_holds(&path, &with_table(&text, "//! ", &table));
    }
}

#[test]
fn the_page_of_all_metrics_says_what_the_rows_say() {
    let mut page = "# Metrics\n\n\
        Every metric that a part in a registry reports, by the part's folder in the source. OpenTelemetry has the names as\n\
        they are here. Prometheus has underscores in place of dots, then the unit (`_seconds`, `_milliseconds`, `_bytes`),\n\
        then `_total` for counters: `reliability_retry_failures_total`. Each series has the label `name`, the part's name.\n"
        .to_owned();
    for (folder, table) in tables() {
        page += &format!("\n## {folder}\n\n{}\n", table.join("\n"));
    }
    page += "\nA test keeps this page as the rows in each part's `snapshot.rs` say; with `C13_UPDATE_GOLDEN=1` it writes it.\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    assert_holds(&path, &page);
}
