//! The only file that prints: results on standard output, everything else on standard error, and the exit status.
//!
//! Colour is shown on terminals only, unless `CLICOLOR_FORCE` asks for it; `NO_COLOR` and `TERM=dumb` turn it off.

#![expect(clippy::disallowed_methods, reason = "this is the file that prints")]

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use c13_reliability::distributed::lock::Status;
use c13_reliability::microservices::health::ProbeUrl;
use c13_reliability::policy::document::{Diagnostics, duration_text};
use c13_reliability::time::{Clock, Tick};

use crate::cmd::config::ConfigAnswer;
use crate::cmd::drill::{Drilled, Form};
use crate::cmd::health::Health;
use crate::cmd::soak::Soaked;
use crate::cmd::{Failure, source};
use crate::drill::verdict::Verdict;
use crate::drill::{json, table};
use crate::printable::{lines, one_line};
use crate::run::admission::named;
use crate::run::report::ExitReport;
use crate::soak;
use crate::status::{BAD_INPUT, BROKEN, DONE, FAILED, INTERRUPTED, MISSED, REFUSED, UNDECIDED};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Prints the result of `c13 drill`, and gives the exit status.
pub(crate) fn drill(outcome: Result<Drilled, Failure>) -> ExitCode {
    ExitCode::from(report(
        outcome,
        &mut anstream::stdout().lock(),
        &mut anstream::stderr().lock(),
    ))
}

/// Prints one line that a drill is warned of, on standard error.
pub(crate) fn warn(line: &str) {
    // If standard error is closed, nobody wants the line.
    drop(writeln!(
        anstream::stderr(),
        "{WARNING}warning:{WARNING:#} {}",
        one_line(line)
    ));
}

/// Prints the result of `c13 health`, and gives the exit status.
pub(crate) fn health(url: &ProbeUrl, answer: &Health) -> ExitCode {
    // The status is the answer; words that cannot be written are no failure.
    match answer {
        Health::Healthy(status) => {
            let _ = writeln!(
                anstream::stdout().lock(),
                "{} answered {status}",
                one_line(&url.to_string())
            );
            ExitCode::from(DONE)
        }
        Health::Unhealthy(reason) => {
            let _ = writeln!(anstream::stderr().lock(), "{ERROR}error:{ERROR:#} {}", one_line(reason));
            ExitCode::from(FAILED)
        }
    }
}

/// Prints the answer of `c13 config`, and gives the exit status.
pub(crate) fn config(outcome: Result<ConfigAnswer, Failure>) -> ExitCode {
    let (out, err) = (&mut anstream::stdout().lock(), &mut anstream::stderr().lock());
    ExitCode::from(match outcome {
        // In JSON and in TOML, an escape within a string means the same.
        Ok(answer) => write_out(
            &lines(&answer.text),
            if answer.right { DONE } else { BAD_INPUT },
            out,
            err,
        ),
        Err(failure) => fail(&failure, err),
    })
}

/// Prints a text, and gives the exit status.
pub(crate) fn text(outcome: Result<String, Failure>) -> ExitCode {
    let (out, err) = (&mut anstream::stdout().lock(), &mut anstream::stderr().lock());
    ExitCode::from(match outcome {
        Ok(text) => write_out(&lines(&text), DONE, out, err),
        Err(failure) => fail(&failure, err),
    })
}

/// Prints the result of `c13 soak`, and gives the exit status.
pub(crate) fn soak(outcome: Result<Soaked, Failure>) -> ExitCode {
    let (out, err) = (&mut anstream::stdout().lock(), &mut anstream::stderr().lock());
    ExitCode::from(match outcome {
        Ok(Soaked { report, json }) => {
            let status = if report.is_good() { DONE } else { MISSED };
            let text = match json {
                false => Ok(soak::table::render(&report)),
                true => serde_json::to_string_pretty(&report).map(|text| text + "\n"),
            };
            match text {
                Ok(text) => write_out(&text, status, out, err),
                Err(error) => fail(&Failure::Internal(error.to_string()), err),
            }
        }
        Err(failure) => fail(&failure, err),
    })
}

/// Prints how `c13 run` ended, on standard error: standard output belongs to the command.
pub(crate) fn run(report: &ExitReport) -> ExitCode {
    ended("c13 run", report)
}

fn ended(command: &str, report: &ExitReport) -> ExitCode {
    if let Some(message) = &report.message {
        // If standard error is closed, nobody wants the message.
        drop(writeln!(
            anstream::stderr(),
            "{ERROR}{command}:{ERROR:#} {}",
            lines(message)
        ));
    }
    ExitCode::from(report.status)
}

/// Prints one line about what `c13 run` waits for or does, on standard error.
pub(crate) fn say(line: &str) {
    // As above.
    drop(writeln!(anstream::stderr(), "c13 run: {}", one_line(line)));
}

/// Prints who holds a lock.
pub(crate) fn lock(status: Result<Status, ExitReport>) -> ExitCode {
    let status = match status {
        Ok(status) => status,
        Err(report) => return ended("c13 lock", &report),
    };
    let mut text = match status.owners.as_slice() {
        [] => "free\n".to_owned(),
        owners => format!("held by {}\n", one_line(&owners.join(", "))),
    };
    for holder in &status.holders {
        text.push_str(&format!("{}\n", one_line(&named(holder))));
    }
    if let Some(left) = status.lapses_in {
        text.push_str(&format!("lapses in {} ms unless it is renewed\n", left.as_millis()));
    }
    if let Some(fence) = status.fence {
        text.push_str(&format!("fence {fence}\n"));
    }
    if status.queued > 0 {
        text.push_str(&format!("{} wait\n", status.queued));
    }
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(BROKEN),
        _ => ExitCode::from(if status.owners.is_empty() { DONE } else { REFUSED }),
    }
}

/// Prints what is wrong with the command line, or the help that it asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let status = u8::try_from(error.exit_code()).unwrap_or(BAD_INPUT);
    match error.print() {
        Err(failed) if failed.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(FAILED),
        _ => ExitCode::from(status),
    }
}

fn report(outcome: Result<Drilled, Failure>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let (text, status) = match outcome {
        Ok(Drilled::Scenario(text)) => (text.to_owned(), DONE),
        Ok(Drilled::Summary {
            summary,
            wall,
            form,
            interrupted,
        }) => {
            let status = match &interrupted {
                Some(told) => {
                    // The status says it too.
                    told.iter().for_each(|told| interrupted_line(told, err));
                    INTERRUPTED
                }
                None => match summary.verdict() {
                    Verdict::Met => DONE,
                    Verdict::Missed => MISSED,
                    Verdict::Undecided { .. } => UNDECIDED,
                },
            };
            match form {
                Form::Table | Form::WholeTable => (table::render(&summary, wall, form == Form::WholeTable), status),
                Form::Json => match json::render(&summary) {
                    Ok(text) => (lines(&text).into_owned(), status),
                    Err(error) => return fail(&Failure::Internal(error.to_string()), err),
                },
            }
        }
        Err(failure) => return fail(&failure, err),
    };
    write_out(&text, status, out, err)
}

fn interrupted_line(told: &str, err: &mut dyn Write) {
    let _ = writeln!(err, "interrupted: {}", one_line(told));
}

fn write_out(text: &str, status: u8, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => status,
        Err(error) => fail(&Failure::Internal(format!("cannot write the result: {error}")), err),
        Ok(()) => status,
    }
}

fn fail(failure: &Failure, err: &mut dyn Write) -> u8 {
    let (message, status) = match failure {
        Failure::Input(errors) => (input_errors(errors) + "; nothing was run\n", BAD_INPUT),
        Failure::Wrong(errors) => (input_errors(errors) + "\n", BAD_INPUT),
        Failure::File(path, error) => (
            format!(
                "{ERROR}error:{ERROR:#} cannot read {}: {}\n",
                one_line(&source::name(path)),
                one_line(&error.to_string())
            ),
            BAD_INPUT,
        ),
        Failure::Write(path, error) => (
            format!(
                "{ERROR}error:{ERROR:#} cannot write {}: {error}\n",
                one_line(&path.display().to_string())
            ),
            BAD_INPUT,
        ),
        Failure::Usage(reason) => (format!("{ERROR}error:{ERROR:#} {}\n", lines(reason)), BAD_INPUT),
        Failure::Interrupted(unfinished) => {
            unfinished.iter().for_each(|told| interrupted_line(told, err));
            ("interrupted: nothing is reported\n".to_owned(), INTERRUPTED)
        }
        Failure::Internal(reason) => (format!("{ERROR}error:{ERROR:#} {}\n", lines(reason)), FAILED),
    };
    // A failure to print the failure cannot be reported.
    let _ = err.write_all(message.as_bytes()).and_then(|()| err.flush());
    status
}

/// The errors in colour, and how many there are; without the end of that line.
fn input_errors(errors: &Diagnostics) -> String {
    let plural = if errors.len() == 1 { "" } else { "s" };
    format!("{}\n{} error{plural}", errors.to_coloured_string(), errors.len())
}

/// Shows the progress of a command, on standard error and only if that is a terminal.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    shown: bool,
    clock: Clock,
    start: Tick,
    text: RefCell<String>,
}

impl ProgressLine {
    /// A line that is shown if there is a terminal to show it on.
    pub(crate) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let clock = Clock::system();
        Self {
            shown: io::stderr().is_terminal() && !dumb,
            start: clock.now(),
            clock,
            text: RefCell::default(),
        }
    }

    /// Shows which share of the whole is done, from 0 to 1, and how long the rest may take.
    pub(crate) fn show(&self, doing: &str, share: f64) {
        if !self.shown {
            return;
        }
        let text = progress(doing, share, self.clock.now().since(self.start));
        if self.text.replace(text.clone()) != text {
            write_error(&format!("{CLEAR_LINE}{text}"));
        }
    }
}

/// A line of progress after so much time. How long the rest takes is said as soon as the past says something about it.
fn progress(doing: &str, share: f64, passed: Duration) -> String {
    /// In less time than this, starting the work is a good part of it.
    const TELLING: Duration = Duration::from_secs(2);
    let share = share.clamp(0.0, 1.0);
    let percent = (share * 100.0) as u8;
    if passed < TELLING || percent == 0 {
        return format!("{doing}: {percent}%");
    }
    let left = Duration::from_secs((passed.as_secs_f64() * (1.0 - share) / share).ceil() as u64);
    format!("{doing}: {percent}%, {} left", duration_text(left))
}

const CLEAR_LINE: &str = "\r\x1b[2K";

impl Drop for ProgressLine {
    /// Clears the line.
    fn drop(&mut self) {
        if !self.text.borrow().is_empty() {
            write_error(CLEAR_LINE);
        }
    }
}

/// Progress that cannot be shown is no reason to stop.
fn write_error(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::fake::{self, no_files};
    use crate::drill::scenario::Scenario;
    use crate::drill::summary::Summary;
    use c13_reliability::policy::document::Source;

    fn drilled(runs: u64, form: Form) -> Result<Drilled, Failure> {
        let scenario = fake::scenario();
        let runs: Vec<_> = (42..42 + runs).map(|seed| fake::report(&scenario, seed)).collect();
        let summary = Summary::new(&scenario, &runs).expect("the figures are numbers");
        Ok(Drilled::Summary {
            summary: Box::new(summary),
            wall: Duration::from_secs(1),
            form,
            interrupted: None,
        })
    }

    /// What is printed on the two outputs, without colour, and the status.
    fn printed(outcome: Result<Drilled, Failure>) -> (String, String, u8) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = report(outcome, &mut out, &mut err);
        let text = |bytes: Vec<u8>| String::from_utf8(anstream::adapter::strip_bytes(&bytes).into_vec()).expect("text");
        (text(out), text(err), status)
    }

    #[test]
    fn the_status_says_whether_the_objectives_are_met() {
        for form in [Form::Table, Form::WholeTable, Form::Json] {
            let (out, err, status) = printed(drilled(1, form));
            assert_eq!((out.is_empty(), err.as_str(), status), (false, "", DONE));
            // One of three runs never recovers, which may be chance.
            let (out, err, status) = printed(drilled(3, form));
            assert_eq!((out.is_empty(), err.as_str(), status), (false, "", UNDECIDED));
            let (.., status) = printed(drilled(4, form));
            assert_eq!(status, MISSED);
        }
    }

    #[test]
    fn an_interrupted_drill_prints_what_is_known_and_says_what_is_missing() {
        let Ok(Drilled::Summary { summary, wall, .. }) = drilled(3, Form::Table) else {
            panic!("it is a summary")
        };
        let interrupted = Some(vec!["3 of 20 runs are reported".to_owned()]);
        let (out, err, status) = printed(Ok(Drilled::Summary {
            summary,
            wall,
            form: Form::Table,
            interrupted,
        }));
        assert!(out.contains("seeds 42 to 44"), "{out}");
        assert_eq!(
            (err.as_str(), status),
            ("interrupted: 3 of 20 runs are reported\n", INTERRUPTED)
        );
    }

    #[test]
    fn a_line_of_progress_says_how_long_the_rest_takes() {
        for (share, seconds, text) in [
            (0.004, 0, "drilling: 0%"),
            (0.5, 1, "drilling: 50%"),
            (0.004, 9, "drilling: 0%"),
            (0.25, 10, "drilling: 25%, 30s left"),
            (0.5, 90, "drilling: 50%, 1m 30s left"),
            (1.0, 90, "drilling: 100%, 0s left"),
        ] {
            assert_eq!(progress("drilling", share, Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_program_gets_nothing_but_json() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        report(drilled(1, Form::Json), &mut out, &mut err);
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok_and(|object| object["schema"] == 2));
    }

    #[test]
    fn the_built_in_scenario_is_printed_as_it_is() {
        assert_eq!(
            printed(Ok(Drilled::Scenario("a = 1\n"))),
            ("a = 1\n".to_owned(), String::new(), DONE)
        );
    }

    #[test]
    fn a_wrong_scenario_is_bad_input_and_every_error_is_shown() {
        let errors = Scenario::read(Source::new("my.toml", ""), &no_files).expect_err("nothing is there");
        let (out, err, status) = printed(Err(Failure::Input(errors.clone())));
        assert_eq!((out.as_str(), status), ("", BAD_INPUT));
        assert_eq!(err, format!("{errors}\n4 errors; nothing was run\n"));
    }

    #[test]
    fn failures_say_what_failed() {
        let missing = Failure::File("my.toml".into(), io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(
            printed(Err(missing)).1,
            "error: cannot read my.toml: entity not found\n"
        );
        let (out, err, status) = printed(Err(Failure::Internal("no number".to_owned())));
        assert_eq!((out.as_str(), err.as_str(), status), ("", "error: no number\n", FAILED));
        let (out, err, status) = printed(Err(Failure::Interrupted(Vec::new())));
        assert_eq!(
            (out.as_str(), err.as_str(), status),
            ("", "interrupted: nothing is reported\n", INTERRUPTED)
        );
    }

    /// An output that fails in one way.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_read_enough_is_no_failure_and_a_full_disk_is() {
        let mut err = Vec::new();
        assert_eq!(
            report(
                drilled(1, Form::Table),
                &mut Broken(io::ErrorKind::BrokenPipe),
                &mut err
            ),
            DONE
        );
        assert_eq!(
            report(drilled(4, Form::Json), &mut Broken(io::ErrorKind::BrokenPipe), &mut err),
            MISSED
        );
        assert!(err.is_empty());
        assert_eq!(
            report(
                drilled(1, Form::Table),
                &mut Broken(io::ErrorKind::StorageFull),
                &mut err
            ),
            FAILED
        );
        assert!(!err.is_empty());
    }
}
