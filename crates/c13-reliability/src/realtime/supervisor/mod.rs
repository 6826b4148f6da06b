//! The supervisor: keeps tasks and threads running by starting them again when they fail or panic.
//!
//! The first restart is at once, further ones back off, and when there are too many within a time the supervisor stops
//! everything and gives up, so that what supervises it (another supervisor, or the init system) can start from a clean
//! slate. The vocabulary is that of Erlang's supervisors.
//!
//! | | |
//! |---|---|
//! | which children are restarted | [`Strategy`]: the child alone, all, or it and those after it |
//! | when | [`Restart`]: at every end, after a failure, never |
//! | how fast | at once, then 100 ms doubling to 10 s, with jitter; from the start again after 30 s of running |
//! | how often | 10 times within 60 s, then the supervisor [escalates](Escalated) |
//! | how it stops | children are asked one after the other, last started first; each has 5 s, then it is given up |
//!
//! A child that was started again because a sibling failed must not have done its work yet: one that ended for good stays
//! ended.
//!
//! A task that panicked runs again 11 µs later at the median of 1,000 restarts, unoptimised and on a busy machine with 2
//! processors: `cargo test -p c13-reliability --test it within_a_millisecond -- --nocapture` measures it.
//!
//! What surprises: a thread cannot be ended from outside. One that does not listen to its
//! [`StopSignal`](super::StopSignal) is left to itself, and its successor runs concurrently.
//!
//! # Metrics
//!
//! What a [`SupervisorHandle`] in a [registry](crate::snapshot::Registry) reports.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.supervisor.restarts` | counter | {restart} | `child` | Restarts, by child |
//! | `reliability.supervisor.running` | gauge | | `child` | 1 for a child that runs, 0 for one that does not, by child |

mod child;
mod config;
mod handle;
mod mailbox;
mod snapshot;
mod state;

pub use child::ChildResult;
pub use config::{ChildConfig, Restart, Strategy, SupervisorConfig};
pub use handle::{Escalated, Supervisor, SupervisorHandle};
pub use snapshot::{ChildSnapshot, ChildState, Exit, LastExit, SupervisorSnapshot};
