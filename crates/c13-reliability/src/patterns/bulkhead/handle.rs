//! The handle of a bulkhead: acquire, call, resize.

use super::call::BulkheadCall;
use super::permit::BulkheadTicket;
use super::{Admission, BulkheadConfig, BulkheadRejected, BulkheadSnapshot, OwnedPermit, Permit};
use crate::error::ConfigError;
use crate::gate::semaphore::{Semaphore, SemaphorePermit};
use crate::gate::{Admittance, Gate, MayWait, OwnedGate, Refusal, Suspend};
use crate::snapshot::{Observed, Source};
use crate::sync::Stripes;
use crate::time::{Clock, Deadline, Env};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Limits how many calls run concurrently, and how many wait in a queue. Clones are one bulkhead.
///
/// See the [module](super) for what happens to a call. Memory: 0.8 KB, 128 bytes for each further thread that uses it, and
/// 8 KB more from when a call first waited in the queue.
#[derive(Clone)]
pub struct Bulkhead {
    semaphore: Arc<Semaphore>,
}

impl Bulkhead {
    /// A bulkhead for `max_concurrent` concurrent calls, without a queue.
    ///
    /// # Panics
    ///
    /// If `max_concurrent` is 0 or above [`BulkheadConfig::MAX_CONCURRENT`]. For numbers that are not known when writing,
    /// use [`try_new`](Bulkhead::try_new).
    #[must_use]
    pub fn new(max_concurrent: u32) -> Self {
        Self::try_new(max_concurrent).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same as [`new`](Bulkhead::new), for a number that is only known at run time.
    ///
    /// # Errors
    ///
    /// If `max_concurrent` is 0 or above [`BulkheadConfig::MAX_CONCURRENT`].
    pub fn try_new(max_concurrent: u32) -> Result<Self, ConfigError> {
        Self::with_config(BulkheadConfig::new(max_concurrent), Clock::system())
    }

    /// A bulkhead with these settings, by the clock of `env`.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub fn with_config(config: BulkheadConfig, env: impl Into<Env>) -> Result<Self, ConfigError> {
        Self::on(&Stripes::new(Self::WORDS), config, env.into().clock)
    }

    /// How many words of a stripe the bulkhead uses.
    pub(crate) const WORDS: usize = Semaphore::WORDS;

    /// As [`with_config`](Self::with_config), on stripes that others use too.
    pub(crate) fn on(stripes: &Stripes, config: BulkheadConfig, clock: Clock) -> Result<Self, ConfigError> {
        config.validate()?;
        let semaphore = Semaphore::on(stripes, config.max_concurrent, config.max_queue, config.max_wait, clock);
        Ok(Self {
            semaphore: Arc::new(semaphore.lendable()),
        })
    }

    /// Runs `future` when it has a permit; it waits for one if there is a queue.
    ///
    /// # Errors
    ///
    /// [`Full`](super::BulkheadError::Full) if neither a permit nor room in the queue is available,
    /// [`WaitElapsed`](super::BulkheadError::WaitElapsed) if the wait in the queue took too long; the future is then never
    /// polled. [`CallFailed`](super::BulkheadError::CallFailed) with the future's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside, and releases the permit or leaves the queue.
    pub fn call<F, T, E>(&self, future: F) -> BulkheadCall<'_, F>
    where
        F: Future<Output = Result<T, E>>,
    {
        BulkheadCall::new(&self.semaphore, future)
    }

    /// Lets `max_concurrent` calls run concurrently from now on. A higher number takes effect at once, for waiters
    /// too; a lower one as running calls end.
    ///
    /// # Errors
    ///
    /// If `max_concurrent` is 0 or above [`BulkheadConfig::MAX_CONCURRENT`]; nothing has changed then.
    pub fn resize(&self, max_concurrent: u32) -> Result<(), ConfigError> {
        let mut config = self.config();
        config.max_concurrent = max_concurrent;
        self.reconfigure(config)
    }

    /// Changes all settings to those of `config`. Waiters stay in the queue, with the wait that they began with, however short
    /// the new queue is.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule; nothing has changed then.
    pub fn reconfigure(&self, config: BulkheadConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.semaphore.set_queue(config.max_queue, config.max_wait);
        self.semaphore.resize(config.max_concurrent);
        Ok(())
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> BulkheadConfig {
        BulkheadConfig {
            max_concurrent: self.semaphore.limit(),
            max_queue: self.semaphore.max_queue(),
            max_wait: self.semaphore.max_wait().unwrap_or(Duration::MAX),
        }
    }

    /// How many calls run. Complexity: O(threads that ever used it, at most 65). While permits are
    /// [lent](super#many-threads), the number is off by those that change hands meanwhile.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.semaphore.in_flight()
    }

    /// How many more calls could run now; none while the queue has waiters. Complexity and exactness are those of
    /// [`in_flight`](Bulkhead::in_flight).
    #[must_use]
    pub fn available(&self) -> u32 {
        self.semaphore.available()
    }

    /// Counts a refusal, after [`try_admit_uncounted`](Gate::try_admit_uncounted).
    pub(crate) fn refuse(&self) -> BulkheadRejected {
        self.semaphore.refuse().into()
    }

    /// How many handles to it there are.
    pub(crate) fn handles(&self) -> usize {
        Arc::strong_count(&self.semaphore)
    }

    /// Its state now, and what it has counted.
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        BulkheadSnapshot {
            max_concurrent: self.semaphore.limit(),
            calls: self.semaphore.calls(),
        }
    }
}

impl Gate for Bulkhead {
    type Permit<'a> = Permit<'a>;
    type Rejection = BulkheadRejected;

    #[inline]
    fn try_admit(&self) -> Result<Permit<'_>, BulkheadRejected> {
        Ok(Permit::new(self.semaphore.try_acquire()?))
    }

    #[inline]
    fn try_admit_uncounted(&self) -> Option<Permit<'_>> {
        Semaphore::try_acquire_uncounted(&*self.semaphore).map(Permit::new)
    }

    async fn admit(&self) -> Result<Permit<'_>, BulkheadRejected> {
        Ok(Permit::new(Semaphore::acquire(&*self.semaphore).await?))
    }
}

impl Suspend for Bulkhead {
    type Ticket = BulkheadTicket;

    #[inline]
    fn suspend(permit: Permit<'_>) -> BulkheadTicket {
        permit.suspend()
    }

    #[inline]
    fn resume(&self, _ticket: BulkheadTicket) -> Permit<'_> {
        Permit::new(SemaphorePermit::of_taken(&*self.semaphore))
    }
}

impl OwnedGate for Bulkhead {
    type OwnedPermit = OwnedPermit;
    type Admission = Admission;
    type Waiting = MayWait;
    type Error<E> = Refusal<BulkheadRejected, E>;

    fn admit_owned(&self) -> Admission {
        Admission::new(&self.semaphore)
    }

    fn ask(&self) -> Admittance<OwnedPermit, BulkheadRejected, Admission> {
        if Deadline::is_over(self.semaphore.clock()) {
            // Refused when it is polled, by which time it may have another deadline.
            return Admittance::Waits(self.admit_owned());
        }
        match Semaphore::try_acquire_uncounted(self.semaphore.clone()) {
            Some(permit) => Admittance::Admitted(OwnedPermit::new(permit)),
            None if self.semaphore.max_queue() == 0 => Admittance::Refused(self.refuse()),
            None => Admittance::Waits(self.admit_owned()),
        }
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("config", &self.config())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl Observed for Bulkhead {
    fn source(&self) -> Source {
        Source::of(&self.semaphore, |semaphore| Self { semaphore }.snapshot().readings())
    }
}
