//! Time: one clock for every part, real or virtual.
//!
//! Every part of the library reads the time from a [`Clock`] and waits through it. A clock is a plain value without
//! type parameters: the machine's own time ([`Clock::system`]), the time
//! since the machine's start, suspended or not ([`Clock::since_boot`]), a clock that follows tokio's pausable time
//! (`Clock::tokio`, feature `tokio`), or a virtual one (`VirtualTime`, feature `test-util`). What runs on a virtual
//! clock is the very code that runs in production.
//!
//! With the feature `test-util`, `Executor` runs futures in virtual time: single-threaded, deterministic, to the
//! nanosecond, an hour in a second.
//!
//! | want | use |
//! |---|---|
//! | a point in time | [`Tick`] |
//! | the time | [`Clock::now`], [`Clock::coarse`] for windows |
//! | to wait | [`Clock::sleep`], [`Clock::sleep_until`]; to a tenth of a millisecond on [`Clock::precise`] |
//! | a time limit | [`Clock::timeout`], [`Clock::timeout_at`] |
//! | a deadline that travels with the call | [`Deadline`] |
//! | a duration in a message | [`Rounded`] |
//! | to advance the clock by hand | `VirtualTime` |
//! | to run futures in virtual time | `Executor` |

mod clock;
mod deadline;
mod env;
#[cfg(any(test, feature = "test-util"))]
mod executor;
pub(crate) mod http_date;
mod kernel_clock;
mod rounded;
mod sleep;
mod thread_timer;
mod tick;
mod timeout;
#[cfg(any(test, feature = "test-util"))]
mod virtual_time;
#[cfg(feature = "tokio")]
mod wall;

pub use clock::Clock;
pub(crate) use deadline::{Carried, Within};
pub use deadline::{Deadline, WithDeadline};
pub use env::Env;
#[cfg(any(test, feature = "test-util"))]
pub use executor::{Executor, JoinHandle, Spawner};
pub(crate) use kernel_clock::KernelClock;
pub use rounded::Rounded;
pub use sleep::Sleep;
pub use tick::Tick;
pub(crate) use tick::nanos;
pub use timeout::{Elapsed, Timeout};
#[cfg(any(test, feature = "test-util"))]
pub use virtual_time::VirtualTime;
#[cfg(feature = "tokio")]
pub use wall::wall_micros;
