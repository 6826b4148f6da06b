//! The error of a call through a policy: which policy and layer ended the call, why, when to try again, and the caller's own
//! error.

use crate::error::{BoxedError, Layer};
use crate::patterns::circuit_breaker::Opening;
use crate::patterns::retry::GiveUp;
use crate::time::Rounded;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a call through a policy gave no value.
///
/// `E` is the caller's own error. Where an attempt failed before a layer ended the call, that error is kept.
///
/// The text names the policy and the layer, and says why:
///
/// ```
/// use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, FailuresWithin};
/// use c13_reliability::policy::{Policy, PolicyConfig};
/// use c13_reliability::time::{Clock, Env, Executor};
/// use std::time::Duration;
///
/// let executor = Executor::new();
/// let clock = executor.clock();
/// let rule = FailuresWithin::new(3, Duration::from_secs(30));
/// let config = PolicyConfig::NONE
///     .circuit_breaker(CircuitBreakerConfig::new().failures_within(rule).open_for(Duration::from_secs(1)))
///     .attempt_timeout(Duration::from_millis(400));
/// let payments = Policy::with_config(config, Env::new(clock.clone()).name("payments"))?;
/// # executor.block_on(async {
/// let hang = || async {
///     clock.sleep(Duration::from_secs(9)).await;
///     Ok::<_, std::io::Error>(())
/// };
/// let late = payments.call(hang).await.unwrap_err();
/// assert_eq!(late.to_string(), "payments: attempt timeout of 400 ms passed, after 1 attempt");
/// for _ in 0..2 {
///     payments.call(hang).await.unwrap_err();
/// }
/// clock.sleep(Duration::from_millis(250)).await;
/// let refused = payments.call(hang).await.unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "payments: circuit open (3 failures in 30 s, the last: timed out after 400 ms), retry in 750 ms"
/// );
/// # });
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
///
/// # With `?`
///
/// It is an [`Error`] where `E` is one, so `?` turns it into `anyhow::Error`, `eyre::Report` or `Box<dyn Error>`. Where the
/// calls themselves fail with one of those, which are no [`Error`], [`boxed`](Self::boxed) makes it an error first:
///
/// ```
/// use c13_reliability::policy::{Policy, PolicyConfig, PolicyError};
/// # use c13_reliability::time::Executor;
/// use std::error::Error;
///
/// async fn balance(policy: &Policy) -> Result<u64, Box<dyn Error + Send + Sync>> {
///     // An error of its own type.
///     let text = policy.call(async || std::fs::read_to_string("balance")).await?;
///     // An error that is boxed already, or one of `anyhow` or `eyre`.
///     let parse = async || -> Result<u64, Box<dyn Error + Send + Sync>> { Ok(text.trim().parse()?) };
///     Ok(policy.call(parse).await.map_err(PolicyError::boxed)?)
/// }
///
/// let policy = Policy::new(PolicyConfig::NONE)?;
/// assert!(Executor::new().block_on(balance(&policy)).is_err());
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError<E> {
    /// A layer refused the call, or its next attempt.
    Rejected {
        /// The policy's name, if it has one.
        policy: Option<Arc<str>>,
        /// The layer: rate limit, bulkhead or circuit breaker.
        layer: Layer,
        /// How long to wait before another call can succeed, where the layer knows.
        retry_after: Option<Duration>,
        /// Why the circuit is open, where it is the circuit that refused.
        opening: Option<Arc<Opening>>,
        /// Attempts that ran before.
        attempts: u32,
        /// What the last of them failed with, unless it ran into its time limit.
        last_error: Option<E>,
    },
    /// A time limit came first.
    TimedOut {
        /// The policy's name, if it has one.
        policy: Option<Arc<str>>,
        /// The limit: of the whole call or of one attempt.
        layer: Layer,
        /// How long the limit is.
        limit: Duration,
        /// Attempts that ran, this one included.
        attempts: u32,
        /// What the attempt before failed with, if there was one.
        last_error: Option<E>,
    },
    /// The call itself failed.
    Failed {
        /// The policy's name, if it has one.
        policy: Option<Arc<str>>,
        /// The caller's own error.
        error: E,
        /// Attempts that ran.
        attempts: u32,
        /// Why there was no further attempt; `None` if the policy has no retry.
        gave_up: Option<GiveUp>,
    },
}

impl<E> PolicyError<E> {
    /// The name of the policy, if it has one.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::Rejected { policy, .. } | Self::TimedOut { policy, .. } | Self::Failed { policy, .. } => {
                policy.as_deref()
            }
        }
    }

    /// The layer that ended the call, `None` if the call itself failed and was not worth or not allowed another try.
    ///
    /// A retry budget that is used up belongs to the retry layer, a deadline that leaves no room for another attempt to the
    /// total timeout.
    #[must_use]
    pub fn layer(&self) -> Option<Layer> {
        match self {
            Self::Rejected { layer, .. } | Self::TimedOut { layer, .. } => Some(*layer),
            Self::Failed {
                gave_up: Some(GiveUp::Budget),
                ..
            } => Some(Layer::Retry),
            Self::Failed {
                gave_up: Some(GiveUp::Deadline),
                ..
            } => Some(Layer::TotalTimeout),
            Self::Failed { .. } => None,
        }
    }

    /// How long to wait before another call can succeed, where a layer knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// How many attempts ran.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Rejected { attempts, .. } | Self::TimedOut { attempts, .. } | Self::Failed { attempts, .. } => {
                *attempts
            }
        }
    }

    /// Whether a layer refused the call or its next attempt.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }

    /// Whether the circuit is open.
    #[must_use]
    pub fn is_circuit_open(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                layer: Layer::CircuitBreaker,
                ..
            }
        )
    }

    /// Whether the rate limit refused the call.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                layer: Layer::RateLimit,
                ..
            }
        )
    }

    /// Whether the bulkhead refused the call.
    #[must_use]
    pub fn is_bulkhead_full(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                layer: Layer::Bulkhead,
                ..
            }
        )
    }

    /// Whether a time limit came first.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// The caller's own error, of the last attempt that had one.
    #[must_use]
    pub fn error(&self) -> Option<&E> {
        match self {
            Self::Rejected { last_error, .. } | Self::TimedOut { last_error, .. } => last_error.as_ref(),
            Self::Failed { error, .. } => Some(error),
        }
    }

    /// The caller's own error, of the last attempt that had one.
    #[must_use]
    pub fn into_error(self) -> Option<E> {
        match self {
            Self::Rejected { last_error, .. } | Self::TimedOut { last_error, .. } => last_error,
            Self::Failed { error, .. } => Some(error),
        }
    }

    /// The same with another error in place of the caller's own.
    pub fn map_error<F>(self, map: impl FnOnce(E) -> F) -> PolicyError<F> {
        match self {
            Self::Rejected {
                policy,
                layer,
                retry_after,
                opening,
                attempts,
                last_error,
            } => PolicyError::Rejected {
                policy,
                layer,
                retry_after,
                opening,
                attempts,
                last_error: last_error.map(map),
            },
            Self::TimedOut {
                policy,
                layer,
                limit,
                attempts,
                last_error,
            } => PolicyError::TimedOut {
                policy,
                layer,
                limit,
                attempts,
                last_error: last_error.map(map),
            },
            Self::Failed {
                policy,
                error,
                attempts,
                gave_up,
            } => PolicyError::Failed {
                policy,
                error: map(error),
                attempts,
                gave_up,
            },
        }
    }

    /// The same with the caller's own error in a box, which makes it an [`Error`] whose sources are those of the caller's
    /// error. For errors that are not [`Error`] themselves: those of `anyhow` and `eyre`, `Box<dyn Error + Send + Sync>`,
    /// and text.
    #[must_use]
    pub fn boxed(self) -> PolicyError<BoxedError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.map_error(|error| BoxedError::from(error.into()))
    }

    /// Like [`boxed`](Self::boxed), for errors that stay on their thread: those of `Box<dyn Error>`.
    #[must_use]
    pub fn boxed_local(self) -> PolicyError<BoxedError<dyn Error>>
    where
        E: Into<Box<dyn Error>>,
    {
        self.map_error(|error| BoxedError::from(error.into()))
    }
}

impl<E: fmt::Display> fmt::Display for PolicyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(policy) = self.policy() {
            write!(f, "{policy}: ")?;
        }
        match self {
            Self::Rejected {
                layer,
                retry_after,
                opening,
                ..
            } => {
                f.write_str(layer.refusal())?;
                if let Some(opening) = opening {
                    write!(f, " ({opening})")?;
                }
                if let Some(wait) = retry_after {
                    write!(f, ", retry in {}", Rounded(*wait))?;
                }
            }
            Self::TimedOut { layer, limit, .. } => {
                let limited = if *layer == Layer::AttemptTimeout {
                    "attempt"
                } else {
                    "total"
                };
                write!(f, "{limited} timeout of {} passed", Rounded(*limit))?;
            }
            Self::Failed { gave_up, .. } => f.write_str(match gave_up {
                Some(GiveUp::MaxRetries) => "failed with no retries left",
                Some(GiveUp::NotRetryable) => "failed with an error that is not retried",
                Some(GiveUp::Budget) => "failed with the retry budget used up",
                Some(GiveUp::Deadline) => "failed with no time left for a retry",
                _ => "failed",
            })?,
        }
        match (self, self.attempts()) {
            // A layer refuses before there is an attempt, and without retry there is one.
            (Self::Rejected { .. }, 0) | (Self::Failed { gave_up: None, .. }, 1) => {}
            (_, 0) => f.write_str(", before any attempt")?,
            (_, 1) => f.write_str(", after 1 attempt")?,
            (_, attempts) => write!(f, ", after {attempts} attempts")?,
        }
        match self.error() {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl<E: Error + 'static> Error for PolicyError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The message contains the error itself already.
        self.error()?.source()
    }
}
