//! What can be set of a sliding window: its length, how many requests it holds, and how long a caller may wait.

use super::super::config::{DEFAULT_MAX_WAITERS, LARGEST_COUNT, LONGEST, check_waiting};
use crate::error::{ConfigError, Findings};
use crate::setters::setters;
use std::time::Duration;

const PART: &str = "sliding window";
/// The largest window that keeps the time of each request.
const LARGEST_EXACT: u64 = 1 << 24;

/// Settings of a sliding window: plain values, checked by [`validate`](Self::validate) on the way in.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SlidingWindowConfig {
    /// How far the window reaches back; above zero, at most a hundred years.
    pub window: Duration,
    /// How many requests any window may hold; from 1 to 2²⁴, each of which takes 8 bytes of memory, or to 2⁵⁴ where the
    /// window is approximate.
    pub max_requests: u64,
    /// Whether it counts by two counters instead of keeping the time of each request: constant memory, and an estimate
    /// instead of the truth. Default: no.
    ///
    /// Time is then cut into windows of the length; each of them holds at most `max_requests`. Of the one before, a share
    /// counts that is as large as its overlap with the sliding window, as if its requests had come evenly. Where they did,
    /// the estimate is right to within two requests; at worst, a burst at the end of one window and all that the estimate
    /// lets through in the next, a sliding window holds less than `2 · max_requests`.
    pub approximate: bool,
    /// How long [`acquire`](super::SlidingWindowRateLimiter::acquire) may wait, at most a hundred years; a caller whose
    /// [`Deadline`](crate::time::Deadline) is earlier waits no longer than for that. Default: zero, which refuses at once.
    pub max_wait: Duration,
    /// How many callers may wait at one time; at least 1. Default: [`DEFAULT_MAX_WAITERS`].
    pub max_waiters: usize,
    /// Whether the limiter only counts what it would refuse or let wait, and admits it at once. Default: no.
    pub shadow: bool,
}

impl SlidingWindowConfig {
    /// At most `max_requests` in any `window`. Nobody waits.
    #[must_use]
    pub const fn new(window: Duration, max_requests: u64) -> Self {
        Self {
            window,
            max_requests,
            approximate: false,
            max_wait: Duration::ZERO,
            max_waiters: DEFAULT_MAX_WAITERS,
            shadow: false,
        }
    }

    setters! {
        /// Counts by two counters instead of keeping the time of each request.
        approximate: bool,
        /// Only counts what it would refuse or let wait, and admits it at once.
        shadow: bool,
        /// Lets callers wait for `max_wait`.
        max_wait: Duration,
        /// Lets no more than `max_waiters` callers wait at one time.
        max_waiters: usize,
    }

    /// Checks all settings; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of(PART);
        let fits = !self.window.is_zero() && self.window.as_nanos() <= LONGEST.as_nanos();
        found.time(
            fits,
            "window",
            self.window,
            "must be above zero and at most a hundred years",
        );
        let most = if self.approximate { LARGEST_COUNT } else { LARGEST_EXACT };
        let fits = self.max_requests > 0 && self.max_requests <= most;
        let rule = "must be from 1 to 2^24, or to 2^54 where the window is approximate";
        found.count(fits, "max_requests", self.max_requests, rule);
        check_waiting(&mut found, self.max_wait, self.max_waiters);
        found.first()
    }
}
