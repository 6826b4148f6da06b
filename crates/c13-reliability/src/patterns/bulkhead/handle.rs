//! What users hold: the bulkhead itself.

use super::call::BulkheadCall;
use super::permit::Suspended;
use super::{Admission, BulkheadConfig, BulkheadRejected, BulkheadSnapshot, OwnedPermit, Permit};
use crate::error::ConfigError;
use crate::gate::places::{Counts, Place, Places};
use crate::gate::{Admittance, Gate, MayWait, OwnedGate, Refusal, Suspend};
use crate::snapshot::{Observed, Source};
use crate::sync::Stripes;
use crate::time::{Clock, Deadline, Env};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Lets at most so many calls run at a time, and so many wait in line. Clones are one bulkhead.
///
/// See the [module](super) for what happens to a call. Memory: 0.7 KB, 128 bytes for each further thread that uses it, and
/// 8 KB more from when a call first waited in line.
#[derive(Clone)]
pub struct Bulkhead {
    places: Arc<Places>,
}

impl Bulkhead {
    /// A bulkhead for `max_concurrent` calls at a time, without a queue.
    ///
    /// # Panics
    ///
    /// If `max_concurrent` is 0 or above [`BulkheadConfig::MAX_CONCURRENT`]. For numbers that are not known when writing,
    /// use [`try_new`](Bulkhead::try_new).
    #[must_use]
    pub fn new(max_concurrent: u32) -> Self {
        match Self::try_new(max_concurrent) {
            Ok(bulkhead) => bulkhead,
            Err(error) => panic!("{error}"),
        }
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

    /// How many words of a stripe it takes.
    pub(crate) const WORDS: usize = Places::WORDS;

    /// As [`with_config`](Self::with_config), on stripes that others use too.
    pub(crate) fn on(stripes: &Stripes, config: BulkheadConfig, clock: Clock) -> Result<Self, ConfigError> {
        config.validate()?;
        let places = Places::on(stripes, config.max_concurrent, config.max_queue, config.max_wait, clock);
        Ok(Self {
            places: Arc::new(places.lendable()),
        })
    }

    /// Runs `future` when there is a place for it; it waits in line for one where there is a queue.
    ///
    /// # Errors
    ///
    /// [`Full`](super::BulkheadError::Full) if there is neither a place nor room in line,
    /// [`WaitElapsed`](super::BulkheadError::WaitElapsed) if the wait in line took too long; the future is then never
    /// polled. [`CallFailed`](super::BulkheadError::CallFailed) with the future's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside and gives back the place, in the bulkhead or in line.
    pub fn call<F, T, E>(&self, future: F) -> BulkheadCall<'_, F>
    where
        F: Future<Output = Result<T, E>>,
    {
        BulkheadCall::new(&self.places, future)
    }

    /// Lets `max_concurrent` calls run at a time from now on. Up lets those in line in at once; down takes effect as
    /// running calls end.
    ///
    /// # Errors
    ///
    /// If `max_concurrent` is 0 or above [`BulkheadConfig::MAX_CONCURRENT`]; nothing has changed then.
    pub fn resize(&self, max_concurrent: u32) -> Result<(), ConfigError> {
        let mut config = self.config();
        config.max_concurrent = max_concurrent;
        self.reconfigure(config)
    }

    /// Takes on all settings of `config`. Those in line stay there with the wait they came with, however short the new
    /// queue is.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule; nothing has changed then.
    pub fn reconfigure(&self, config: BulkheadConfig) -> Result<(), ConfigError> {
        config.validate()?;
        self.places.set_queue(config.max_queue, config.max_wait);
        self.places.resize(config.max_concurrent);
        Ok(())
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> BulkheadConfig {
        BulkheadConfig {
            max_concurrent: self.places.limit(),
            max_queue: self.places.max_queue(),
            max_wait: self.places.max_wait().unwrap_or(Duration::MAX),
        }
    }

    /// How many calls run. Complexity: O(threads that ever used it, at most 65). While places are
    /// [lent](super#many-threads) it is off by those that change hands while they are counted.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.places.in_flight()
    }

    /// How many more calls could run now; none while anybody is in line. Complexity and exactness are those of
    /// [`in_flight`](Bulkhead::in_flight).
    #[must_use]
    pub fn available(&self) -> u32 {
        self.places.available()
    }

    /// Counts a refusal, after [`try_admit_uncounted`](Gate::try_admit_uncounted).
    pub(crate) fn refuse(&self) -> BulkheadRejected {
        self.places.full().into()
    }

    /// Whether anybody else holds a handle to it.
    #[cfg(feature = "toml")]
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.places) > 1
    }

    /// What it holds and what it did so far.
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let Counts {
            in_flight,
            queued,
            limit,
            entered,
            rejected,
            wait_elapsed,
            left_line,
            waited,
        } = self.places.counts();
        BulkheadSnapshot {
            in_flight,
            queued,
            max_concurrent: limit,
            entered,
            rejected,
            wait_elapsed,
            left_line,
            waited,
        }
    }
}

impl Gate for Bulkhead {
    type Permit<'a> = Permit<'a>;
    type Rejection = BulkheadRejected;

    #[inline]
    fn try_admit(&self) -> Result<Permit<'_>, BulkheadRejected> {
        Ok(Permit::new(self.places.try_enter()?))
    }

    #[inline]
    fn try_admit_uncounted(&self) -> Option<Permit<'_>> {
        Places::enter(&*self.places).map(Permit::new)
    }

    async fn admit(&self) -> Result<Permit<'_>, BulkheadRejected> {
        Ok(Permit::new(Places::admission(&*self.places).await?))
    }
}

impl Suspend for Bulkhead {
    type Ticket = Suspended;

    #[inline]
    fn suspend(permit: Permit<'_>) -> Suspended {
        permit.suspend()
    }

    #[inline]
    fn resume(&self, _ticket: Suspended) -> Permit<'_> {
        Permit::new(Place::new(&*self.places))
    }
}

impl OwnedGate for Bulkhead {
    type OwnedPermit = OwnedPermit;
    type Admission = Admission;
    type Waiting = MayWait;
    type Error<E> = Refusal<BulkheadRejected, E>;

    fn admit_owned(&self) -> Admission {
        Admission::new(&self.places)
    }

    fn ask(&self) -> Admittance<OwnedPermit, BulkheadRejected, Admission> {
        if Deadline::is_over(self.places.clock()) {
            // Refused when it is polled, by which time it may have another deadline.
            return Admittance::Waits(self.admit_owned());
        }
        match Places::enter(self.places.clone()) {
            Some(place) => Admittance::Admitted(OwnedPermit::new(place)),
            None if self.places.max_queue() == 0 => Admittance::Refused(self.refuse()),
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
        let places = Arc::downgrade(&self.places);
        Source::new(move || {
            let bulkhead = Self {
                places: places.upgrade()?,
            };
            Some(bulkhead.snapshot().readings())
        })
    }
}
