//! What the settings of all limiters share: bounds, and how long callers may wait.

use crate::error::Findings;
use std::time::Duration;

/// The longest time that any setting may come to: a hundred years.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How many callers may wait for a limiter at one time unless another number is set.
pub const DEFAULT_MAX_WAITERS: usize = 1_024;
/// The largest number of requests or tokens that a limiter counts to.
pub(super) const LARGEST_COUNT: u64 = 1 << 54;

pub(super) const fn check_waiting(found: &mut Findings, max_wait: Duration, max_waiters: usize) {
    let fits = max_wait.as_nanos() <= LONGEST.as_nanos();
    found.time(fits, "max_wait", max_wait, "must be at most a hundred years");
    found.count(max_waiters > 0, "max_waiters", max_waiters as u64, "must be at least 1");
}
