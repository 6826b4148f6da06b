//! Errors that all parts share: a refused setting, a refused call, a name that is taken.
//!
//! One rule holds for all errors of the library: an error displays its cause, and its `source` is the cause of that
//! cause, so that a chain of causes repeats nothing, whether it is printed by `{error}` or walked. The cause itself,
//! such as the caller's own error, keeps its type: in the variant, and through methods such as `PolicyError::error`.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A setting that makes no sense: its part, its name, its value and the rule that it breaks.
///
/// It is a plain `Copy` value that a `const fn` can make, so the same check serves settings that are read at run time
/// and constants that are checked at compile time.
///
/// ```
/// use c13_reliability::error::{ConfigError, ConfigValue};
///
/// let error = ConfigError::new("circuit breaker", "success_threshold", ConfigValue::Count(0), "must be at least 1");
/// assert_eq!(error.to_string(), "circuit breaker: `success_threshold` is 0, but it must be at least 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The part whose setting it is, such as `circuit breaker`.
    pub part: &'static str,
    /// The setting's name, as it stands in code and in files.
    pub setting: &'static str,
    /// The value that was refused.
    pub value: ConfigValue,
    /// The rule it breaks, as the end of the sentence "it …".
    pub rule: &'static str,
}

impl ConfigError {
    /// Makes an error out of its four parts; `rule` ends the sentence "it …".
    #[must_use]
    pub const fn new(part: &'static str, setting: &'static str, value: ConfigValue, rule: &'static str) -> Self {
        Self {
            part,
            setting,
            value,
            rule,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: `{}` is {}, but it {}",
            self.part, self.setting, self.value, self.rule
        )
    }
}

impl Error for ConfigError {}

/// A refused setting's value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConfigValue {
    /// A number of things.
    Count(u64),
    /// A ratio, a rate or a factor.
    Number(f64),
    /// A length of time.
    Duration(Duration),
    /// A word, or "not set".
    Text(&'static str),
}

impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Duration(duration) => write!(f, "{duration:?}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The layer of a policy that refused a call or cut it short, from the outside in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Layer {
    /// The time limit of the whole call, retries included.
    TotalTimeout,
    /// The cache: another caller's load of the same key panicked, or it is cached that the key has no value.
    Cache,
    /// The rate limiter.
    RateLimit,
    /// The bulkhead, or the adaptive limit in its place.
    Bulkhead,
    /// Retry, with its budget.
    Retry,
    /// The circuit breaker.
    CircuitBreaker,
    /// The time limit of one attempt.
    AttemptTimeout,
}

impl Layer {
    /// The name in files, labels and reports, such as `circuit_breaker`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TotalTimeout => "total_timeout",
            Self::Cache => "cache",
            Self::RateLimit => "rate_limit",
            Self::Bulkhead => "bulkhead",
            Self::Retry => "retry",
            Self::CircuitBreaker => "circuit_breaker",
            Self::AttemptTimeout => "attempt_timeout",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call that a layer refused before it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// The layer that refused.
    pub layer: Layer,
    /// How long to wait before another try can succeed, where the layer knows.
    pub retry_after: Option<Duration>,
}

impl Rejected {
    /// A refusal by `layer`; `retry_after` is how long to wait before another try can succeed, if that is known.
    #[must_use]
    pub const fn new(layer: Layer, retry_after: Option<Duration>) -> Self {
        Self { layer, retry_after }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused by the {} layer", self.layer)?;
        match self.retry_after {
            Some(wait) => write!(f, ", retry after {wait:?}"),
            None => Ok(()),
        }
    }
}

impl Error for Rejected {}

/// A name that another part has already.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameTaken {
    /// The name.
    pub name: String,
}

impl NameTaken {
    /// Says that `name` is taken.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name `{}` is taken", self.name)
    }
}

impl Error for NameTaken {}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKED_WHILE_COMPILING: ConfigError =
        ConfigError::new("retry", "multiplier", ConfigValue::Number(0.5), "must be at least 1");

    #[test]
    fn a_refused_setting_says_what_where_and_which_rule() {
        assert_eq!(
            CHECKED_WHILE_COMPILING.to_string(),
            "retry: `multiplier` is 0.5, but it must be at least 1"
        );
    }

    #[test]
    fn a_refused_call_says_who_refused_and_when_to_try_again() {
        let rejected = Rejected::new(Layer::CircuitBreaker, Some(Duration::from_millis(1500)));
        assert_eq!(
            rejected.to_string(),
            "refused by the circuit_breaker layer, retry after 1.5s"
        );
        assert_eq!(
            Rejected::new(Layer::Bulkhead, None).to_string(),
            "refused by the bulkhead layer"
        );
    }
}
