//! Asks the backend of a shared limit, leaves it alone after a failure, and reports its outages.

use super::backend::QuotaBackend;
use super::config::{Limit, OnFailure, SharedLimitConfig};
use super::error::{DecidedBy, SharedLimitError};
use super::outage::Outage;
use super::snapshot::SharedLimitSnapshot;
use crate::distributed::lock::BackendError;
use crate::sync::Random;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Deadline, Env};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tracing")]
const TARGET: &str = "c13::shared_rate_limit";

/// What a limiter asks its backend with, and what it knows of it.
pub(super) struct Asker {
    pub(super) backend: Arc<dyn QuotaBackend>,
    pub(super) config: SharedLimitConfig,
    pub(super) clock: Clock,
    random: Random,
    /// Names this process to the backend.
    process: String,
    /// The limits' keys, for events.
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "only events name them"))]
    keys: Vec<String>,
    known: Mutex<Known>,
}

struct Known {
    outage: Outage,
    /// How many processes share the limit.
    active: u32,
}

/// Why the backend granted nothing.
pub(super) enum Unasked {
    /// The limit is used up.
    Exceeded {
        /// How long until as much is available.
        retry_after: Duration,
    },
    /// More was asked for than the limit ever has at once.
    NeverPossible,
    /// It could not be asked, or is left alone for so long.
    Failed {
        retry_after: Duration,
        cause: Arc<BackendError>,
    },
}

impl Asker {
    pub(super) fn new(backend: Arc<dyn QuotaBackend>, config: SharedLimitConfig, keys: Vec<String>, env: Env) -> Self {
        let Env { clock, random, .. } = env;
        Self {
            backend,
            process: format!("{:016x}", random.next_u64()),
            known: Mutex::new(Known {
                outage: Outage::NONE,
                active: config.processes.get(),
            }),
            config,
            clock,
            random,
            keys,
        }
    }

    /// How many processes share the limit, as last reported by the backend.
    pub(super) fn active(&self) -> u32 {
        self.known.lock().active
    }

    /// Asks for up to `want` tokens of every one of `limits`, but not fewer than `least`.
    pub(super) async fn ask(&self, limits: &[Limit], want: u64, least: u64) -> Result<u64, Unasked> {
        if let Some((retry_after, cause)) = self.known.lock().outage.standing(self.clock.now()) {
            return Err(Unasked::Failed { retry_after, cause });
        }
        let own = self.config.request_timeout;
        let left = Deadline::current(&self.clock).map(|deadline| deadline.remaining(&self.clock));
        let limit = left.map_or(own, |left| left.min(own));
        let taken = self.backend.take(limits, want, least, &self.process);
        let taken = match self.clock.timeout(limit, taken).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(error)) => return Err(self.note_failure(error)),
            Err(_) if limit < own => {
                return Err(Unasked::Failed {
                    retry_after: Duration::ZERO,
                    cause: Arc::new(BackendError::unanswered(limit)),
                });
            }
            Err(_) => return Err(self.note_failure(BackendError::unanswered(limit))),
        };
        self.note_answer(taken.active.max(1));
        match taken.retry_after {
            _ if taken.granted > 0 => Ok(taken.granted),
            Some(retry_after) => Err(Unasked::Exceeded { retry_after }),
            None => Err(Unasked::NeverPossible),
        }
    }

    /// Leaves a backend that failed alone for a while.
    #[cold]
    fn note_failure(&self, error: BackendError) -> Unasked {
        let pause = self.config.retry_backend;
        let pause = pause + Duration::from_nanos(self.random.below(pause.as_nanos() as u64 / 2 + 1));
        let (now, cause) = (self.clock.now(), Arc::new(error));
        let is_news = self.known.lock().outage.failed(cause.clone(), now, now + pause);
        #[cfg(feature = "tracing")]
        if is_news {
            let (keys, instead) = (&self.keys, self.config.on_failure.name());
            tracing::warn!(target: TARGET, ?keys, %cause, instead, "the backend of a shared rate limit cannot be asked");
        }
        #[cfg(not(feature = "tracing"))]
        let _ = is_news;
        Unasked::Failed {
            retry_after: pause,
            cause,
        }
    }

    fn note_answer(&self, active: u32) {
        let mut known = self.known.lock();
        known.active = active;
        let _was_out = known.outage.answered();
        drop(known);
        #[cfg(feature = "tracing")]
        if _was_out {
            let keys = &self.keys;
            tracing::info!(target: TARGET, ?keys, "the backend of a shared rate limit answers again");
        }
    }

    /// Decides about a call for which the backend granted nothing. `by` is how the backend's answers decide; `share`
    /// asks for this process's share.
    pub(super) fn decide_without(
        &self,
        error: Unasked,
        by: DecidedBy,
        share: impl FnOnce() -> Result<DecidedBy, SharedLimitError>,
    ) -> Result<DecidedBy, SharedLimitError> {
        let (retry_after, cause) = match error {
            Unasked::Exceeded { retry_after } => return Err(SharedLimitError::Exceeded { retry_after, by }),
            Unasked::NeverPossible => return Err(SharedLimitError::NeverPossible),
            Unasked::Failed { retry_after, cause } => (retry_after, cause),
        };
        match self.config.on_failure {
            OnFailure::Deny => Err(SharedLimitError::Unavailable { retry_after, cause }),
            OnFailure::Allow => Ok(DecidedBy::Nobody),
            OnFailure::LocalShare => share(),
        }
    }

    /// What was counted, with what is known of the backend.
    pub(super) fn snapshot(&self, counted: SharedLimitSnapshot) -> SharedLimitSnapshot {
        let known = self.known.lock();
        SharedLimitSnapshot {
            active_processes: known.active,
            backend_failures: known.outage.failures(),
            backend_failing: known.outage.is_standing(),
            last_failure: known.outage.last(),
            ..counted
        }
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}
