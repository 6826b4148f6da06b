//! Errors that all parts share: a refused setting, a refused call, a name that is taken.
//!
//! One rule holds for all errors of the library: an error displays its cause, and its `source` is the cause of that
//! cause, so that a chain of causes repeats nothing, whether it is printed by `{error}` or walked. The cause itself,
//! such as the caller's own error, keeps its type: in the variant, and through methods such as `PolicyError::error`.

use crate::time::Rounded;
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
    /// The settings that have to do with it, and what to see at each: the other half of a contradiction, say.
    pub notes: &'static [Note],
    /// What to do about it.
    pub fix: Fix,
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
            notes: &[],
            fix: Fix::None,
        }
    }

    /// Names the settings that have to do with it.
    #[must_use]
    pub const fn notes(mut self, notes: &'static [Note]) -> Self {
        self.notes = notes;
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub const fn fix(mut self, fix: Fix) -> Self {
        self.fix = fix;
        self
    }

    /// The setting that contradicts the refused one, if there is one.
    #[must_use]
    pub fn other(&self) -> Option<&'static str> {
        self.notes
            .iter()
            .map(|note| note.setting)
            .find(|name| *name != self.setting)
    }
}

/// A setting that has to do with an error, and what to see there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The setting's name, of the same part.
    pub setting: &'static str,
    /// What to see there; `{}` stands for the refused value.
    pub says: &'static str,
    /// Whether the key is to be shown, and not its value.
    pub at_key: bool,
}

impl Note {
    /// What to see at a setting.
    #[must_use]
    pub const fn new(setting: &'static str, says: &'static str) -> Self {
        let at_key = false;
        Self { setting, says, at_key }
    }

    /// What to see at a setting's key.
    #[must_use]
    pub const fn at_key(setting: &'static str, says: &'static str) -> Self {
        let at_key = true;
        Self { setting, says, at_key }
    }
}

/// What to do about a refused setting.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Fix {
    /// The rule says it.
    #[default]
    None,
    /// These words.
    Do(&'static str),
    /// Set it, for example to this value, in TOML.
    Set(&'static str),
    /// Lower it to this limit, which the other setting gives, or raise that one to the value.
    AtMost(Duration),
    /// Lower it below this limit, which the other setting gives, or raise that one above the value.
    Below(Duration),
    /// Raise it to this limit, or leave it out: the limit is its default here.
    AtLeast(Duration),
    /// Set one of the settings that the notes name: these are examples.
    OneOf(&'static str),
    /// Keep one of the two settings.
    KeepOne,
    /// Allow fewer retries, or more time for all of them.
    FewerRetries,
}

/// The settings that rules have refused, in the order of the rules. `const fn` can fill it, so that a rule is written once
/// for [`validate`](crate::policy::PolicyConfig::validate), which stops at the first, and for files, where all are told.
#[derive(Debug)]
pub(crate) struct Findings {
    part: &'static str,
    list: [Option<ConfigError>; Self::MOST],
    len: usize,
}

impl Findings {
    /// No part has more rules that can be broken at once.
    const MOST: usize = 40;

    /// Nothing yet; `part` is the one whose settings are checked, such as `circuit breaker`.
    pub(crate) const fn of(part: &'static str) -> Self {
        Self {
            part,
            list: [None; Self::MOST],
            len: 0,
        }
    }

    /// Refuses a setting.
    pub(crate) const fn refuse(&mut self, error: ConfigError) {
        if self.len < Self::MOST {
            self.list[self.len] = Some(error);
            self.len += 1;
        }
    }

    /// Refuses a value unless the rule holds.
    pub(crate) const fn must(&mut self, holds: bool, setting: &'static str, value: ConfigValue, rule: &'static str) {
        if !holds {
            self.refuse(self.error(setting, value, rule));
        }
    }

    /// The same of a number of things.
    pub(crate) const fn count(&mut self, holds: bool, setting: &'static str, value: u64, rule: &'static str) {
        self.must(holds, setting, ConfigValue::Count(value), rule);
    }

    /// The same of a ratio, a rate or a factor.
    pub(crate) const fn number(&mut self, holds: bool, setting: &'static str, value: f64, rule: &'static str) {
        self.must(holds, setting, ConfigValue::Number(value), rule);
    }

    /// The same of a length of time.
    pub(crate) const fn time(&mut self, holds: bool, setting: &'static str, value: Duration, rule: &'static str) {
        self.must(holds, setting, ConfigValue::Duration(value), rule);
    }

    /// Refuses a queue in which no call may wait, and a wait where there is no queue.
    pub(crate) const fn queue(&mut self, max_queue: u32, max_wait: Duration) {
        const QUEUE: &[Note] = &[Note::new("max_queue", "calls may queue")];
        const WAIT: &[Note] = &[Note::new("max_wait", "a call may wait this long")];
        const FIX: Fix = Fix::Do("set both `max_queue` and `max_wait`, or neither of the two");
        if max_queue > 0 && max_wait.is_zero() {
            let rule = "must be above zero where there is a queue";
            let error = self.error("max_wait", ConfigValue::Duration(max_wait), rule);
            self.refuse(error.notes(QUEUE).fix(FIX));
        }
        if max_queue == 0 && !max_wait.is_zero() {
            let rule = "must be at least 1 where `max_wait` is set";
            let error = self.error("max_queue", ConfigValue::Count(0), rule);
            self.refuse(error.notes(WAIT).fix(FIX));
        }
    }

    /// An error of the part that is checked.
    pub(crate) const fn error(&self, setting: &'static str, value: ConfigValue, rule: &'static str) -> ConfigError {
        ConfigError::new(self.part, setting, value, rule)
    }

    /// The first that was refused, as an error.
    pub(crate) const fn first(self) -> Result<(), ConfigError> {
        match self.list[0] {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// All that were refused.
    #[cfg(feature = "toml")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.list.iter().flatten()
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
    /// A word.
    Text(&'static str),
    /// Nothing, where a value is needed.
    NotSet,
}

impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Duration(duration) => write!(f, "{duration:?}"),
            Self::Text(text) => f.write_str(text),
            Self::NotSet => f.write_str("not set"),
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

    /// What a refusal by this layer says to people, such as `circuit open`.
    #[must_use]
    pub const fn refusal(self) -> &'static str {
        match self {
            Self::TotalTimeout => "deadline passed",
            Self::Cache => "no value in the cache",
            Self::RateLimit => "rate limit reached",
            Self::Bulkhead => "bulkhead full",
            Self::Retry => "retry budget used up",
            Self::CircuitBreaker => "circuit open",
            Self::AttemptTimeout => "attempt timeout passed",
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
        f.write_str(self.layer.refusal())?;
        match self.retry_after {
            Some(wait) => write!(f, ", retry in {}", Rounded(wait)),
            None => Ok(()),
        }
    }
}

impl Error for Rejected {}

/// A caller's error in a box: what [`PolicyError::boxed`](crate::policy::PolicyError::boxed) makes of an error that is not
/// [`Error`] itself, such as that of `anyhow` or `Box<dyn Error>`.
pub struct BoxedError<D: ?Sized = dyn Error + Send + Sync>(Box<D>);

impl<D: ?Sized> BoxedError<D> {
    /// The error, to look at or to downcast.
    #[must_use]
    pub fn get(&self) -> &D {
        &self.0
    }

    /// The error in its box.
    #[must_use]
    pub fn into_inner(self) -> Box<D> {
        self.0
    }
}

impl<D: ?Sized> From<Box<D>> for BoxedError<D> {
    fn from(error: Box<D>) -> Self {
        Self(error)
    }
}

impl<D: fmt::Debug + ?Sized> fmt::Debug for BoxedError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<D: fmt::Display + ?Sized> fmt::Display for BoxedError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<D: Error + ?Sized> Error for BoxedError<D> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

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
        assert_eq!(rejected.to_string(), "circuit open, retry in 1.5 s");
        assert_eq!(Rejected::new(Layer::Bulkhead, None).to_string(), "bulkhead full");
    }
}
