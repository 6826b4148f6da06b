//! The exit statuses: one list for the code, for `--help` and for the guide.

/// Everything is right, every objective is met, the lock is free.
pub(crate) const DONE: u8 = 0;
/// A command other than `run` and `lock` failed by itself; `c13 health`: the address does not answer well.
pub(crate) const FAILED: u8 = 1;
/// The command line, the environment or a file is wrong.
pub(crate) const BAD_INPUT: u8 = 2;
/// An objective is missed.
pub(crate) const MISSED: u8 = 3;
/// Somebody else has what the command needs: try again later.
pub(crate) const REFUSED: u8 = 75;
/// The lock was lost, and the command stopped.
pub(crate) const LOST: u8 = 76;
/// The command's time was over.
pub(crate) const TIMED_OUT: u8 = 124;
/// `c13 run` or `c13 lock` failed by itself, or what keeps the locks did.
pub(crate) const BROKEN: u8 = 125;
/// The command cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
pub(crate) const NOT_FOUND: u8 = 127;
/// A signal ended the command or the wait for it; the signal's number is added.
pub(crate) const SIGNALLED: u8 = 128;
/// SIGINT ended a command that is not run under `c13 run`: 128 and its number.
pub(crate) const INTERRUPTED: u8 = 130;

/// The statuses of one command, each with what it means, as `--help` shows them.
type Statuses = [(u8, &'static str)];

pub(crate) const DRILL: &Statuses = &[
    (DONE, "every objective is met, or there is none"),
    (FAILED, "c13 itself failed"),
    (BAD_INPUT, "the command line or the scenario is wrong"),
    (MISSED, "an objective is missed"),
    (INTERRUPTED, "interrupted"),
];

pub(crate) const CONFIG: &Statuses = &[
    (DONE, "everything is right"),
    (FAILED, "c13 itself failed"),
    (BAD_INPUT, "the command line or a file is wrong"),
];

pub(crate) const HEALTH: &Statuses = &[
    (DONE, "it answered with a status from 200 to 399"),
    (FAILED, "it did not"),
    (BAD_INPUT, "the command line is wrong"),
];

pub(crate) const SOAK: &Statuses = &[
    (DONE, "everything adds up and nothing leaked"),
    (FAILED, "c13 itself failed"),
    (BAD_INPUT, "the command line is wrong"),
    (MISSED, "something does not add up, or leaked"),
    (INTERRUPTED, "interrupted"),
];

/// Besides the command's own.
pub(crate) const RUN: &Statuses = &[
    (BAD_INPUT, "the command line, `REDIS_URL` or a file is wrong"),
    (
        REFUSED,
        "somebody else has the lock (see -E), the limit is used up, or the circuit is open",
    ),
    (LOST, "the lock was lost, and the command stopped"),
    (TIMED_OUT, "the command's time was over"),
    (
        BROKEN,
        "c13 itself failed, its guard was killed, or Redis or the folder of the locks cannot be used",
    ),
    (NOT_EXECUTABLE, "the command cannot be executed"),
    (NOT_FOUND, "there is no such command"),
    (SIGNALLED, "signal N ended the command, or the wait for it"),
];

pub(crate) const LOCK: &Statuses = &[
    (DONE, "the lock is free"),
    (BAD_INPUT, "the command line, `REDIS_URL` or a file is wrong"),
    (REFUSED, "the lock is held"),
    (
        BROKEN,
        "c13 itself failed, its guard was killed, or Redis or the folder of the locks cannot be used",
    ),
];

/// The end of a help text: `before`, and the statuses under `title`.
pub(crate) fn help(before: &str, title: &str, statuses: &Statuses) -> String {
    let mut text = format!("{before}\n\n{title}");
    for (status, meaning) in statuses {
        let number = match *status {
            SIGNALLED => "128+N".to_owned(),
            status => status.to_string(),
        };
        text.push_str(&format!("\n  {number:<5}  {meaning}"));
    }
    text
}
