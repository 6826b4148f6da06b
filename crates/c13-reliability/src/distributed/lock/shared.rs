//! The state that the handles of one lock share, also with each acquisition that is under way.

use super::backend::{Backend, Claim, Mode};
use super::config::LockConfig;
use super::error::{AcquireError, BackendError};
use super::holder::Holder;
use super::state::Terms;
use super::tally::LockTally;
use super::waiting::{Reports, Waiting};
use crate::sync::Random;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Tick};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore as Turns};

pub(super) struct SharedLock {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) names: Arc<[String]>,
    pub(super) mode: Mode,
    pub(super) config: LockConfig,
    pub(super) terms: Terms,
    /// How a holder describes itself.
    pub(super) holder: Arc<str>,
    pub(super) clock: Clock,
    pub(super) random: Random,
    /// The turn to contend: one waiter of this process has it.
    pub(super) turns: Arc<Turns>,
    /// What the last request for the lock failed with; `None` once one was answered.
    pub(super) failing: Mutex<Option<BackendError>>,
    pub(super) tally: LockTally,
}

impl SharedLock {
    pub(super) fn new(backend: Arc<dyn Backend>, names: Arc<[String]>, mode: Mode, config: LockConfig) -> Self {
        Self {
            terms: Terms::of(&config, backend.look_interval()),
            backend,
            names,
            mode,
            config,
            holder: Holder::this_process(),
            clock: Clock::since_boot(),
            random: Random::from_entropy(),
            turns: Arc::new(Turns::new(1)),
            failing: Mutex::new(None),
            tally: LockTally::new(),
        }
    }

    pub(super) fn claim(&self) -> Claim {
        let mut claim = Claim::new(self.names.clone(), self.mode, &self.config);
        claim.holder = self.holder.clone();
        claim
    }

    /// The same lock on this clock, not yet asked for.
    pub(super) fn anew(&self, clock: Clock) -> Self {
        Self {
            holder: self.holder.clone(),
            clock,
            random: Random::new(self.random.next_u64()),
            ..Self::new(self.backend.clone(), self.names.clone(), self.mode, self.config)
        }
    }

    /// Waits until no other waiter of this process contends.
    pub(super) async fn turn(
        &self,
        deadline: Tick,
        reports: &mut Reports,
    ) -> Result<Option<OwnedSemaphorePermit>, AcquireError> {
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            return Ok(Some(turn));
        }
        let now = self.clock.now();
        if reports.is_due(&Waiting::ForTurn, now) {
            reports.report(Waiting::ForTurn, now);
        }
        match self
            .clock
            .timeout_at(deadline, self.turns.clone().acquire_owned())
            .await
        {
            Ok(turn) => Ok(turn.ok()),
            // The waiter that contends knows whether a holder or the backend is the reason.
            Err(_) => Err(match self.failing.lock().clone() {
                Some(cause) => cause.into(),
                None => AcquireError::NotAcquired { retry_after: None },
            }),
        }
    }
}

#[cfg_attr(
    not(feature = "tracing"),
    expect(clippy::unused_self, reason = "there are no events")
)]
impl SharedLock {
    /// Reports that an acquisition waits for a backend that does not answer.
    #[cold]
    pub(super) fn report_backend(&self, _cause: &BackendError) {
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "c13::lock", names = ?self.names, cause = %_cause, "the backend of a lock cannot be asked; it is waited for");
    }

    /// Reports that an acquisition is not notified of releases, and polls instead.
    #[cold]
    pub(super) fn report_deafness(&self, _cause: &BackendError) {
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "c13::lock", names = ?self.names, cause = %_cause, "releases of a lock are not heard of; it is looked at now and then");
    }
}
