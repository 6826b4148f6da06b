//! What a limiter counts of its decisions. In shadow mode a refusal is only counted.

use super::error::RateLimitError;
use super::snapshot::{LimitCount, RateLimiterSnapshot};
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::sync::{Count as _, Stripes, Tally};

/// The counters of a limiter, and whether it is in shadow mode.
#[derive(Debug)]
pub(super) struct Counts {
    tally: Tally<LimitCount>,
    shadow: AtomicU64,
}

impl Counts {
    /// How many words of a stripe they take.
    pub(super) const WORDS: usize = LimitCount::ALL.len();

    pub(super) fn new(shadow: bool) -> Self {
        Self::on(&Stripes::new(Self::WORDS), shadow)
    }

    /// Counters on stripes that others use too.
    pub(super) fn on(stripes: &Stripes, shadow: bool) -> Self {
        Self {
            tally: Tally::on(stripes),
            shadow: AtomicU64::new(shadow.into()),
        }
    }

    /// Turns shadow mode on or off.
    pub(super) fn set_shadow(&self, shadow: bool) {
        // Relaxed: a setting by itself, for decisions yet to come.
        self.shadow.store(shadow.into(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_shadow(&self) -> bool {
        // Relaxed: as above.
        self.shadow.load(Ordering::Relaxed) != 0
    }

    /// Counts an admission.
    #[inline]
    pub(super) fn admit(&self) {
        self.tally.add_one(LimitCount::Allowed);
    }

    /// Counts a refusal.
    #[inline]
    pub(super) fn reject(&self) {
        self.tally.add_one(LimitCount::Rejected);
    }

    /// Counts a decision, and returns what the caller is told: in shadow mode a refusal is counted and becomes an admission.
    #[inline]
    pub(super) fn settle(&self, result: Result<(), RateLimitError>) -> Result<(), RateLimitError> {
        match result {
            Ok(()) => self.admit(),
            Err(_) if self.is_shadow() => {
                self.tally.add_one(LimitCount::Shadowed);
                return Ok(());
            }
            Err(_) => self.reject(),
        }
        result
    }

    /// What was counted. What is available is for the limiter to say.
    pub(super) fn snapshot(&self) -> RateLimiterSnapshot {
        RateLimiterSnapshot::counted(&self.tally)
    }
}
