//! The exit statuses: one table, a row a status, from which `--help` and the guides are written.

/// Everything is right, every objective is met, the lock is free.
pub(crate) const DONE: u8 = 0;
/// The command itself failed (for `run` and `lock` that is [`BROKEN`]), or the address is not healthy.
pub(crate) const FAILED: u8 = 1;
/// The command line, the environment or a file is wrong.
pub(crate) const BAD_INPUT: u8 = 2;
/// An objective is missed.
pub(crate) const MISSED: u8 = 3;
/// Whether an objective is met cannot be told from chance.
pub(crate) const UNDECIDED: u8 = 4;
/// Another process holds what the command needs: try again later.
pub(crate) const REFUSED: u8 = 75;
/// The lock was lost, and the command stopped.
pub(crate) const LOST: u8 = 76;
/// The command's time was over.
pub(crate) const TIMED_OUT: u8 = 124;
/// `c13 run` or `c13 lock` itself failed, or the store of the locks did.
pub(crate) const BROKEN: u8 = 125;
/// The command cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
pub(crate) const NOT_FOUND: u8 = 127;
/// A signal ended the command or the wait for it; the signal's number is added.
pub(crate) const SIGNALLED: u8 = 128;
/// SIGINT ended a command other than `c13 run`: 128 and its number.
pub(crate) const INTERRUPTED: u8 = 130;

/// A command whose help lists its exit statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Completions,
    Config,
    Drill,
    Health,
    Lock,
    Man,
    Run,
    Soak,
}

use Verb::{Completions, Config, Drill, Health, Lock, Man, Run, Soak};

/// A status and what it means, for the commands that it means that for.
type StatusRow = (u8, &'static [(&'static [Verb], &'static str)]);

const TABLE: &[StatusRow] = &[
    (
        DONE,
        &[
            (&[Completions], "the script is printed"),
            (&[Config], "everything is right"),
            (
                &[Drill],
                "every objective is met, in at least 95 % of the runs, or there is none",
            ),
            (&[Health], "it answered with a status from 200 to 399"),
            (&[Lock], "the lock is free"),
            (&[Man], "the pages are written"),
            (&[Soak], "everything adds up and nothing leaked"),
        ],
    ),
    (
        FAILED,
        &[
            (&[Completions, Config, Drill, Man, Soak], "c13 itself failed"),
            (&[Health], "it did not"),
        ],
    ),
    (
        BAD_INPUT,
        &[
            (&[Config], "the command line or a file is wrong"),
            (&[Drill], "the command line or the scenario is wrong"),
            (&[Completions, Health, Soak], "the command line is wrong"),
            (&[Lock, Run], "the command line, `REDIS_URL` or a file is wrong"),
            (&[Man], "the command line is wrong, or the folder cannot be written to"),
        ],
    ),
    (
        MISSED,
        &[
            (&[Drill], "an objective is missed"),
            (&[Drill], "a figure is worse than that of `--baseline`"),
            (&[Soak], "something does not add up, or leaked"),
        ],
    ),
    (
        UNDECIDED,
        &[(
            &[Drill],
            "neither: it may be chance, and more runs may decide (see --repeat)",
        )],
    ),
    (
        REFUSED,
        &[
            (&[Lock], "the lock is held"),
            (
                &[Run],
                "another process holds the lock (see -E), the limit is used up, or the circuit is open",
            ),
        ],
    ),
    (LOST, &[(&[Run], "the lock was lost, and the command stopped")]),
    (TIMED_OUT, &[(&[Run], "the command's time was over")]),
    (
        BROKEN,
        &[(
            &[Lock, Run],
            "c13 itself failed, its guard was killed, or Redis or the folder of the locks cannot be used",
        )],
    ),
    (NOT_EXECUTABLE, &[(&[Run], "the command cannot be executed")]),
    (NOT_FOUND, &[(&[Run], "there is no such command")]),
    (SIGNALLED, &[(&[Run], "signal N ended the command, or the wait for it")]),
    (INTERRUPTED, &[(&[Drill, Soak], "interrupted")]),
];

/// The end of a help text: `before`, and the statuses of the command.
pub(crate) fn help(before: &str, verb: Verb) -> String {
    let title = match verb {
        Run => "Exit status: the command's own, or",
        _ => "Exit status:",
    };
    let mut text = format!("{before}\n\n{title}");
    for (status, meanings) in TABLE {
        for (_, meaning) in meanings.iter().filter(|(verbs, _)| verbs.contains(&verb)) {
            let number = match *status {
                SIGNALLED => "128+N".to_owned(),
                status => status.to_string(),
            };
            text.push_str(&format!("\n  {number:<5}  {meaning}"));
        }
    }
    text
}
