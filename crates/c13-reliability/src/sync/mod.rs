//! What the parts share: counting without contention, waiting in order, random numbers.
//!
//! Counting, once for each thread, so that threads do not wait for each other's cache lines:
//!
//! - `Tally`: counters named by the variants of an enum. Most code needs nothing else of this list.
//! - `StripedRolling`: counts of the last T of time.
//! - `StripedStock`: tokens that a thread was lent in advance.
//! - `StripedPool`: tokens that threads keep to themselves, and that others may take.
//! - `Stripes`: the words for each thread that all of the above are made of. `thread_slot` numbers the threads, and `arena`
//!   is their memory.
//! - [`Histogram`] and [`HistogramSnapshot`]: log-linear histograms of the whole `u64` range, shared and plain.
//!
//! Waiting:
//!
//! - `wait_queue`: a bounded queue of tasks that wait for permits or tokens, first come first served.
//! - `foreign`: calls of wakers and listeners that other code supplied, whose panics must go no further.
//!
//! And:
//!
//! - [`Random`]: a small seedable source of random numbers, usable from many threads.
//! - `length_of`: how much text a key holds, where keys come from strangers.
//! - `Sweep`: when to look through a map for entries that are out of date.
//! - `Current` and `InlineCurrent`: settings and the like, which many read and a reload replaces.
//! - `counted`: snapshots that are declared together with their counters.
//! - `CacheLine`: a word that shares its cache line with nothing.
//! - `primitive`: the atomics and locks of std, or of loom when the crate is built for model checking.

mod arena;
mod cache_line;
mod counted;
mod current;
#[allow(dead_code, reason = "without the features that serve others it has no caller")]
pub(crate) mod foreign;
mod histogram;
mod key_length;
#[cfg(all(test, c13_loom))]
pub(crate) mod loom;
pub(crate) mod primitive;
mod random;
mod striped_pool;
mod striped_rolling;
mod striped_stock;
mod stripes;
mod sweep;
mod tally;
mod thread_slot;
#[allow(dead_code, reason = "each pattern with waiters uses a part of it")]
pub(crate) mod wait_queue;

pub(crate) use cache_line::CacheLine;
pub(crate) use counted::counted;
pub(crate) use current::{Current, InlineCurrent, Version};
pub use histogram::{Histogram, HistogramSnapshot};
pub(crate) use key_length::length_of;
pub use random::Random;
pub(crate) use striped_pool::StripedPool;
pub(crate) use striped_rolling::StripedRolling;
pub(crate) use striped_stock::{STOCKS, StripedStock};
pub(crate) use stripes::Stripes;
pub(crate) use sweep::Sweep;
pub(crate) use tally::{Count, Tally, counts};
pub(crate) use thread_slot::Slot;
