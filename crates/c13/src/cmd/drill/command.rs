//! Reads a scenario, runs it as often as asked, and sums up.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use c13_reliability::policy::document::{Source, duration_text};
use c13_reliability::time::Clock;

use super::DrillArgs;
use crate::cmd::{Failure, source};
use crate::drill::baseline::Baseline;
use crate::drill::figures_text::{count, percent};
use crate::drill::files::Origin;
use crate::drill::report::DrillReport;
use crate::drill::scenario::Scenario;
use crate::drill::summary::Summary;
use crate::drill::warning::warnings;
use crate::drill::watch::{Interrupted, Partial, Unfinished, Watch};

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The figures that say most.
    Table,
    /// All of them.
    WholeTable,
    /// One object.
    Json,
}

/// The result of the command.
#[derive(Debug)]
pub(crate) enum Drilled {
    /// The text of the built-in scenario.
    Scenario(&'static str),
    /// A drill was run.
    Summary {
        /// Its result.
        summary: Box<Summary>,
        /// How long the simulation took.
        wall: Duration,
        /// How it is printed.
        form: Form,
        /// If it was interrupted, what is reported all the same, and what was known of the runs that were being made: a line each.
        interrupted: Option<Vec<String>>,
    },
}

/// Runs the command. `warn` is given what is to be said before the drill runs, a line at a time; `engine` simulates a scenario
/// with each seed.
///
/// # Errors
///
/// A scenario that is wrong or cannot be read, a drill that was stopped before anything was known, or figures that make no
/// sense.
pub(crate) fn run(
    args: &DrillArgs,
    watch: &Watch<'_>,
    warn: &dyn Fn(&str),
    engine: impl Fn(&Scenario, &[u64], &Watch<'_>) -> Result<Vec<DrillReport>, Interrupted>,
) -> Result<Drilled, Failure> {
    if args.print_scenario {
        return Ok(Drilled::Scenario(Scenario::BUILT_IN));
    }
    let files = |name: &str| service_file(args.file.as_deref(), name);
    let source = scenario_source(args.file.as_deref())?;
    let text = source.text().to_owned();
    let mut scenario = Scenario::read(source, &files).map_err(Failure::Input)?;
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    scenario.repeat = args.repeat.and_then(NonZeroU32::new).unwrap_or(scenario.repeat);
    // The JSON object has them.
    if !args.json {
        warnings(&scenario).iter().for_each(|line| warn(line));
    }
    let baseline = args.baseline.as_deref().map(earlier).transpose()?;
    let clock = Clock::system();
    let start = clock.now();
    let seeds: Vec<u64> = (0..scenario.repeat.get())
        .map(|run| scenario.seed.wrapping_add(run.into()))
        .collect();
    let (runs, interrupted) = match engine(&scenario, &seeds, watch) {
        Ok(runs) => (runs, None),
        Err(Interrupted { known, unfinished }) => {
            let duration = scenario.duration;
            let unfinished: Vec<String> = unfinished.iter().map(|run| words_of(run, duration)).collect();
            let Some(told) = restrict_to(&mut scenario, &known) else {
                return Err(Failure::Interrupted(unfinished));
            };
            (known, Some([vec![told], unfinished].concat()))
        }
    };
    let wall = clock.now().since(start);
    let mut summary = Summary::new(&scenario, &runs).map_err(Failure::Internal)?;
    if let Some((path, baseline)) = args.baseline.as_ref().zip(baseline.as_ref()) {
        let changes = baseline.compare(&summary, args.max_regress.value());
        summary.changes = changes.map_err(|reason| unusable(path, &reason))?;
    }
    let origin = Origin {
        command: command_of(args, &scenario),
        scenario: text,
    };
    for (path, report) in args.files() {
        std::fs::write(path, report(&summary, &origin)).map_err(|error| Failure::Write(path.into(), error))?;
    }
    Ok(Drilled::Summary {
        summary: Box::new(summary),
        wall,
        form: match (args.json, args.verbose) {
            (true, _) => Form::Json,
            (false, true) => Form::WholeTable,
            (false, false) => Form::Table,
        },
        interrupted,
    })
}

/// The command line that makes the same drill again.
fn command_of(args: &DrillArgs, scenario: &Scenario) -> String {
    let file = args
        .file
        .as_ref()
        .map(|file| format!(" {}", file.display()))
        .unwrap_or_default();
    let repeat = match scenario.repeat.get() {
        1 => String::new(),
        repeat => format!(" --repeat {repeat}"),
    };
    format!("c13 drill{file} --seed {}{repeat}", scenario.seed)
}

/// The drill of a file that `--json` was written to.
fn earlier(path: &Path) -> Result<Baseline, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::File(path.into(), error))?;
    Baseline::read(&text).map_err(|reason| unusable(path, &reason))
}

fn unusable(path: &Path, reason: &str) -> Failure {
    Failure::Usage(format!("cannot compare with {}: {reason}", path.display()))
}

/// What was known of a run that was being made.
fn words_of(run: &Unfinished, duration: Duration) -> String {
    let Partial { at, requests, in_time } = run.had;
    let share = percent(in_time as f64 / requests.max(1) as f64);
    format!(
        "{}, seed {}, was at {} of {}: {share} of {} requests answered in time",
        run.variant,
        run.seed,
        duration_text(at),
        duration_text(duration),
        count(requests)
    )
}

/// Leaves out of the scenario what an interrupted drill has not found out, and says what is left; `None` if that is nothing.
fn restrict_to(scenario: &mut Scenario, known: &[DrillReport]) -> Option<String> {
    let variants = &known.first()?.variants;
    if variants.len() == scenario.variants.len() {
        return Some(format!("{} of {} runs are reported", known.len(), scenario.repeat));
    }
    scenario
        .variants
        .retain(|variant| variants.iter().any(|report| report.name == variant.name));
    let names: Vec<&str> = variants.iter().map(|report| report.name.as_str()).collect();
    Some(format!("of the first run, {} is reported", names.join(", ")))
}

fn scenario_source(file: Option<&Path>) -> Result<Source, Failure> {
    match file {
        Some(path) => source::read(path),
        None => Ok(Source::new("the built-in scenario", Scenario::BUILT_IN)),
    }
}

/// A file that the scenario names, from the scenario's own folder.
fn service_file(scenario: Option<&Path>, name: &str) -> Result<Source, String> {
    let path = match scenario.and_then(Path::parent) {
        Some(folder) => folder.join(name),
        None => name.into(),
    };
    source::read(&path).map_err(|failure| match failure {
        Failure::File(_, error) => error.to_string(),
        // Reading a file fails in no other way.
        other => format!("{other:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{fake, json};
    use c13_reliability::policy::document::Ratio;
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn args() -> DrillArgs {
        DrillArgs {
            file: None,
            json: false,
            verbose: false,
            seed: None,
            repeat: None,
            html: None,
            svg: None,
            markdown: None,
            junit: None,
            baseline: None,
            max_regress: Ratio::ZERO,
            print_scenario: false,
        }
    }

    fn run_quietly(args: &DrillArgs) -> Result<Drilled, Failure> {
        let stop = AtomicBool::new(false);
        run(args, &Watch::new(&stop, &|_| {}), &|_| {}, fake::run)
    }

    #[test]
    fn without_a_file_the_built_in_scenario_is_run() {
        let Ok(Drilled::Summary { summary, form, .. }) = run_quietly(&args()) else {
            panic!("it runs")
        };
        let names: Vec<&str> = summary.variants.iter().map(|variant| &*variant.name).collect();
        assert_eq!(
            (names, form),
            (vec!["unprotected", "naive-retry", "critical"], Form::Table)
        );
    }

    #[test]
    fn the_built_in_scenario_can_be_had_and_is_not_run() {
        let engine = |_: &Scenario, _: &[u64], _: &Watch<'_>| panic!("nothing is run");
        let stop = AtomicBool::new(false);
        let outcome = run(
            &DrillArgs {
                print_scenario: true,
                ..args()
            },
            &Watch::new(&stop, &|_| {}),
            &|_| {},
            engine,
        );
        assert!(matches!(outcome, Ok(Drilled::Scenario(Scenario::BUILT_IN))));
    }

    #[test]
    fn each_run_has_the_next_seed() {
        let stop = AtomicBool::new(false);
        let args = DrillArgs {
            seed: Some(u64::MAX),
            repeat: Some(3),
            ..args()
        };
        let engine = |scenario: &Scenario, seeds: &[u64], watch: &Watch<'_>| {
            assert_eq!(seeds, [u64::MAX, 0, 1]);
            fake::run(scenario, seeds, watch)
        };
        let Ok(Drilled::Summary { summary, .. }) = run(&args, &Watch::new(&stop, &|_| {}), &|_| {}, engine) else {
            panic!("it runs")
        };
        assert_eq!((summary.seed, summary.runs), (u64::MAX, 3));
    }

    #[test]
    fn an_interrupted_drill_gives_what_is_known() {
        let args = DrillArgs {
            repeat: Some(20),
            ..args()
        };
        let stopped_at = |share: f64| {
            let stop = AtomicBool::new(false);
            // Relaxed: one thread.
            let progress = |now: f64| stop.store(now >= share, Ordering::Relaxed);
            run(&args, &Watch::new(&stop, &progress), &|_| {}, fake::run)
        };
        let Ok(Drilled::Summary {
            summary, interrupted, ..
        }) = stopped_at(0.1)
        else {
            panic!("something is known")
        };
        assert_eq!(
            (summary.runs, interrupted),
            (3, Some(vec!["3 of 20 runs are reported".to_owned()]))
        );
        let stop = AtomicBool::new(true);
        let nothing = run(&args, &Watch::new(&stop, &|_| {}), &|_| {}, fake::run);
        assert!(matches!(nothing, Err(Failure::Interrupted(_))));
    }

    #[test]
    fn an_interrupted_run_is_reported_with_the_variants_that_it_has() {
        let engine = |scenario: &Scenario, seeds: &[u64], _: &Watch<'_>| {
            let mut run = fake::report(scenario, seeds[0]);
            run.variants.remove(1);
            let unfinished = Unfinished {
                variant: "naive-retry".to_owned(),
                seed: 42,
                had: Partial {
                    at: Duration::from_secs(432),
                    requests: 215_334,
                    in_time: 107_667,
                },
            };
            Err(Interrupted {
                known: vec![run],
                unfinished: vec![unfinished],
            })
        };
        let stop = AtomicBool::new(false);
        let Ok(Drilled::Summary {
            summary, interrupted, ..
        }) = run(&args(), &Watch::new(&stop, &|_| {}), &|_| {}, engine)
        else {
            panic!("something is known")
        };
        let names: Vec<&str> = summary.variants.iter().map(|variant| &*variant.name).collect();
        assert_eq!(names, ["unprotected", "critical"]);
        let told = [
            "of the first run, unprotected, critical is reported",
            "naive-retry, seed 42, was at 7m 12s of 12m: 50.00% of 215,334 requests answered in time",
        ];
        assert_eq!(interrupted, Some(told.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_drill_is_compared_with_an_earlier_one() {
        let file = tempfile::NamedTempFile::new().expect("there is room");
        let against = |text: &str| {
            std::fs::write(file.path(), text).expect("there is room");
            run_quietly(&DrillArgs {
                baseline: Some(file.path().into()),
                ..args()
            })
        };
        let Ok(Drilled::Summary { summary, .. }) = run_quietly(&args()) else {
            panic!("it runs")
        };
        let Ok(Drilled::Summary { summary, .. }) = against(&json::render(&summary).expect("finite")) else {
            panic!("it runs")
        };
        assert_eq!(summary.changes.len(), 5);
        let Err(Failure::Usage(reason)) = against("{}") else {
            panic!("it is no drill")
        };
        assert!(reason.ends_with("it is not what `c13 drill --json` prints"), "{reason}");
    }

    #[test]
    fn every_file_that_is_asked_for_is_written() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = |name: &str| Some(folder.path().join(name));
        let written = run_quietly(&DrillArgs {
            html: path("a.html"),
            svg: path("a.svg"),
            markdown: path("a.md"),
            junit: path("a.xml"),
            ..args()
        });
        assert!(written.is_ok());
        for (name, start) in [
            ("a.html", "<!doctype html>"),
            ("a.svg", "<?xml"),
            ("a.md", "### "),
            ("a.xml", "<?xml"),
        ] {
            let text = std::fs::read_to_string(folder.path().join(name)).expect("it was written");
            assert!(text.starts_with(start), "{name}");
        }
        let nowhere = run_quietly(&DrillArgs {
            svg: path("no/such/folder.svg"),
            ..args()
        });
        assert!(matches!(nowhere, Err(Failure::Write(..))));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let missing = DrillArgs {
            file: Some("no/such/file.toml".into()),
            ..args()
        };
        let Err(Failure::File(path, error)) = run_quietly(&missing) else {
            panic!("there is no such file")
        };
        assert_eq!(
            (path.as_path(), error.kind()),
            (Path::new("no/such/file.toml"), io::ErrorKind::NotFound)
        );
        let folder = DrillArgs {
            file: Some(env!("CARGO_MANIFEST_DIR").into()),
            ..args()
        };
        assert!(matches!(run_quietly(&folder), Err(Failure::File(..))));
    }
}
