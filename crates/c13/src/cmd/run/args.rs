//! The arguments of `c13 run`, and its help.

use std::ffi::OsString;

use clap::Args;

use crate::cmd::redis::RedisArgs;
use crate::run::key::Key;
use crate::status::{self, Verb};

/// Run a command under a lock, a rate limit, a time limit, with retries
///
/// The command is stopped before its lock can be lost, and never outlives this program. `C13_LOCK_FENCE` holds the fencing
/// token: a number that grows with every holder, for whatever the command writes to.
#[derive(Debug, Args)]
#[command(after_long_help = status::help(MORE, Verb::Run))]
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
    /// instead of on each in turn. `c13 run` ends as soon as the command does; the lock lapses by itself.
    #[arg(long, value_name = "DURATION", requires = "lock")]
    pub(crate) min_hold: Option<String>,

    /// Wait at most this long for lock, limit and permit together, and as long again for the limit of each further run; by
    /// default without end
    ///
    /// A Redis that cannot be reached or does not answer is reported on standard error at once, and asked again for as long;
    /// for 10s by default, counted anew after each answer.
    #[arg(short, long, value_name = "DURATION", conflicts_with = "nonblock")]
    pub(crate) wait: Option<String>,

    /// Do not wait; a Redis that does not answer has a second
    #[arg(short, long)]
    pub(crate) nonblock: bool,

    /// The exit status when another process holds the lock
    #[arg(short = 'E', long, value_name = "N", default_value_t = 75)]
    pub(crate) conflict_exit_code: u8,

    /// Run again after a failure, at most this many times
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

    /// Run at most this often, such as `10/m`, together with all runs that use the same key
    #[arg(long, value_name = "RATE", requires = "limit_key")]
    pub(crate) limit: Option<String>,

    /// The key that shares the limit
    #[arg(long, value_name = "KEY")]
    pub(crate) limit_key: Option<Key>,

    /// Do not run for a while after five failed runs in a row, counted over all runs that use the same key; then try one run,
    /// and go on after two that succeed
    #[arg(long, value_name = "KEY")]
    pub(crate) breaker: Option<Key>,

    /// Run under this policy of a file, such as `reliability.toml#payments`: its time limits, rate limit, bulkhead, retry
    /// and circuit breaker, shared by all that run under it; the options above override it
    #[arg(long, value_name = "FILE#NAME")]
    pub(crate) policy: Option<String>,

    #[command(flatten)]
    pub(crate) redis: RedisArgs,

    /// The command and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

const MORE: &str = "\
Examples:
  c13 run --lock nightly --nonblock -- ./backup.sh         skip if another one is running
  c13 run --lock mail -n --min-hold 10s -- ./send.sh       once, on whichever machine is first
  c13 run --retry 3 --timeout 10m -- ./import.sh           three more tries, ten minutes each
  c13 run --limit 10/m --limit-key mail -- ./send.sh       ten a minute, from all that run it
  c13 run --breaker api -- ./poll.sh                       not while the thing it polls is down
  c13 run --policy reliability.toml#payments -- ./pay.sh   as the service's policy has it

The command has a process group of its own, which gets the signals INT, TERM, HUP, QUIT, USR1, USR2, WINCH, TSTP and CONT
that this program gets. CONT follows the first four, so that a stopped command gets them; a second one of them kills it. Signals that are ignored at the start, as under nohup, stay ignored by this program and the command; CHLD and PIPE are
the exceptions. On a terminal the command gets the foreground as from a shell, from the start or, in a pipeline, as soon as it
wants it: it may read, Ctrl-C reaches it alone, and Ctrl-Z stops it and this program.

Nothing of the command outlives this program. When the command has ended, what is left of its process group is killed.
When its time is over, its lock is lost or a signal asks it to stop, all that descends from it is killed in the end, in
whatever session it is; likewise if this program or the guard beside it is killed. A lock in files is free only after that. Out
of reach are: a daemon that is left when the command ends by itself, processes of other users that this user may not kill,
and, if this program and its guard are killed at the same moment, what the command has started; the command itself is
killed even then, unless it is set-user-ID.

A further run gets the whole standard input again or does not begin. A file is rewound. A pipe that no process has read
from is left as it is; if it was read from, the command's status is final, unless --replay-stdin keeps what is read: 1 MiB in
memory, up to 256 MiB in a file without a name in TMPDIR.

`c13 lock status KEY` prints who holds a lock: host, process, program and since when. Arguments are not shown.

While it waits, standard error says for what: the holder of the lock, a limit that is used up for a second or more, a Redis
that does not answer. It never waits for an open circuit.

Without Redis, locks, limits and circuits are kept in files of this machine, for each user apart:
  root         /var/lib/c13
  others       $XDG_STATE_HOME/c13, or ~/.local/state/c13
The folder and its files must belong to the user and be writable by no other user; anything else is refused with 125.
`C13_STATE_DIR` names another folder. To share one between users, make it for their group, with the mode 2770:
  install -d -o root -g jobs -m 2770 /srv/c13";
