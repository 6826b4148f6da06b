//! What a policy is made of: each part optional, checked as a whole.

use crate::error::{ConfigError, ConfigValue, Findings, Fix, Note};
use crate::patterns::adaptive::AdaptiveConfig;
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::CircuitBreakerConfig;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::patterns::retry::RetryConfig;
use crate::setters::setters;
use std::time::Duration;

/// What the rate limit of a policy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateLimitPer {
    /// Each call once, whatever its retries: how much the callers may ask for.
    #[default]
    Call,
    /// Each attempt, retries and hedges included: the quota that a dependency gives.
    Attempt,
}

impl RateLimitPer {
    /// Each by its name in files.
    pub const NAMES: &[(&str, Self)] = &[("call", Self::Call), ("attempt", Self::Attempt)];
}

/// The settings of a policy. What is `None` is not there.
///
/// A policy with nothing in it runs a call as it is. The setters are `const`, so that a policy can be a constant that
/// is checked while compiling:
///
/// ```
/// use c13_reliability::patterns::bulkhead::BulkheadConfig;
/// use c13_reliability::policy::PolicyConfig;
/// use std::time::Duration;
///
/// const SEARCH: PolicyConfig = PolicyConfig::NONE
///     .total_timeout(Duration::from_secs(2))
///     .attempt_timeout(Duration::from_millis(500))
///     .bulkhead(BulkheadConfig::new(64));
/// const _: () = assert!(SEARCH.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PolicyConfig {
    /// The time limit of the whole call: waiting, attempts and the pauses between them.
    pub total_timeout: Option<Duration>,
    /// How many calls, or attempts, may begin.
    pub rate_limit: Option<RateLimiterConfig>,
    /// Whether the rate limit counts calls, as it does unless told otherwise, or attempts.
    pub rate_limit_per: RateLimitPer,
    /// How many calls may be in flight at once.
    pub bulkhead: Option<BulkheadConfig>,
    /// The same, following what the dependency can take. In place of the bulkhead, and not beside it.
    pub adaptive: Option<AdaptiveConfig>,
    /// How often a failed attempt is repeated, when, and within what budget.
    pub retry: Option<RetryConfig>,
    /// When to make another attempt beside one that is late. It draws on the budget of retry, where retry has one, and on
    /// its own otherwise.
    pub hedge: Option<HedgeConfig>,
    /// When to stop calling for a while. Its `half_open_timeout` is the attempt's time limit where that is longer than the
    /// default, and must not be set below it.
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// The time limit of one attempt.
    pub attempt_timeout: Option<Duration>,
    /// Whether it measures how long calls and attempts take, as it does unless told otherwise.
    pub durations: bool,
}

/// The rules of a part alone, if the policy has it.
macro_rules! own_rules {
    ($part:expr) => {
        match &$part {
            Some(part) => part.validate(),
            None => Ok(()),
        }
    };
}

impl PolicyConfig {
    /// A policy without any part.
    pub const NONE: Self = Self {
        total_timeout: None,
        rate_limit: None,
        rate_limit_per: RateLimitPer::Call,
        bulkhead: None,
        adaptive: None,
        retry: None,
        hedge: None,
        circuit_breaker: None,
        attempt_timeout: None,
        durations: true,
    };

    setters! {
        /// Sets the time limit of the whole call.
        total_timeout: Duration => Some,
        /// Sets the rate limit.
        rate_limit: RateLimiterConfig => Some,
        /// Sets what the rate limit counts.
        rate_limit_per: RateLimitPer,
        /// Sets the bulkhead.
        bulkhead: BulkheadConfig => Some,
        /// Sets the adaptive limit.
        adaptive: AdaptiveConfig => Some,
        /// Sets retry.
        retry: RetryConfig => Some,
        /// Sets the hedge.
        hedge: HedgeConfig => Some,
        /// Sets the circuit breaker.
        circuit_breaker: CircuitBreakerConfig => Some,
        /// Sets the time limit of one attempt.
        attempt_timeout: Duration => Some,
        /// Sets whether it measures how long calls and attempts take.
        durations: bool,
    }

    /// Checks each part, and the parts against each other.
    ///
    /// # Errors
    ///
    /// The first rule that is broken: a part's own; a time limit of zero; an attempt's limit above the total; attempts
    /// that, with the longest pauses between them, do not fit the total; a hedge that comes after the attempt's end;
    /// a call that is slow only once it was cut off; a probe that is overdue before an attempt's end; a wait above the
    /// total; an adaptive limit beside a bulkhead.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let parts = [
            own_rules!(self.rate_limit),
            own_rules!(self.bulkhead),
            own_rules!(self.adaptive),
            own_rules!(self.retry),
            own_rules!(self.hedge),
            own_rules!(self.circuit_breaker),
        ];
        let mut at = 0;
        while at < parts.len() {
            if parts[at].is_err() {
                return parts[at];
            }
            at += 1;
        }
        let mut found = Findings::of("policy");
        self.check(&mut found);
        found.first()
    }

    /// The rules between the parts.
    pub(super) const fn check(&self, found: &mut Findings) {
        if self.bulkhead.is_some() && self.adaptive.is_some() {
            const BULKHEAD: &[Note] = &[Note::new("bulkhead", "this bounds the calls in flight too")];
            let rule = "must not stand beside `bulkhead`: either bounds the calls in flight";
            let error = found.error("adaptive", ConfigValue::Text("set"), rule);
            found.refuse(error.notes(BULKHEAD).fix(Fix::KeepOne));
        }
        if let Some(limit) = self.total_timeout {
            found.time(!limit.is_zero(), "timeout.total", limit, "must be above zero");
        }
        if let Some(limit) = self.attempt_timeout {
            found.time(!limit.is_zero(), "timeout.attempt", limit, "must be above zero");
        }
        self.check_attempts(found);
        self.check_waits(found);
        self.check_cut_off(found);
    }

    /// Attempts, and all of them together, end before the whole call does.
    const fn check_attempts(&self, found: &mut Findings) {
        const LIMITS: &[Note] = &[
            Note::new("timeout.attempt", "each attempt may take {}"),
            Note::new("timeout.total", "the whole call may take this long"),
        ];
        const RETRIES: &[Note] = &[
            Note::new("timeout.attempt", "each attempt may take this long"),
            Note::new("timeout.total", "the whole call ends here"),
            Note::new("hedge.delay", "and each hedge beside it begins this much later"),
        ];
        let (Some(total), Some(attempt)) = (self.total_timeout, self.attempt_timeout) else {
            return;
        };
        if longer(attempt, total) {
            let rule = "must not be longer than `timeout.total`";
            let error = found.error("timeout.attempt", ConfigValue::Duration(attempt), rule);
            found.refuse(error.notes(LIMITS).fix(Fix::AtMost(total)));
            return;
        }
        match (self.longest_call(), &self.retry) {
            (Some(longest), Some(retry)) if longer(longest, total) => {
                let value = ConfigValue::Count(retry.max_retries as u64);
                let rule = "must leave `timeout.total` time for all attempts, the delays of hedges, and the pauses between them";
                let error = found.error("retry.max_retries", value, rule);
                found.refuse(error.notes(RETRIES).fix(Fix::FewerRetries));
            }
            (Some(longest), None) if longer(longest, total) => {
                let rule = "must leave time for the attempt and for the hedges beside it";
                let error = found.error("timeout.total", ConfigValue::Duration(total), rule);
                found.refuse(error.notes(RETRIES));
            }
            _ => {}
        }
    }

    /// No call waits longer than it may take.
    const fn check_waits(&self, found: &mut Findings) {
        const TOTAL: Note = Note::new("timeout.total", "and has ended by then");
        const WAITS: &str = "a call may wait for {}";
        const RATE_LIMIT: &[Note] = &[Note::new("rate_limit.max_wait", WAITS), TOTAL];
        const BULKHEAD: &[Note] = &[Note::new("bulkhead.max_wait", WAITS), TOTAL];
        const ADAPTIVE: &[Note] = &[Note::new("adaptive.max_wait", WAITS), TOTAL];
        if let Some(part) = self.rate_limit {
            self.check_wait(part.max_wait, RATE_LIMIT, found);
        }
        if let Some(part) = self.bulkhead {
            self.check_wait(part.max_wait, BULKHEAD, found);
        }
        if let Some(part) = self.adaptive {
            self.check_wait(part.max_wait, ADAPTIVE, found);
        }
    }

    const fn check_wait(&self, wait: Duration, notes: &'static [Note], found: &mut Findings) {
        if let Some(total) = self.total_timeout
            && longer(wait, total)
        {
            let rule = "must not be longer than `timeout.total`";
            let error = found.error(notes[0].setting, ConfigValue::Duration(wait), rule);
            found.refuse(error.notes(notes).fix(Fix::AtMost(total)));
        }
    }

    /// A hedge begins, and a call is slow, before the attempt is cut off; a probe is not overdue before.
    const fn check_cut_off(&self, found: &mut Findings) {
        const SLOW: Note = Note::new("circuit_breaker.slow_call", "no call comes to an end after {}");
        const HEDGE: Note = Note::new("hedge.delay", "another attempt would start after {}");
        const CUT: &str = "it is cut off by then";
        const ENDED: &str = "but this one has ended by then";
        let (limit, rule, slow, hedge): (_, _, &'static [Note], &'static [Note]) = match *self {
            Self {
                attempt_timeout: Some(limit),
                ..
            } => (
                limit,
                "must be shorter than `timeout.attempt`",
                const { &[SLOW, Note::new("timeout.attempt", CUT)] },
                const { &[HEDGE, Note::new("timeout.attempt", ENDED)] },
            ),
            Self {
                total_timeout: Some(limit),
                ..
            } => (
                limit,
                "must be shorter than `timeout.total`",
                const { &[SLOW, Note::new("timeout.total", CUT)] },
                const { &[HEDGE, Note::new("timeout.total", ENDED)] },
            ),
            _ => return,
        };
        if let Some(HedgeConfig {
            delay: HedgeDelay::Fixed(delay),
            ..
        }) = self.hedge
            && !longer(limit, delay)
        {
            let error = found.error("hedge.delay", ConfigValue::Duration(delay), rule);
            found.refuse(error.notes(hedge).fix(Fix::Below(limit)));
        }
        let Some(breaker) = &self.circuit_breaker else { return };
        if let Some(time) = breaker.slow_call
            && !longer(limit, time)
        {
            let error = found.error("circuit_breaker.slow_call", ConfigValue::Duration(time), rule);
            found.refuse(error.notes(slow).fix(Fix::Below(limit)));
        }
        if let (Some(set), Some(probe)) = (breaker.half_open_timeout, self.longest_probe())
            && longer(probe, set)
        {
            const PROBE: &[Note] = &[
                Note::new("circuit_breaker.half_open_timeout", "a probe is given up after {}"),
                Note::new("timeout.attempt", "and may take this long"),
            ];
            let rule = "must not be shorter than `timeout.attempt`, which a probe may take";
            let error = found.error("circuit_breaker.half_open_timeout", ConfigValue::Duration(set), rule);
            found.refuse(error.notes(PROBE).fix(Fix::AtLeast(probe)));
        }
    }

    /// The breaker's settings as they apply here: a probe may take as long as an attempt, so a half-open circuit waits at
    /// least as long where nobody has set how long it does.
    pub(super) const fn breaker(&self) -> Option<CircuitBreakerConfig> {
        let Some(mut breaker) = self.circuit_breaker else {
            return None;
        };
        if let (None, Some(probe)) = (breaker.half_open_timeout, self.longest_probe())
            && longer(probe, breaker.probe_timeout())
        {
            breaker.half_open_timeout = Some(probe);
        }
        Some(breaker)
    }

    /// How long a probe may take: as long as an attempt, and no longer than a breaker can wait, which is a day.
    const fn longest_probe(&self) -> Option<Duration> {
        const DAY: Duration = Duration::from_secs(86_400);
        match self.attempt_timeout {
            Some(attempt) if attempt.as_nanos() > DAY.as_nanos() => Some(DAY),
            attempt => attempt,
        }
    }

    /// How long a call takes when every attempt runs into its limit and every pause is the longest; `None` without a
    /// limit on attempts. Waiting for the rate limit and the bulkhead is not in it, nor is a hedge's delay that is measured.
    #[must_use]
    pub const fn longest_call(&self) -> Option<Duration> {
        let Some(attempt) = self.longest_attempt() else {
            return None;
        };
        let Some(retry) = &self.retry else { return Some(attempt) };
        let attempts = retry.max_retries.saturating_add(1);
        Some(
            attempt
                .saturating_mul(attempts)
                .saturating_add(retry.strategy.total_backoff(retry.max_retries)),
        )
    }

    /// How long an attempt takes when it runs into its limit, and the hedges beside it, each later by the delay, too.
    pub(super) const fn longest_attempt(&self) -> Option<Duration> {
        let Some(attempt) = self.attempt_timeout else {
            return None;
        };
        match self.hedge {
            Some(HedgeConfig {
                delay: HedgeDelay::Fixed(delay),
                max_extra,
                ..
            }) => Some(attempt.saturating_add(delay.saturating_mul(max_extra))),
            _ => Some(attempt),
        }
    }
}

const fn longer(one: Duration, other: Duration) -> bool {
    one.as_nanos() > other.as_nanos()
}
