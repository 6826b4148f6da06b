//! The settings of a rate limit that many processes share.

use crate::distributed::LONGEST_NAME;
use crate::error::{ConfigError, ConfigValue};
use crate::setters::setters;
use std::num::NonZeroU32;
use std::time::Duration;

/// The bits that a batch of leased tokens has for their number, and so the largest burst.
pub(super) const TOKEN_BITS: u32 = 24;
/// The most tokens that a batch holds.
pub(super) const MOST_TOKENS: u64 = (1 << TOKEN_BITS) - 1;

/// One limit: so many calls a second against `key`, in all processes together.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What the calls have in common; at most 1,000 bytes.
    pub key: String,
    /// Calls a second; above zero, at most 10⁹.
    pub rate: f64,
    /// Calls at once after a pause; at least 1, and no more than 16,777,215 for leased limits.
    pub burst: u64,
}

impl Limit {
    /// A limit of `rate` calls a second and `burst` at once.
    #[must_use]
    pub fn new(key: impl Into<String>, rate: f64, burst: u64) -> Self {
        Self {
            key: key.into(),
            rate,
            burst,
        }
    }
}

/// How each call is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sharing {
    /// The backend is asked for each call: exact, a round trip a call.
    Exact,
    /// The backend is asked in advance for the tokens of one `horizon`; a call is then one subtraction in memory. Unused tokens
    /// lapse after twice the horizon, so no window sees more than the limit and `rate × 2 × horizon`.
    Leased {
        /// How long a batch should last at the full rate. 1 ms to 10 s.
        horizon: Duration,
    },
}

/// What happens while the backend does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// Calls are refused.
    Deny,
    /// Calls are allowed, without a limit.
    Allow,
    /// Each process allows its share: the limit divided by the processes that were active last.
    LocalShare,
}

impl OnFailure {
    /// The name in events: `deny`, `allow` or `local_share`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
            Self::LocalShare => "local_share",
        }
    }
}

/// The settings of a shared rate limit, checked when a limiter is made of them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SharedLimitConfig {
    /// How each call is decided; leased with a horizon of 50 ms by default.
    pub sharing: Sharing,
    /// What happens while the backend does not answer; the local share by default.
    pub on_failure: OnFailure,
    /// How long one request may take; 50 ms by default. At least 1 ms.
    pub request_timeout: Duration,
    /// How long a backend that failed is left alone; 200 ms by default, up to half more at random.
    pub retry_backend: Duration,
    /// How many processes share the limit, until the backend has reported the number; 4 by default.
    pub processes: NonZeroU32,
}

impl SharedLimitConfig {
    /// Leased, with the local share on failure.
    pub const DEFAULT: Self = Self {
        sharing: Sharing::Leased {
            horizon: Duration::from_millis(50),
        },
        on_failure: OnFailure::LocalShare,
        request_timeout: Duration::from_millis(50),
        retry_backend: Duration::from_millis(200),
        processes: NonZeroU32::new(4).expect("4 is not zero"),
    };

    setters! {
        /// Sets how each call is decided.
        sharing: Sharing,
        /// Sets what happens while the backend does not answer.
        on_failure: OnFailure,
        /// Sets how long one request may take.
        request_timeout: Duration,
        /// Sets how many processes share the limit, until the backend has reported the number.
        processes: NonZeroU32,
    }

    /// Checks the settings together with the limits they are for.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense.
    pub fn validate(&self, limits: &[Limit]) -> Result<(), ConfigError> {
        let refuse = |setting, value, rule| Err(ConfigError::new("shared rate limit", setting, value, rule));
        if limits.is_empty() {
            return refuse("limits", ConfigValue::Count(0), "must be at least one");
        }
        for (n, limit) in limits.iter().enumerate() {
            if limits[..n].iter().any(|other| other.key == limit.key) {
                return refuse(
                    "key",
                    ConfigValue::Text("given twice"),
                    "must be another one for each limit",
                );
            }
            if limit.key.is_empty() {
                return refuse("key", ConfigValue::Text("empty"), "must not be empty");
            }
            if limit.key.len() > LONGEST_NAME {
                let length = ConfigValue::Count(limit.key.len() as u64);
                return refuse("key", length, "must be at most 1,000 bytes long");
            }
            if !(limit.rate > 0.0 && limit.rate <= 1e9) {
                return refuse(
                    "rate",
                    ConfigValue::Number(limit.rate),
                    "must be above 0 and at most 10⁹ a second",
                );
            }
            if limit.burst == 0 || limit.burst > MOST_TOKENS {
                return refuse(
                    "burst",
                    ConfigValue::Count(limit.burst),
                    "must be between 1 and 16,777,215",
                );
            }
        }
        if let Sharing::Leased { horizon } = self.sharing
            && !(Duration::from_millis(1)..=Duration::from_secs(10)).contains(&horizon)
        {
            return refuse(
                "horizon",
                ConfigValue::Duration(horizon),
                "must be between 1 ms and 10 s",
            );
        }
        if self.request_timeout < Duration::from_millis(1) {
            return refuse(
                "request_timeout",
                ConfigValue::Duration(self.request_timeout),
                "must be at least 1 ms",
            );
        }
        Ok(())
    }
}

impl Default for SharedLimitConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}
