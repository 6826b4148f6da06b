//! What can be set: how much, how much at once, and how long a caller may wait for it.

use crate::error::{ConfigError, ConfigValue, Findings, Note};
use std::time::Duration;

/// The longest time that any setting may come to: a hundred years.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How many callers may wait for a limiter at one time unless another number is set.
pub const DEFAULT_MAX_WAITERS: usize = 1_024;

const BUCKET: &str = "token bucket";
const WINDOW: &str = "sliding window";
const SLOWEST: f64 = 1.0 / 86_400.0;
const LARGEST_BURST: u64 = 1 << 54;
const COLDEST: f64 = 100.0;
const LARGEST_WINDOW: u64 = 1 << 24;

/// Settings of a token bucket: plain values, checked by [`validate`](Self::validate) on the way in.
///
/// ```
/// use c13_reliability::patterns::rate_limiter::RateLimiterConfig;
/// use std::time::Duration;
///
/// const UPLOADS: RateLimiterConfig = RateLimiterConfig::new(50.0, 10).max_wait(Duration::from_millis(200));
/// const _: () = assert!(UPLOADS.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RateLimiterConfig {
    /// Tokens a second that the bucket refills by; from one a day to 10⁹ a second.
    pub rate: f64,
    /// How many tokens the bucket holds, and so the largest request; from 1 to 2⁵⁴, and no more than refill within a
    /// hundred years.
    pub burst: u64,
    /// How long [`acquire`](super::TokenBucketRateLimiter::acquire) may wait, at most a hundred years; a caller whose
    /// [`Deadline`](crate::time::Deadline) is earlier waits no longer than for that. Default: zero, which refuses at once.
    pub max_wait: Duration,
    /// How many callers may wait at one time; at least 1. Default: [`DEFAULT_MAX_WAITERS`].
    pub max_waiters: usize,
    /// Whether the bucket starts empty instead of full. Default: no.
    pub start_empty: bool,
    /// Whether requests are spaced evenly: no more than one token is ever saved up, and a request for more than one is
    /// admitted when those before it are paid for, and paid for by those after it. Default: no.
    pub paced: bool,
    /// How the limiter comes up to its rate after a start or a rest. Default: it has it from the start.
    pub warm_up: Option<WarmUp>,
    /// Whether the limiter only counts what it would refuse or let wait, and admits it at once. Default: no.
    pub shadow: bool,
}

/// Comes up to the rate gradually, for a dependency that is slow until its caches and pools are filled.
///
/// After a start or a rest a token costs `cold_factor` times as much as usual, and the price falls as tokens are bought:
/// a limiter that is asked for all it has reaches its full rate after `period`. A rest of `period` makes it as cold as it
/// was. Every decision takes a lock. Waits are foretold by the price of the moment.
///
/// Algorithm: that of Guava's `SmoothRateLimiter`, warming up.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct WarmUp {
    /// How long it takes; above zero, at most a hundred years.
    pub period: Duration,
    /// What a token costs at first; above 1, at most 100.
    pub cold_factor: f64,
}

impl WarmUp {
    /// From `rate / cold_factor` to the rate within `period`.
    #[must_use]
    pub const fn new(period: Duration, cold_factor: f64) -> Self {
        Self { period, cold_factor }
    }
}

impl RateLimiterConfig {
    /// The highest rate there is, in requests a second.
    pub(crate) const FASTEST: f64 = 1e9;

    /// `rate` tokens a second, and at most `burst` of them at once. The bucket starts full, and nobody waits.
    #[must_use]
    pub const fn new(rate: f64, burst: u64) -> Self {
        Self {
            rate,
            burst,
            max_wait: Duration::ZERO,
            max_waiters: DEFAULT_MAX_WAITERS,
            start_empty: false,
            paced: false,
            warm_up: None,
            shadow: false,
        }
    }

    /// `rate` tokens a second, and at most those of one second at once, rounded down but at least 1.
    #[must_use]
    pub const fn per_second(rate: f64) -> Self {
        // A rate that is no number, negative or too large is for `validate` to refuse.
        let burst = rate as u64;
        Self::new(rate, if burst == 0 { 1 } else { burst })
    }

    /// Lets callers wait for `max_wait`.
    #[must_use]
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Lets no more than `max_waiters` callers wait at one time.
    #[must_use]
    pub const fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.max_waiters = max_waiters;
        self
    }

    /// Starts with an empty bucket.
    #[must_use]
    pub const fn start_empty(mut self, start_empty: bool) -> Self {
        self.start_empty = start_empty;
        self
    }

    /// Spaces requests evenly.
    #[must_use]
    pub const fn paced(mut self, paced: bool) -> Self {
        self.paced = paced;
        self
    }

    /// Comes up to the rate gradually after a start or a rest.
    #[must_use]
    pub const fn warm_up(mut self, warm_up: WarmUp) -> Self {
        self.warm_up = Some(warm_up);
        self
    }

    /// Only counts what it would refuse or let wait, and admits it at once.
    #[must_use]
    pub const fn shadow(mut self, shadow: bool) -> Self {
        self.shadow = shadow;
        self
    }

    /// Checks all settings; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of(BUCKET);
        self.check(&mut found);
        found.first()
    }

    pub(crate) const fn check(&self, found: &mut Findings) {
        const COST: &[Note] = &[Note::new("warm_up.cold_factor", "what a token costs at first")];
        const REFILL: &[Note] = &[Note::new("rate", "it refills this fast"), COST[0]];
        // Written so that a rate that is no number fails it.
        let fits = self.rate >= SLOWEST && self.rate <= Self::FASTEST;
        found.number(
            fits,
            "rate",
            self.rate,
            "must be from one a day to 1,000,000,000 a second",
        );
        found.count(self.burst > 0, "burst", self.burst, "must be at least 1");
        let mut dearest = self.burst as f64;
        if let Some(WarmUp { period, cold_factor }) = self.warm_up {
            let fits = !period.is_zero() && period.as_nanos() <= LONGEST.as_nanos();
            found.time(
                fits,
                "warm_up.period",
                period,
                "must be above zero and at most a hundred years",
            );
            let fits = cold_factor > 1.0 && cold_factor <= COLDEST;
            found.number(
                fits,
                "warm_up.cold_factor",
                cold_factor,
                "must be above 1 and at most 100",
            );
            dearest *= cold_factor;
        }
        let burst = ConfigValue::Count(self.burst);
        if dearest > LARGEST_BURST as f64 {
            let rule = "must be at most 2^54, divided by the cold factor of a warm-up";
            found.refuse(found.error("burst", burst, rule).notes(COST));
        } else if dearest / self.rate > LONGEST.as_secs() as f64 {
            found.refuse(
                found
                    .error("burst", burst, "must refill within a hundred years")
                    .notes(REFILL),
            );
        }
        check_waiting(found, self.max_wait, self.max_waiters);
    }

    /// The burst of a rate that says none: one second of it, rounded up.
    #[cfg(feature = "toml")]
    pub(crate) fn one_second(rate: f64) -> u64 {
        // A float converts to the nearest whole number, saturating; a rate is finite and above zero.
        (rate.ceil() as u64).max(1)
    }
}

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

    /// Counts by two counters instead of keeping the time of each request.
    #[must_use]
    pub const fn approximate(mut self, approximate: bool) -> Self {
        self.approximate = approximate;
        self
    }

    /// Only counts what it would refuse or let wait, and admits it at once.
    #[must_use]
    pub const fn shadow(mut self, shadow: bool) -> Self {
        self.shadow = shadow;
        self
    }

    /// Lets callers wait for `max_wait`.
    #[must_use]
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Lets no more than `max_waiters` callers wait at one time.
    #[must_use]
    pub const fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.max_waiters = max_waiters;
        self
    }

    /// Checks all settings; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of(WINDOW);
        let fits = !self.window.is_zero() && self.window.as_nanos() <= LONGEST.as_nanos();
        found.time(
            fits,
            "window",
            self.window,
            "must be above zero and at most a hundred years",
        );
        let most = if self.approximate {
            LARGEST_BURST
        } else {
            LARGEST_WINDOW
        };
        let fits = self.max_requests > 0 && self.max_requests <= most;
        let rule = "must be from 1 to 2^24, or to 2^54 where the window is approximate";
        found.count(fits, "max_requests", self.max_requests, rule);
        check_waiting(&mut found, self.max_wait, self.max_waiters);
        found.first()
    }
}

const fn check_waiting(found: &mut Findings, max_wait: Duration, max_waiters: usize) {
    let fits = max_wait.as_nanos() <= LONGEST.as_nanos();
    found.time(fits, "max_wait", max_wait, "must be at most a hundred years");
    found.count(max_waiters > 0, "max_waiters", max_waiters as u64, "must be at least 1");
}
