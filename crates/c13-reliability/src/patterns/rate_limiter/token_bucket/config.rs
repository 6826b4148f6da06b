//! What can be set of a token bucket: how fast it refills, how much it holds, and how long a caller may wait.

use super::super::config::{DEFAULT_MAX_WAITERS, LARGEST_COUNT, LONGEST, check_waiting};
use crate::error::{ConfigError, ConfigValue, Findings, Note};
use crate::setters::setters;
use std::time::Duration;

const PART: &str = "token bucket";
const SLOWEST: f64 = 1.0 / 86_400.0;
const COLDEST: f64 = 100.0;

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

    setters! {
        /// Lets callers wait for `max_wait`.
        max_wait: Duration,
        /// Lets no more than `max_waiters` callers wait at one time.
        max_waiters: usize,
        /// Starts with an empty bucket.
        start_empty: bool,
        /// Spaces requests evenly.
        paced: bool,
        /// Comes up to the rate gradually after a start or a rest.
        warm_up: WarmUp => Some,
        /// Only counts what it would refuse or let wait, and admits it at once.
        shadow: bool,
    }

    /// Checks all settings; usable while compiling.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, and the rule it breaks.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of(PART);
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
        if dearest > LARGEST_COUNT as f64 {
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
