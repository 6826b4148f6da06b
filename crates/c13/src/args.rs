//! The command line: what can be asked for, and what `--help` says of it.

use std::path::PathBuf;
use std::time::Duration;

use c13_reliability::microservices::health::ProbeUrl;
use c13_reliability::policy::document::parse_duration;
use clap::{Args, Parser, Subcommand};

use crate::drill::scenario::MOST_REPEATS;
use crate::run::key::Key;
use crate::status;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "c13",
    version,
    about = "Keeps a service's calls succeeding while the things it depends on fail.",
    after_help = "Try `c13 drill`: it rehearses an incident and shows what three kinds of client would have made of it.",
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Drill(DrillArgs),
    Health(HealthArgs),
    Config(ConfigArgs),
    Run(Box<RunArgs>),
    Soak(SoakArgs),
    /// Look at locks
    #[command(subcommand)]
    Lock(LockCommand),
}

/// Check, explain and show the policies of a service's file
///
/// Layers count from the lowest to the highest: `[defaults]`, what a policy extends, the policy itself; a later file over
/// an earlier one, environment variables (`C13__POLICY__NAME__TIMEOUT__TOTAL=800ms`) over files, `--set` over all.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(CONFIG_HELP, "Exit status:", status::CONFIG))]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether everything is right, or everything that is wrong
    Check {
        /// Print one JSON object, for annotations in CI and for editors; with 2 as the exit status where something is wrong
        ///
        /// `errors[]` has for each its `message`, the lines of `help`, and `places[]` with `file`, `line`, `column`,
        /// `end_column`, `text` and `label`, the first of which is to be mended.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        layers: LayerArgs,
    },
    /// Say what a setting is, where that comes from, and what it hides
    Explain {
        /// The setting, such as `payments.timeout.total`, or a part of a policy, such as `payments.retry`
        path: String,
        /// Print one JSON object
        ///
        /// `settings[]` has for each its `policy`, `path`, `value` and `origin`, and what it `overrides[]`; values that stand
        /// in a file have its `file`, `line` and `column`.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        layers: LayerArgs,
    },
    /// Print all policies, each setting with where it comes from
    Show {
        /// With the defaults of what is not set: all that applies
        #[arg(long)]
        effective: bool,
        /// Print one JSON object
        ///
        /// `policies` has for each name the `settings` as in a file, and by path the `origins` of them.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        layers: LayerArgs,
    },
    /// Print the JSON schema of the file, for completion in editors
    Schema,
    /// Write a file to start from, unless there is one
    Init {
        /// The file; `-` prints it
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
    },
}

/// The file that is read where none is named.
pub(crate) const DEFAULT_FILE: &str = "reliability.toml";

/// The layers that policies are read from.
#[derive(Debug, Args)]
pub(crate) struct LayerArgs {
    /// The files, each over those before it; `-` reads standard input
    #[arg(value_name = "FILE", default_value = DEFAULT_FILE)]
    pub(crate) files: Vec<PathBuf>,

    /// A setting over everything else, such as `policy.payments.timeout.total=800ms`; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,

    /// Leave environment variables out
    #[arg(long)]
    pub(crate) no_env: bool,
}

const CONFIG_HELP: &str = "\
Examples:
  c13 config init                                     start a file, reliability.toml
  c13 config check service.toml                       check it, as in CI
  c13 config check service.toml --json                the same for a program
  c13 config explain payments.timeout.total           say where a value comes from
  c13 config explain payments.retry service.toml      or what has switched a part off
  c13 config show --effective base.toml site.toml     print all that applies
  c13 config schema > reliability.schema.json         complete and check in the editor";

/// What to do with a lock.
#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Print who has a lock; exit with 0 if it is free, 75 if it is held
    #[command(after_long_help = status::help(LOCK_HELP, "Exit status:", status::LOCK))]
    Status {
        /// The lock's key
        key: Key,
        /// The Redis that keeps it; `REDIS_URL` otherwise, and this machine's lock files without either
        #[arg(long, value_name = "URL", conflicts_with = "redis_url_file")]
        redis: Option<String>,
        /// Read the URL from this file, which others must not be able to read
        #[arg(long, value_name = "FILE")]
        redis_url_file: Option<PathBuf>,
    },
}

const LOCK_HELP: &str = "\
Examples:
  c13 lock status nightly                                  who has it on this machine
  c13 lock status nightly --redis redis://redis.example    who has it anywhere";

/// Run a command under a lock, a rate limit, a time limit, with retries
///
/// The command is stopped before its lock can be lost, and never outlives this program. `C13_LOCK_FENCE` holds the fencing
/// token: a number that grows with every holder, for whatever the command writes to.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(RUN_HELP, "Exit status: the command's own, or", status::RUN))]
pub(crate) struct RunArgs {
    /// Run only while holding the lock of this key
    ///
    /// A key, here and below, has 1 to 512 bytes, no control characters, and braces only around something (`{mail}:out`). The
    /// same keys are right on Redis and in files.
    #[arg(long, value_name = "KEY")]
    pub(crate) lock: Option<Key>,

    /// How long the lock lasts when it is not renewed; it is renewed every third of that
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) ttl: String,

    /// Keep the lock taken for at least so long, also when the command ends sooner
    ///
    /// For a job that many machines start at once and that takes less time than their clocks are apart: it runs on one of them
    /// in place of each in turn. The command's status is given as soon as it has ended; nobody has to wait for the lock.
    #[arg(long, value_name = "DURATION", requires = "lock")]
    pub(crate) min_hold: Option<String>,

    /// Wait at most this long for lock, limit and place together, and as long again for the limit of each further run; for
    /// others for ever by default
    ///
    /// A Redis that cannot be reached or does not answer is told on standard error at once, and asked again for as long; for
    /// 10s by default, counted anew after each answer.
    #[arg(short, long, value_name = "DURATION", conflicts_with = "nonblock")]
    pub(crate) wait: Option<String>,

    /// Do not wait; a Redis that does not answer has a second
    #[arg(short, long)]
    pub(crate) nonblock: bool,

    /// The exit status when somebody else has the lock
    #[arg(short = 'E', long, value_name = "N", default_value_t = 75)]
    pub(crate) conflict_exit_code: u8,

    /// Run again so often after a failure
    #[arg(long, value_name = "N")]
    pub(crate) retry: Option<u32>,

    /// Wait this long before the first retry, and twice as long before each further one; 1s by default
    #[arg(long, value_name = "DURATION")]
    pub(crate) backoff: Option<String>,

    /// Retry only after these exit statuses; after any but 0 by default
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub(crate) retry_on: Vec<u8>,

    /// Keep what the command reads from a pipe, up to 256 MiB, for its further runs
    #[arg(long)]
    pub(crate) replay_stdin: bool,

    /// Stop each run after this long
    #[arg(long, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,

    /// Kill what was stopped and has not ended after this long
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(crate) kill_after: String,

    /// Run at most so often, such as `10/m`, together with all that use the same key
    #[arg(long, value_name = "RATE", requires = "limit_key")]
    pub(crate) limit: Option<String>,

    /// What shares the limit
    #[arg(long, value_name = "KEY")]
    pub(crate) limit_key: Option<Key>,

    /// Do not run for a while after five failed runs in a row, of all that use the same key; then try one, and go on
    /// after two that succeed
    #[arg(long, value_name = "KEY")]
    pub(crate) breaker: Option<Key>,

    /// Run under this policy of a file, such as `reliability.toml#payments`: its time limits, rate limit, bulkhead, retry
    /// and circuit breaker, shared by all that run under it; the options above have the last word
    #[arg(long, value_name = "FILE#NAME")]
    pub(crate) policy: Option<String>,

    /// The Redis that keeps lock, limit and breaker; `REDIS_URL` otherwise, and files of this machine without either
    ///
    /// A password in it can be read by everybody on this machine as long as the command runs (`ps`), and one in `REDIS_URL` by
    /// the command.
    #[arg(long, value_name = "URL", conflicts_with = "redis_url_file")]
    pub(crate) redis: Option<String>,

    /// Read the URL from this file, which others must not be able to read, so that the command does not see a password in it
    #[arg(long, value_name = "FILE")]
    pub(crate) redis_url_file: Option<PathBuf>,

    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

const RUN_HELP: &str = "\
Examples:
  c13 run --lock nightly --nonblock -- ./backup.sh         skip if another one is running
  c13 run --lock mail -n --min-hold 10s -- ./send.sh       once, on whichever machine is first
  c13 run --retry 3 --timeout 10m -- ./import.sh           three more tries, ten minutes each
  c13 run --limit 10/m --limit-key mail -- ./send.sh       ten a minute, from all that run it
  c13 run --breaker api -- ./poll.sh                       not while the thing it polls is down
  c13 run --policy reliability.toml#payments -- ./pay.sh   as the service's policy has it

The command has a process group of its own, which gets the signals INT, TERM, HUP, QUIT, USR1, USR2, WINCH, TSTP and CONT
that this program gets. CONT follows the first four, so that a stopped command hears of them; a second one of them kills
it. Signals that are ignored at the start, as under nohup, stay ignored by this program and the command; CHLD and PIPE are
the exceptions. On a terminal the command gets the foreground as from a shell, from the start or, in a pipeline, as soon as it
wants it: it may read, Ctrl-C reaches it alone, and Ctrl-Z stops it and this program.

Nothing of the command outlives this program. When the command has ended, what is left of its process group is killed.
When its time is over, its lock is lost or a signal asks it to stop, all that descends from it is killed in the end, in
whatever session it is; likewise if this program or the guard beside it is killed. A lock in files is free only after that. Out
of reach are: a daemon that is left when the command ends by itself, processes of other users that this user may not kill,
and, if this program and its guard are killed at the same moment, what the command has started; the command itself is
killed even then, unless it is set-user-ID.

A further run gets the whole standard input again or does not begin. A file is rewound. A pipe that nobody has read from
is left as it is; if it was read from, the command's status is final, unless --replay-stdin keeps what is read: 1 MiB in
memory, up to 256 MiB in a file without a name in TMPDIR.

`c13 lock status KEY` tells who has a lock: host, process, program and since when. Arguments are not told.

What is waited for is told on standard error: who has the lock, a limit that is used up for a second or more, a Redis that
does not answer. An open circuit is not waited for.

Without Redis, locks, limits and circuits are kept in files of this machine, for each user apart:
  root         /var/lib/c13
  others       $XDG_STATE_HOME/c13, or ~/.local/state/c13
The folder and its files must belong to the user and be writable by nobody else; anything else is refused with 125.
`C13_STATE_DIR` names another folder. To share one between users, make it for their group, with the mode 2770:
  install -d -o root -g jobs -m 2770 /srv/c13";

/// Rehearse an incident in virtual time, against the library's own policy code
///
/// A scenario says how much load there is, how the dependency behaves, what goes wrong and when, and with which policies
/// callers protect themselves. Every policy goes through the same incident, and so does `unprotected`, which has none. An
/// hour takes seconds.
///
/// Without a file, a built-in brown-out is rehearsed: a client that retries at once never gets out of it.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(DRILL_HELP, "Exit status:", status::DRILL))]
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
    /// `variants[]` has for each policy its `requests`, `success_ratio`, `goodput_ratio`, `p50_ms`, `p99_ms`,
    /// `amplification`, `detect_s`, `recovery_s` (null: never), `peak_load_rps`, `rejections` and `slo[]`. The same
    /// scenario and seed give the same bytes.
    #[arg(long)]
    pub(crate) json: bool,

    /// Where the random numbers start, in place of the scenario's own `seed`
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Run so often, each time with the next seed, and report the median, the least and the most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_REPEATS)))]
    pub(crate) repeat: Option<u32>,

    /// Print the built-in scenario, to start one of your own from it, and do nothing else
    #[arg(long, exclusive = true)]
    pub(crate) print_scenario: bool,
}

const DRILL_HELP: &str = "\
Examples:
  c13 drill                             rehearse the built-in brown-out
  c13 drill --print-scenario > my.toml  start a scenario of your own
  c13 drill my.toml --repeat 5          see how far it depends on chance
  c13 drill my.toml --json | jq '.variants[] | {name, recovery_s}'
  c13 config show --effective service.toml > drilled.toml
                                        write down what applies, environment variables included,
                                        to name it in a variant: drilled.toml#payments";

/// Ask a service whether it is well, for the health checks of containers
///
/// Asks an HTTP address once, or again and again until it answers well. Needs no curl in the image.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(HEALTH_HELP, "Exit status:", status::HEALTH))]
pub(crate) struct HealthArgs {
    /// The address, such as `http://127.0.0.1:8080/ready`; without TLS
    #[arg(value_name = "URL")]
    pub(crate) url: ProbeUrl,

    /// Ask again until it is well, for so long, such as `30s`
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) wait: Option<Duration>,

    /// How long one answer may take
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1s")]
    pub(crate) timeout: Duration,
}

const HEALTH_HELP: &str = "\
Examples:
  HEALTHCHECK CMD [\"c13\", \"health\", \"http://127.0.0.1:8080/ready\"]
  c13 health http://127.0.0.1:8080/startup --wait 30s && run-the-tests";

/// Put every pattern under load, faults, cancellation and reload in real time, then see whether everything adds up
///
/// Callers go through breaker, limiters, bulkhead, adaptive limit, retry, timeout, hedge, fallback, cache, a policy whose
/// file changes, and a lock, to a dependency that fails, hangs and panics by turns; one call in eight is dropped midway. In the end every
/// count must add up, no task and no open file may be left, and memory must be flat after the warm-up.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(SOAK_HELP, "Exit status:", status::SOAK))]
pub(crate) struct SoakArgs {
    /// How long, such as `90s` or `2h`; at least 10s, at most 7d
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, default_value = "10m")]
    pub(crate) length: Duration,

    /// Where the random numbers start
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,

    /// Print one JSON object in place of the table
    #[arg(long)]
    pub(crate) json: bool,
}

const SOAK_HELP: &str = "\
Examples:
  c13 soak                     ten minutes
  c13 soak --for 60s --json    as a test of a machine or an image";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn drill(arguments: &[&str]) -> Result<DrillArgs, ErrorKind> {
        let line = ["c13", "drill"].iter().chain(arguments);
        match CommandLine::try_parse_from(line).map_err(|error| error.kind())?.command {
            Command::Drill(arguments) => Ok(arguments),
            other => panic!("not a drill: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn arguments_are_read_as_they_are_meant() {
        let none = drill(&[]).expect("nothing is required");
        assert_eq!(
            (none.file, none.json, none.seed, none.repeat, none.print_scenario),
            (None, false, None, None, false)
        );
        let all = drill(&["my.toml", "--json", "--seed", "7", "--repeat=5"]).expect("all is right");
        assert_eq!(
            (all.file, all.json, all.seed, all.repeat),
            (Some("my.toml".into()), true, Some(7), Some(5))
        );
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
        ] {
            assert_eq!(drill(arguments).expect_err("it is wrong"), kind, "{arguments:?}");
        }
    }

    #[test]
    fn every_example_that_takes_minutes_is_a_command_line() {
        for line in ["c13 drill", "c13 soak", "c13 soak --for 60s --json"] {
            assert!(SOAK_HELP.contains(line) || DRILL_HELP.contains(line), "{line}");
            assert!(CommandLine::try_parse_from(line.split(' ')).is_ok(), "{line}");
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
