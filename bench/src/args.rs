//! The command line.

use crate::case::{Case, Cases};
use crate::{cases, counts, measure, report, run};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measures the library side by side with its peers.
#[derive(Parser)]
#[command(name = "c13-bench")]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Measures everything, prints the tables, and writes results.json, PERFORMANCE.md and the figures in README.md.
    All {
        /// Shorter measurements, for a first look.
        #[arg(long)]
        quick: bool,
        /// Leaves the files alone.
        #[arg(long)]
        dry_run: bool,
    },
    /// Measures the cases whose name contains FILTER, and prints them.
    Time {
        #[arg(default_value = "")]
        filter: String,
    },
    /// Prints how much memory the instances of the cases hold whose name contains FILTER.
    Memory {
        #[arg(default_value = "")]
        filter: String,
    },
    /// Prints the names of the cases.
    List {
        #[arg(default_value = "")]
        filter: String,
    },
    /// Compares our counts of instructions, allocations and bytes with baselines.json.
    Counts {
        /// Takes today's counts as the baselines.
        #[arg(long)]
        write: bool,
    },
    /// Writes PERFORMANCE.md and the figures in README.md from results.json again.
    Render,
    /// Makes the calls of these cases, for callgrind to count.
    #[command(hide = true)]
    Regions { names: Vec<String> },
}

/// Does what the command line asks for.
pub(crate) fn run() -> Result<(), String> {
    let mut all = Cases::default();
    cases::GROUPS.iter().for_each(|add| add(&mut all));
    let matching = |filter: &str| {
        all.0
            .iter()
            .filter(|case| case.name.contains(filter))
            .collect::<Vec<_>>()
    };
    match Args::parse().verb {
        Verb::All { quick, dry_run } => {
            let results = run::all(&matching(""), quick)?;
            print!("{}", report::tables(&results));
            if dry_run {
                Ok(())
            } else {
                report::write(&root(), &results)
            }
        }
        Verb::Time { filter } => {
            let cases = named(matching(&filter), &filter)?;
            let results = run::times(&cases, run::Length::Quick);
            print!("{}", report::every_case(&results));
            Ok(())
        }
        Verb::Memory { filter } => {
            println!("{:<60} {:>10} {:>6} {:>14}", "", "bytes", "pieces", "second thread");
            for case in named(matching(&filter), &filter)? {
                let held = measure::allocations::held(case);
                let second = held.second_thread.map_or(String::new(), |bytes| bytes.to_string());
                println!(
                    "{:<60} {:>10} {:>6} {second:>14}",
                    case.name, held.bytes, held.allocations
                );
            }
            Ok(())
        }
        Verb::List { filter } => {
            named(matching(&filter), &filter)?
                .iter()
                .for_each(|case| println!("{}", case.name));
            Ok(())
        }
        Verb::Counts { write } => counts::check(&all.0, &root().join("bench/baselines.json"), write),
        Verb::Render => report::write(&root(), &report::read(&root())?),
        Verb::Regions { names } => {
            let find = |name: &String| {
                all.0
                    .iter()
                    .find(|case| case.name == *name)
                    .ok_or(format!("no case {name}"))
            };
            let chosen: Vec<&Case> = names.iter().map(find).collect::<Result<_, _>>()?;
            measure::instructions::run_regions(&chosen);
            Ok(())
        }
    }
}

fn named<'a>(cases: Vec<&'a Case>, filter: &str) -> Result<Vec<&'a Case>, String> {
    if cases.is_empty() {
        Err(format!("no case has `{filter}` in its name; `list` prints them"))
    } else {
        Ok(cases)
    }
}

/// The project's root, in which this workspace lies.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
