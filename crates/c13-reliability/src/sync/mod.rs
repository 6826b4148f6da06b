//! What the parts count with, and the source of their random numbers.
//!
//! - [`StripedCounter`]: counters that threads do not fight over; a count is one load and one store on a line of the
//!   thread's own.
//! - [`Histogram`] and [`HistogramSnapshot`]: log-linear histograms of the whole `u64` range, shared and plain.
//! - [`Random`]: a small seedable source of random numbers, usable from many threads.
//! - `foreign`: wakers and listeners of others, whose panics must go no further.
//! - `wait_queue`: waiters in line, first come first served, for whatever a limiter or a bulkhead has to give.
//! - `length_of`: how much text a key holds, for whoever keeps keys of strangers.
//! - `Sweep`: when to look through a map for entries that say nothing any more.
//! - `primitive`: the atomics and locks of std, or of loom when the crate is built for model checking.

#[allow(dead_code, reason = "without the features that serve others it has no caller")]
pub(crate) mod foreign;
mod histogram;
mod length;
mod line;
#[cfg(all(test, c13_loom))]
pub(crate) mod loom;
pub(crate) mod primitive;
mod random;
mod slot;
mod striped_counter;
mod striped_pool;
mod striped_rolling;
mod striped_stock;
mod sweep;
mod wait_line;
#[allow(dead_code, reason = "each pattern with waiters uses a part of it")]
pub(crate) mod wait_queue;

pub use histogram::{Histogram, HistogramSnapshot};
pub(crate) use length::length_of;
pub(crate) use line::Line;
pub use random::Random;
pub use striped_counter::StripedCounter;
pub(crate) use striped_pool::StripedPool;
pub(crate) use striped_rolling::StripedRolling;
pub(crate) use striped_stock::{STOCKS, StripedStock};
pub(crate) use sweep::Sweep;
