//! The semaphore under bulkhead and adaptive limit: a number of permits, and a bounded queue for those who find none.
//!
//! # The algorithm
//!
//! A call that starts takes a permit, and gives it back when it ends. All that is needed to decide about that is one atomic
//! word, the *packed state*: how many permits are taken, how many there are, and whether anybody waits. So without waiters
//! a permit costs one compare-and-swap each way, and no lock.
//!
//! A call that finds no permit joins the queue, if there is room, and sets the bit that says so. While the bit is set no
//! newcomer takes a permit from the word; whoever releases one serves the queue, first come, first served.
//!
//! Where many threads take and release permits at the same time, they would all fight for that one word. So once two
//! threads have contended there, permits are *lent*: a thread that releases a permit leaves it on a stripe of its own, and takes it
//! from there the next time. `permits` says how that stays exact.
//!
//! # The files
//!
//! Each imports only those above it.
//!
//! - `state`: the packed state, a plain value. What may be taken is decided here.
//! - `lending`: the stripes on which lent permits lie, and whether permits are lent now.
//! - `permits`: the packed state and the lent permits together: take one and give one back. Knows nothing of waiting.
//! - `snapshot`: what is counted, and reported.
//! - `semaphore`: the permits with the queue, and the settings that can be changed.
//! - `permit`: a permit that is held. Its `Drop` gives it back.
//! - `acquire`: the future that acquires a permit, and waits in the queue for it.

mod acquire;
mod lending;
#[cfg(all(test, c13_loom))]
mod loom;
mod permit;
mod permits;
#[expect(clippy::module_inception, reason = "the type that the folder is named after")]
mod semaphore;
mod snapshot;
mod state;
#[cfg(all(test, not(c13_loom)))]
mod tests;

pub(crate) use acquire::Acquire;
pub(crate) use permit::SemaphorePermit;
pub(crate) use semaphore::{AcquireError, Semaphore};
pub use snapshot::ConcurrentCalls;
pub(crate) use state::MAX_PERMITS;
