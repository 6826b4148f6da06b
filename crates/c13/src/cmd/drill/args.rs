//! The arguments of `c13 drill`, and its help.

use std::path::{Path, PathBuf};

use clap::Args;

use c13_reliability::policy::document::Ratio;

use crate::drill::figure;
use crate::drill::files::{self, Report};
use crate::drill::scenario::MOST_REPEATS;
use crate::status::{self, Verb};

/// Rehearse an incident in virtual time, against the library's own policy code
///
/// A scenario says how much load there is, how the dependency behaves, what goes wrong and when, and with which policies
/// callers protect themselves. Every policy goes through the same incident, and so does `unprotected`, which has none. An
/// hour takes seconds.
///
/// Without a file, a built-in brown-out is rehearsed, from which a client that retries at once never recovers.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(&format!("{EXAMPLES}\n\n{}", figure::help()), Verb::Drill))]
pub(crate) struct DrillArgs {
    /// The scenario, a TOML file; `-` reads standard input
    ///
    /// Start from the built-in one: `c13 drill --print-scenario > my.toml`. A variant takes a policy from a service's own
    /// file: `policy = "service.toml#payments"`, from the scenario's folder. `C13__` environment variables do not count there,
    /// so that a drill says the same everywhere; to rehearse with them, write down what applies:
    /// `c13 config show --effective service.toml > drilled.toml`, and `policy = "drilled.toml#payments"`.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Print one JSON object in place of the table
    ///
    /// `variants[]` has for each policy its figures, which are listed below; `phases[]`, the figures of the time before, during,
    /// between and after the faults; `faults[]`, when each was detected and when goodput was back; and `slo[]`: each objective's
    /// `name`, `rule`, `value` and whether it is `met`. `warnings[]` has what is otherwise said on standard error before the drill
    /// runs. The same scenario and seed give the same bytes.
    #[arg(long)]
    pub(crate) json: bool,

    /// Show every figure in the table, and all that is known of each phase
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) verbose: bool,

    /// Write the result into a file: one page with everything: it needs no script and nothing from elsewhere
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Write the result into a file: the timeline as a picture, in light and dark
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Write the result into a file: a comment for a pull request
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,

    /// Write the result into a file: each objective as a test of a test suite, as CI reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Where the random numbers start, in place of the scenario's own `seed`
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Run this many times, each time with the next seed, and report the run in the middle by goodput, and the least and the most of each figure
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_REPEATS)))]
    pub(crate) repeat: Option<u32>,

    /// Compare with an earlier drill: a file of what `--json` printed for the same incident
    ///
    /// Each figure that can be judged is compared seed by seed, for every variant that objectives judge and that both have. What is
    /// worse by more than `--max-regress` ends with 3, but for chance; what may be chance ends with 4.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// How much worse a figure may be than that of `--baseline`: points of a share, a part of other figures, and for recovery a
    /// part of the drill's length
    #[arg(long, value_name = "SHARE", default_value = "2%", requires = "baseline")]
    pub(crate) max_regress: Ratio,

    /// Print the built-in scenario, to start one of your own from it, and do nothing else
    #[arg(long, exclusive = true)]
    pub(crate) print_scenario: bool,
}

impl DrillArgs {
    /// The files that are asked for, and what is written into each.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, Report)> {
        let all = [
            (&self.html, files::HTML),
            (&self.svg, files::SVG),
            (&self.markdown, files::MARKDOWN),
            (&self.junit, files::JUNIT),
        ];
        all.into_iter()
            .filter_map(|(path, report)| Some((path.as_deref()?, report)))
    }
}

const EXAMPLES: &str = "\
Examples:
  c13 drill                             rehearse the built-in brown-out
  c13 drill --print-scenario > my.toml  start a scenario of your own
  c13 drill my.toml --repeat 5          see how far it depends on chance
  c13 drill my.toml --html drill.html    a page to look at and to share
  c13 drill my.toml --repeat 20 --json > main.json
  c13 drill my.toml --repeat 20 --baseline main.json
                                        is the policy of today worse than that of main?
  c13 drill my.toml --json | jq '.variants[] | {name, recovery_s}'
  c13 config show --effective service.toml > drilled.toml
                                        write down what applies, environment variables included,
                                        to name it in a variant: drilled.toml#payments";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::line::{Command, CommandLine};
    use clap::error::ErrorKind;
    use clap::{CommandFactory, Parser};

    fn drill(arguments: &[&str]) -> Result<DrillArgs, ErrorKind> {
        let line = ["c13", "drill"].iter().chain(arguments);
        match CommandLine::try_parse_from(line).map_err(|error| error.kind())?.command {
            Command::Drill(arguments) => Ok(arguments),
            other => panic!("not a drill: {other:?}"),
        }
    }

    #[test]
    fn arguments_are_read_as_they_are_meant() {
        let none = drill(&[]).expect("nothing is required");
        assert_eq!(
            (
                none.file,
                none.json,
                none.verbose,
                none.seed,
                none.repeat,
                none.print_scenario
            ),
            (None, false, false, None, None, false)
        );
        let all = drill(&["my.toml", "--json", "--seed", "7", "--repeat=5"]).expect("all is right");
        assert_eq!(
            (all.file, all.json, all.seed, all.repeat),
            (Some("my.toml".into()), true, Some(7), Some(5))
        );
        assert!(drill(&["-v"]).expect("it is short for --verbose").verbose);
        let files = drill(&["--html", "a.html", "--junit=b.xml"]).expect("all is right");
        let paths: Vec<_> = files.files().map(|(path, _)| path.to_owned()).collect();
        assert_eq!(paths, [PathBuf::from("a.html"), "b.xml".into()]);
        assert!(drill(&["--print-scenario"]).expect("it stands alone").print_scenario);
        assert_eq!(drill(&["-"]).expect("standard input").file, Some("-".into()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (arguments, kind) in [
            (&["a.toml", "b.toml"][..], ErrorKind::UnknownArgument),
            (&["--seed", "x"], ErrorKind::ValueValidation),
            (&["--seed", "-1"], ErrorKind::UnknownArgument),
            (&["--repeat", "0"], ErrorKind::ValueValidation),
            (&["--repeat", "1001"], ErrorKind::ValueValidation),
            (&["--print-scenario", "--json"], ErrorKind::ArgumentConflict),
            (&["--print-scenario", "my.toml"], ErrorKind::ArgumentConflict),
            (&["--jsn"], ErrorKind::UnknownArgument),
            (&["--max-regress", "1%"], ErrorKind::MissingRequiredArgument),
            (
                &["--baseline", "a.json", "--max-regress", "x"],
                ErrorKind::ValueValidation,
            ),
            (&["--json", "--verbose"], ErrorKind::ArgumentConflict),
        ] {
            assert_eq!(drill(arguments).expect_err("it is wrong"), kind, "{arguments:?}");
        }
    }

    #[test]
    fn help_has_examples_and_the_exit_status() {
        let mut command = CommandLine::command();
        let drill = command.find_subcommand_mut("drill").expect("there is one");
        let help = drill.render_long_help().to_string();
        for words in [
            "Examples:",
            "c13 drill my.toml --repeat 5",
            "Exit status:",
            "130",
            "--print-scenario",
            "[FILE]",
        ] {
            assert!(help.contains(words), "{words} is not in\n{help}");
        }
    }
}
