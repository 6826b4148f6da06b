//! What a limiter counts of its decisions. In shadow mode a refusal is only counted.

use super::error::RateLimitError;
use crate::sync::StripedCounter;
use crate::sync::primitive::{AtomicU64, Ordering};

/// Counters, by their position in the stripes.
const ALLOWED: usize = 0;
const REJECTED: usize = 1;
const SHADOWED: usize = 2;

/// The counters of a limiter, and whether it is in shadow mode.
#[derive(Debug)]
pub(super) struct Counts {
    tally: StripedCounter<3>,
    shadow: AtomicU64,
}

impl Counts {
    pub(super) fn new(shadow: bool) -> Self {
        Self {
            tally: StripedCounter::new(),
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
        self.tally.add(ALLOWED, 1);
    }

    /// Counts a refusal.
    #[inline]
    pub(super) fn reject(&self) {
        self.tally.add(REJECTED, 1);
    }

    /// Counts a decision, and returns what the caller is told: in shadow mode a refusal is counted and becomes an admission.
    #[inline]
    pub(super) fn settle(&self, result: Result<(), RateLimitError>) -> Result<(), RateLimitError> {
        match result {
            Ok(()) => self.admit(),
            Err(_) if self.is_shadow() => {
                self.tally.add(SHADOWED, 1);
                return Ok(());
            }
            Err(_) => self.reject(),
        }
        result
    }

    pub(super) fn allowed(&self) -> u64 {
        self.tally.sum(ALLOWED)
    }

    pub(super) fn rejected(&self) -> u64 {
        self.tally.sum(REJECTED)
    }

    pub(super) fn shadowed(&self) -> u64 {
        self.tally.sum(SHADOWED)
    }
}
