//! The tables: what a run found out, as Markdown, and the files that hold it.

use crate::measure::allocations::Held;
use crate::results::{Figures, Results, Spread};
use crate::rows::{FURTHER, MEMORY, Most, ROWS, Row, Target, WHOLE, Whole};
use std::fmt::Write as _;
use std::path::Path;

const TEMPLATE: &str = include_str!("../performance.md");
const BEGIN: &str = "<!-- figures: written by bench/run -->";
const END: &str = "<!-- end of figures -->";
const HEAD: &str = "| case | 1 thread, ns | spread | 2 threads, ns | P50 / P99, ns | instructions | allocations | future, B | |\n\
                    |---|--:|--:|--:|--:|--:|--:|--:|---|\n";

/// Everything that the run found out, as Markdown.
pub(crate) fn tables(results: &Results) -> String {
    format!(
        "{}\n{}\n{}\n{}\n{}",
        machine(results),
        numbers(results, ROWS),
        numbers(results, FURTHER),
        summary(results),
        others(results)
    )
}

/// Writes the results, PERFORMANCE.md and the figures in README.md.
pub(crate) fn write(root: &Path, results: &Results) -> Result<(), String> {
    let json = serde_json::to_string_pretty(results).map_err(|error| error.to_string())?;
    put(&root.join("bench/results.json"), &(json + "\n"))?;
    let growth = growth(results);
    let page = [
        ("{machine}", machine(results)),
        ("{numbers}", numbers(results, ROWS)),
        ("{further}", numbers(results, FURTHER)),
        ("{memory}", memory(results)),
        ("{misses}", misses(results)),
        ("{whole}", whole(results)),
        ("{growth}", growth),
        ("{floors}", floors(results)),
        ("{others}", others(results)),
        ("{all}", every_case(results)),
    ]
    .iter()
    .fold(TEMPLATE.to_owned(), |page, (place, text)| {
        page.replace(place, text.trim_end())
    });
    put(&root.join("PERFORMANCE.md"), &page)?;
    let path = root.join("README.md");
    let readme = get(&path)?;
    let (before, after) = readme
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)))
        .ok_or_else(|| format!("{} has no place for figures: `{BEGIN}` … `{END}`", path.display()))?;
    put(&path, &format!("{before}{BEGIN}\n\n{}\n{END}{after}", summary(results)))
}

/// The results of the last run that wrote them.
pub(crate) fn read(root: &Path) -> Result<Results, String> {
    let path = root.join("bench/results.json");
    serde_json::from_str(&get(&path)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// A line for each case, in the order of their names.
pub(crate) fn every_case(results: &Results) -> String {
    let mut out = HEAD.to_owned();
    for (name, figures) in &results.cases {
        line(&mut out, name, figures, "");
    }
    out
}

fn machine(results: &Results) -> String {
    let facts: Vec<String> = results
        .machine
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    facts.join(" · ") + "\n"
}

fn numbers(results: &Results, rows: &[Row]) -> String {
    let mut out = HEAD.to_owned();
    for row in rows {
        let _ = writeln!(out, "| **{}** | | | | | | | | |", row.title);
        for (name, target) in row.ours {
            if let Some(figures) = results.cases.get(*name) {
                line(
                    &mut out,
                    &format!("**ours:** {}", plain(name)),
                    figures,
                    &verdict(results, figures, *target),
                );
            }
        }
        for (name, figures) in peers(results, row) {
            let times = row
                .ours
                .first()
                .and_then(|(ours, _)| Some(mean(figures)? / mean(results.cases.get(*ours)?)?));
            line(
                &mut out,
                plain(name),
                figures,
                &times.map_or(String::new(), |times| format!("{times:.1} × ours")),
            );
        }
    }
    out
}

/// The peers of a row, the fastest first.
fn peers<'a>(results: &'a Results, row: &Row) -> Vec<(&'static str, &'a Figures)> {
    let found = |name: &&'static str| Some((*name, results.cases.get(*name)?));
    let mut peers: Vec<_> = row.peers.iter().filter_map(found).collect();
    peers.sort_by(|a, b| mean(a.1).partial_cmp(&mean(b.1)).unwrap_or(std::cmp::Ordering::Equal));
    peers
}

/// The name without its group.
fn plain(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

fn mean(figures: &Figures) -> Option<f64> {
    Some(figures.one?.median.mean)
}

fn line(out: &mut String, name: &str, figures: &Figures, remark: &str) {
    let spread =
        |spread: Option<Spread>| spread.map_or(String::new(), |s| format!("{}–{}", short(s.lowest), short(s.highest)));
    let times = |spread: Option<Spread>| spread.map_or(String::new(), |s| short(s.median.mean));
    let single = figures
        .one
        .map_or(String::new(), |s| format!("{:.0} / {:.0}", s.median.p50, s.median.p99));
    let allocations = figures.allocations;
    let allocated = match allocations.count {
        0.0 => "0".to_owned(),
        count => format!("{} ({:.0} B)", short(count), allocations.bytes),
    };
    let _ = writeln!(
        out,
        "| {name} | {} | {} | {} | {single} | {} | {allocated} | {} | {remark} |",
        times(figures.one),
        spread(figures.one),
        times(figures.two),
        figures
            .instructions
            .map_or(String::new(), |count| format!("{count:.0}")),
        figures.future_bytes.map_or(String::new(), |bytes| bytes.to_string()),
    );
}

/// Two digits where they mean something.
fn short(value: f64) -> String {
    if value < 20.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// By how much a case misses what was promised, in words; `None` where it keeps it.
fn miss(results: &Results, figures: &Figures, target: Target) -> Option<String> {
    let over = |what: &str, measured: Option<f64>, most: Option<f64>| {
        let (Some(measured), Some(most)) = (measured, most) else {
            return Some(format!("{what} not measured"));
        };
        (measured > most).then(|| {
            format!(
                "{what} {} instead of {}: {:.2} times",
                short(measured),
                short(most),
                measured / most
            )
        })
    };
    let first = match target {
        Target::Nanos(one, _) => over("1 thread", mean(figures), Some(one)),
        Target::Times(times, peer) => {
            let peer = results.cases.get(peer).and_then(mean);
            over("1 thread", mean(figures), peer.map(|peer| times * peer))
        }
    };
    let second = match target {
        Target::Nanos(_, Some(two)) => over("2 threads", figures.two.map(|two| two.median.mean), Some(two)),
        _ => None,
    };
    let missed: Vec<String> = first.into_iter().chain(second).collect();
    (!missed.is_empty()).then(|| missed.join("; "))
}

fn verdict(results: &Results, figures: &Figures, target: Target) -> String {
    let promised = match target {
        Target::Nanos(one, Some(two)) => format!("at most {one} / {two}"),
        Target::Nanos(one, None) => format!("at most {one}"),
        Target::Times(times, peer) => format!("at most {times} × {}", plain(peer)),
    };
    match miss(results, figures, target) {
        None => format!("{promised}: kept"),
        Some(_) => format!("{promised}: **missed**"),
    }
}

fn misses(results: &Results) -> String {
    let mut out = String::new();
    for (name, target) in ROWS.iter().chain(FURTHER).flat_map(|row| row.ours) {
        let missed = match results.cases.get(*name) {
            Some(figures) => miss(results, figures, *target),
            None => Some("not measured".to_owned()),
        };
        if let Some(missed) = missed {
            let _ = writeln!(out, "- {}: {missed}.", plain(name));
        }
    }
    for (row, figures) in wholes(results) {
        let _ = match figures {
            Some((figure, most)) if figure > most => {
                writeln!(out, "- {}: {figure:.2} instead of {most}.", row.title)
            }
            Some(_) => Ok(()),
            None => writeln!(out, "- {}: not measured.", row.title),
        };
    }
    if out.is_empty() {
        "None in this run.\n".to_owned()
    } else {
        out
    }
}

/// The rows that take whole seconds, with what they show and may show at most.
fn whole(results: &Results) -> String {
    let mut out = "| µs, unless it says otherwise | measured | at most | |\n|---|--:|--:|---|\n".to_owned();
    for (row, figures) in wholes(results) {
        let _ = match figures {
            Some((figure, most)) => {
                let kept = if figure > most { "**missed**" } else { "kept" };
                writeln!(out, "| {} | {figure:.2} | {most} | {kept} |", row.title)
            }
            None => writeln!(out, "| {} | | | not measured |", row.title),
        };
    }
    out
}

/// Each row with what it shows and what it may show at most, where it was measured.
fn wholes(results: &Results) -> impl Iterator<Item = (&'static Whole, Option<(f64, f64)>)> {
    let figures = |row: &Whole| {
        let table = results.others.get(row.bench)?;
        let most = match row.most {
            Most::Number(most) => most,
            Most::Line(line) => figure(table, line, row.place)?,
        };
        Some((figure(table, row.line, row.place)?, most))
    };
    WHOLE.iter().map(move |row| (row, figures(row)))
}

/// One of the numbers on the line that begins so, in microseconds where it has a unit; none on a line that goes on in words.
fn figure(table: &str, line: &str, place: usize) -> Option<f64> {
    let line = table.lines().find_map(|other| other.strip_prefix(line))?;
    let number = |word: &str| {
        let word = word.trim_end_matches(',');
        let unit = word.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '.');
        let number: f64 = word[..word.len() - unit.len()].parse().ok()?;
        let micros = match unit {
            "" | "µs" => 1.0,
            "ns" => 0.001,
            "ms" => 1_000.0,
            "s" => 1e6,
            _ => return None,
        };
        Some(number * micros)
    };
    let numbers: Vec<f64> = line.split_whitespace().map_while(number).collect();
    numbers.get(place).copied()
}

/// A line for each of ours in each row of the specification, beside the best of the peers.
fn summary(results: &Results) -> String {
    let mut out =
        "| ns per call, 1 thread / 2 threads sharing it | ours | best peer | |\n|---|--:|--:|--:|\n".to_owned();
    let pair = |figures: &Figures| {
        let one = mean(figures).map_or("–".to_owned(), short);
        let two = figures.two.map_or("–".to_owned(), |spread| short(spread.median.mean));
        format!("{one} / {two}")
    };
    for row in ROWS {
        let peers = peers(results, row);
        let Some((name, peer)) = peers.first() else {
            continue;
        };
        let crate_name = plain(name).split([',', ' ']).next().unwrap_or(name);
        for (place, (name, _)) in row.ours.iter().enumerate() {
            let Some(ours) = results.cases.get(*name) else {
                continue;
            };
            let title = match place {
                0 => row.title.to_owned(),
                _ => format!("… {}", plain(name)),
            };
            let ratio = mean(peer)
                .zip(mean(ours))
                .map_or(String::new(), |(peer, ours)| format!("{:.1} ×", peer / ours));
            let _ = writeln!(
                out,
                "| {title} | {} | {} ({crate_name}) | {ratio} |",
                pair(ours),
                pair(peer)
            );
        }
    }
    out
}

/// What an instance takes, beside the peers.
fn memory(results: &Results) -> String {
    let mut out =
        "| one instance | bytes | pieces of the heap | a second thread adds | |\n|---|--:|--:|--:|---|\n".to_owned();
    let held = |name: &str| results.cases.get(name)?.held;
    for row in MEMORY {
        let _ = writeln!(out, "| **{}** | | | | |", row.title);
        let ours = held(row.ours);
        let (bytes, pieces) = row.most;
        let remark = match ours {
            Some(held) if held.bytes <= bytes && held.allocations <= pieces => "kept",
            Some(_) => "**missed**",
            None => "not measured",
        };
        let mut line = |name: &str, held: Option<Held>, remark: &str| {
            let Some(held) = held else { return };
            let second = held.second_thread.map_or(String::new(), |bytes| bytes.to_string());
            let _ = writeln!(
                out,
                "| {name} | {} | {} | {second} | {remark} |",
                held.bytes, held.allocations
            );
        };
        line("**ours**", ours, &format!("at most {bytes} in {pieces}: {remark}"));
        for peer in row.peers {
            line(plain(peer), held(peer), "");
        }
    }
    out
}

/// How cost grows with what a user can choose.
fn growth(results: &Results) -> String {
    group(results, |name| name.starts_with("growth/"))
}

fn floors(results: &Results) -> String {
    group(results, |name| name.starts_with("floor/"))
}

fn group(results: &Results, wanted: impl Fn(&str) -> bool) -> String {
    let mut out = HEAD.to_owned();
    for (name, figures) in results.cases.iter().filter(|(name, _)| wanted(name)) {
        line(&mut out, plain(name), figures, "");
    }
    out
}

fn others(results: &Results) -> String {
    let text = |(name, text): (&String, &String)| format!("### {name}\n\n```text\n{}\n```\n", text.trim_end());
    results.others.iter().map(text).collect::<Vec<_>>().join("\n")
}

fn get(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_in_the_table_of_another_bench() {
        let table = "µs   P50 P99\nthread, spin 60 µs   8.69  264.70  1374.21\nFIFO 80    16.99   48.06\n\
                     thread, sharpest  SCHED_FIFO with priority 80 was refused\nhand-off: P50 1.5ms, P99 2ms\n";
        assert_eq!(figure(table, "thread, spin 60 µs", 1), Some(264.70));
        assert_eq!(figure(table, "FIFO 80", 0), Some(16.99));
        assert_eq!(figure(table, "hand-off: P50 ", 0), Some(1_500.0));
        assert_eq!(figure(table, "thread, sharpest", 0), None);
        assert_eq!((figure(table, "FIFO 80", 2), figure(table, "another", 0)), (None, None));
    }

    #[test]
    fn what_was_not_measured_is_not_said_to_be_kept() {
        let mut results = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).expect("they are recorded");
        for (name, _) in ROWS.iter().chain(FURTHER).flat_map(|row| row.ours) {
            assert!(results.cases.contains_key(*name), "{name} is recorded");
        }
        results.cases.remove("policy/five");
        results.cases.remove("cache/quick_cache");
        results.others.clear();
        let missed = misses(&results);
        for line in ["- five: not measured.", "- RecommendationCache: 1 thread not measured."] {
            assert!(missed.contains(line), "{missed}");
        }
        assert_eq!(whole(&results).matches("not measured").count(), WHOLE.len());
    }
}
