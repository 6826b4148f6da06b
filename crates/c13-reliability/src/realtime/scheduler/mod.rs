//! The scheduler: runs periodic tasks at fixed times, such as every 2 ms, without drift.
//!
//! A tick is due at the start plus its number of periods, computed anew each time, so nothing drifts: after a minute of
//! 2 ms ticks the next is due at start + 60 s exactly. Ticks that came due while the task was busy are skipped, made up for,
//! or reported ([`MissedTicks`]), and counted in any case.
//!
//! # Which one
//!
//! | | [`Scheduler`] | [`ThreadScheduler`] |
//! |---|---|---|
//! | tasks are | futures | functions |
//! | runs on | the task that awaits it, on any runtime, and in virtual time | a thread of its own |
//! | waits by | a [precise](crate::time::Clock::precise) clock, or another | absolute sleeps of the kernel, and a final spin if asked |
//! | can have | | a processor of its own, `SCHED_FIFO`, locked memory, shallow sleep |
//! | a run that does not end | is reported while it waits | is reported by a watchdog thread, whatever it does |
//!
//! [`realtime_scheduler`] is the simplest form: one task, every 2 ms.
//!
//! # How late
//!
//! Lateness is measured for every tick, from when it was due to when it began. Microseconds, for a tick of 2 ms over 60 s on
//! a shared virtual machine with 2 processors and all privileges, the rows of each half one after the other:
//!
//! | | P50 | P99 | P99.9 | max | processor |
//! |---|---|---|---|---|---|
//! | idle: thread, [`ThreadConfig::sharpest`] | 0.06 | 1.0 | 7,889 | 37,937 | 2.8 % |
//! | [`Scheduler`] on tokio | 52 | 302 | 1,366 | 6,569 | 0.6 % |
//! | `tokio::time::interval` | 368 | 892 | 1,829 | 3,878 | 1.3 % |
//! | `cyclictest -p80` | 15 | 42 | 169 | 7,452 | |
//! | one processor busy: thread, [`ThreadConfig::sharpest`] | 0.06 | 2.9 | 984 | 33,388 | 2.7 % |
//! | [`Scheduler`] on tokio | 56 | 669 | 2,699 | 6,622 | 0.7 % |
//! | `tokio::time::interval` | 377 | 1,378 | 3,977 | 7,344 | 1.3 % |
//! | `cyclictest -p80` | 16 | 47 | 966 | 8,247 | |
//!
//! Without privileges a thread with a spin of 60 µs was 0.06 µs late at the median and 151 µs at P99, 841 µs together with a busy
//! thread. Beyond P99 the table shows when the host took the machine's time: repeated, the thread's P99.9 was 0.7 to 1.7 ms
//! and that of `cyclictest` 0.8 ms. Nothing drifted: the bench compares every due time with start + n periods.
//! Run it yourself, as root: `cargo bench -p c13-reliability --bench scheduler -- 60 0`, and `-- 60 1` with a busy thread.
//!
//! What sharpens a tick, dearest last: exact timers (the default; no privileges), a spin of 60 µs before the tick (about 3 %
//! of a processor at 2 ms), `SCHED_FIFO` (other threads no longer delay the tick; a task that never ends then keeps the
//! processor to itself, so give it `stuck_after`), shallow sleep (saves waking up a sleeping processor; costs power).
//! What the system refuses is reported with what to grant ([`PrivilegeRefused`]).
//!
//! # Defaults
//!
//! | setting | default |
//! |---|---|
//! | period | 2 ms, at least 100 µs |
//! | deadline | one period after the tick was due |
//! | missed ticks | skipped and counted |
//! | priority | 0; the greatest goes first |
//! | watchdog | off |
//! | thread | ordinary, any processor, exact timers, no spin |
//!
//! # Metrics
//!
//! What a [`SchedulerHandle`] or a [`RunningThread`] in a [registry](crate::snapshot::Registry) reports.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.scheduler.runs` | counter | {run} | `task` | Ticks that were run, by task |
//! | `reliability.scheduler.missed_ticks` | counter | {tick} | `task` | Ticks that were skipped, by task |
//! | `reliability.scheduler.missed_deadlines` | counter | {run} | `task` | Runs that ended after their deadline, by task |
//! | `reliability.scheduler.stuck` | counter | {run} | `task` | Runs that were reported as stuck, by task |
//! | `reliability.scheduler.lateness` | histogram | s | `task` | How long after it was due each run began, by task |
//! | `reliability.scheduler.run_time` | histogram | s | `task` | How long each run took, by task |

mod board;
mod config;
mod event;
mod handle;
#[cfg(all(test, c13_loom))]
mod loom;
mod privilege;
mod snapshot;
mod state;
mod thread;
mod watchdog;

pub use config::{MIN_PERIOD, MissedTicks, PERIOD, TaskConfig, ThreadConfig};
pub use event::SchedulerEvent;
pub use handle::{Scheduler, SchedulerHandle, realtime_scheduler};
pub use privilege::{Privilege, PrivilegeRefused};
pub use snapshot::{SchedulerSnapshot, TaskSnapshot};
pub use state::Beat;
pub use thread::{RunningThread, StartError, TaskPanicked, ThreadScheduler};
