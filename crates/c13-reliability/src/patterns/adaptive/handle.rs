//! The handle of an adaptive limit: acquire, call, reconfigure.

use super::permit::AdaptiveTicket;
use super::share::Shares;
use super::shared::SharedLimit;
use super::{AdaptiveConfig, AdaptiveRejected, AdaptiveSnapshot, Admission, OwnedPermit, Partition, Permit};
use crate::error::{ConfigError, ConfigValue};
use crate::gate::semaphore::Semaphore;
use crate::gate::{Admittance, Gate, MayWait, Outcome, OwnedGate, Refusal, Run, Suspend};
use crate::snapshot::{Observed, Source};
use crate::sync::Random;
use crate::time::{Clock, Deadline, Env};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

/// Limits concurrent calls to what the dependency can handle. Clones are one limit.
///
/// See the [module](super) for how it learns. A call costs two clock readings and a lock, about 50 ns.
#[derive(Clone)]
pub struct AdaptiveLimit {
    shared: Arc<SharedLimit>,
}

impl AdaptiveLimit {
    /// A limit with the default settings, on the system clock: gradient, from 20, within 1 and 1000, without a queue.
    #[must_use]
    pub fn new() -> Self {
        Self::of_parts(AdaptiveConfig::default(), Clock::system(), Random::from_entropy(), None)
    }

    /// A limit with these settings, by the clock of `env`. What varies the age of its baseline is drawn from its random
    /// numbers.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn with_config(config: AdaptiveConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        config.validate()?;
        let Env { clock, random, .. } = env.into();
        Ok(Self::of_parts(config, clock, random, None))
    }

    /// A limit whose partitions have guaranteed shares of it, by name; see [`partition`](Self::partition).
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule. A share must be above 0, all together at most 1; names must be distinct;
    /// a queue does not go with partitions.
    pub fn partitioned(
        config: AdaptiveConfig,
        env: impl Into<Env>,
        shares: &[(&str, f64)],
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        without_queue(&config)?;
        let refused = |setting, value, rule| Err(ConfigError::new("adaptive limit", setting, value, rule));
        for (at, (name, share)) in shares.iter().enumerate() {
            if !(*share > 0.0 && *share <= 1.0) {
                return refused("share", ConfigValue::Number(*share), "must be above 0 and at most 1");
            }
            if shares[..at].iter().any(|(other, _)| other == name) {
                return refused(
                    "partition",
                    ConfigValue::Text("named twice"),
                    "must have a name of its own",
                );
            }
        }
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        if sum > 1.0 + 1e-9 {
            return refused(
                "share",
                ConfigValue::Number(sum),
                "must be at most 1 for all partitions together",
            );
        }
        let shares = Shares::new(shares.iter().copied());
        let Env { clock, random, .. } = env.into();
        Ok(Self::of_parts(config, clock, random, Some(shares)))
    }

    /// For settings that were checked.
    fn of_parts(config: AdaptiveConfig, clock: Clock, random: Random, shares: Option<Shares>) -> Self {
        Self {
            shared: Arc::new(SharedLimit::new(config, clock, random, shares)),
        }
    }

    /// The partition called `name`: a gate of its own, with a guaranteed share. Calls that go through the limit itself
    /// have only what no partition uses.
    #[must_use]
    pub fn partition(&self, name: &str) -> Option<Partition> {
        let index = self.shared.with_shares(|shares| shares.find(name))??;
        Some(Partition::new(self.shared.clone(), index))
    }

    /// Runs `future` when it has a permit. `Ok` is a latency to learn from, and `Err` is taken for overload.
    ///
    /// # Errors
    ///
    /// [`Refusal::Rejected`] if it gets no permit; the future is then never polled. [`Refusal::Failed`] with the future's
    /// own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside, and releases the permit or leaves the queue.
    pub async fn call<F, T, E>(&self, future: F) -> Result<T, Refusal<AdaptiveRejected, E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.call_classified(future, Outcome::of).await
    }

    /// Runs `future` when it has a permit; `classify` says what its result means.
    ///
    /// A success is a latency to learn from, a failure is taken for overload, and what is ignored says nothing.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub async fn call_classified<F, C, T, E>(&self, future: F, classify: C) -> Result<T, Refusal<AdaptiveRejected, E>>
    where
        F: Future<Output = Result<T, E>>,
        C: FnOnce(&Result<T, E>) -> Outcome,
    {
        let permit = self.admit().await.map_err(Refusal::Rejected)?;
        Run::new(permit, future, classify).await.map_err(Refusal::Failed)
    }

    /// Takes over all settings of `config` and goes on with what it has learned: with its limit, within the new bounds, with its
    /// baseline and the window that is being measured, and with all counts. `initial_limit` has no effect any more. What was
    /// measured for AIMD, which knows no baseline, is of no use to the other two algorithms, nor theirs to AIMD; it is
    /// then measured anew.
    ///
    /// Calls that run keep their permits. Waiters stay in the queue, with the wait that they began with, however short the new
    /// queue is.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule, a queue beside partitions among them; nothing has changed then.
    pub fn reconfigure(&self, config: AdaptiveConfig) -> Result<(), ConfigError> {
        config.validate()?;
        if self.shared.is_partitioned() {
            without_queue(&config)?;
        }
        self.shared.reconfigure(config);
        Ok(())
    }

    /// How many calls may run concurrently now.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.shared.semaphore.limit()
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> AdaptiveConfig {
        self.shared.config()
    }

    /// Counts a refusal, after [`try_admit_uncounted`](Gate::try_admit_uncounted).
    pub(crate) fn refuse(&self) -> AdaptiveRejected {
        self.shared.semaphore.refuse().into()
    }

    /// How many handles to it there are.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.shared)
    }

    /// Its state now, and what it has counted.
    #[must_use]
    pub fn snapshot(&self) -> AdaptiveSnapshot {
        AdaptiveSnapshot {
            limit: self.shared.semaphore.limit(),
            baseline: self.shared.baseline(),
            calls: self.shared.semaphore.calls(),
            dropped: self.shared.dropped(),
        }
    }
}

/// The calls of partitions never wait.
fn without_queue(config: &AdaptiveConfig) -> Result<(), ConfigError> {
    if config.max_queue == 0 {
        return Ok(());
    }
    let value = ConfigValue::Count(config.max_queue.into());
    let rule = "must be 0 where there are partitions";
    Err(ConfigError::new("adaptive limit", "max_queue", value, rule))
}

impl Default for AdaptiveLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate for AdaptiveLimit {
    type Permit<'a> = Permit<'a>;
    type Rejection = AdaptiveRejected;

    fn try_admit(&self) -> Result<Permit<'_>, AdaptiveRejected> {
        let permit = self.shared.semaphore.try_acquire()?;
        Ok(Permit::new(&self.shared, permit, None))
    }

    fn try_admit_uncounted(&self) -> Option<Permit<'_>> {
        let permit = Semaphore::try_acquire_uncounted(&self.shared.semaphore)?;
        Some(Permit::new(&self.shared, permit, None))
    }

    async fn admit(&self) -> Result<Permit<'_>, AdaptiveRejected> {
        let permit = Semaphore::acquire(&self.shared.semaphore).await?;
        Ok(Permit::new(&self.shared, permit, None))
    }
}

impl Suspend for AdaptiveLimit {
    type Ticket = AdaptiveTicket;

    fn suspend(permit: Permit<'_>) -> AdaptiveTicket {
        permit.suspend()
    }

    fn resume(&self, ticket: AdaptiveTicket) -> Permit<'_> {
        Permit::resume(&self.shared, ticket)
    }
}

impl OwnedGate for AdaptiveLimit {
    type OwnedPermit = OwnedPermit;
    type Admission = Admission;
    type Waiting = MayWait;
    type Error<E> = Refusal<AdaptiveRejected, E>;

    fn admit_owned(&self) -> Admission {
        Admission::new(&self.shared)
    }

    fn ask(&self) -> Admittance<OwnedPermit, AdaptiveRejected, Admission> {
        if Deadline::is_over(self.shared.semaphore.clock()) {
            // Refused when it is polled, by which time it may have another deadline.
            return Admittance::Waits(self.admit_owned());
        }
        match OwnedPermit::try_acquire(&self.shared) {
            Some(permit) => Admittance::Admitted(permit),
            None if self.shared.semaphore.max_queue() == 0 => {
                Admittance::Refused(self.shared.semaphore.refuse().into())
            }
            None => Admittance::Waits(self.admit_owned()),
        }
    }
}

impl Observed for AdaptiveLimit {
    fn source(&self) -> Source {
        Source::of(&self.shared, |shared| Self { shared }.snapshot().readings())
    }
}

impl fmt::Debug for AdaptiveLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveLimit")
            .field("config", &self.config())
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}
