//! What every limiter does around a decision: counts it, lets callers wait, or, in a shadow, lets all of them pass.

use super::error::RateLimitError;
use crate::sync::StripedCounter;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::Tick;
use std::time::Duration;

/// Counters, by their place in the stripes.
const ALLOWED: usize = 0;
const REJECTED: usize = 1;
const SHADOWED: usize = 2;

/// Terms that may change, and the counts of what came of all requests.
#[derive(Debug)]
pub(super) struct Desk {
    counts: StripedCounter<3>,
    max_wait_nanos: AtomicU64,
    max_waiters: AtomicU64,
    shadow: AtomicU64,
}

/// How callers are treated whose request cannot be met at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) max_wait: Duration,
    pub(super) max_waiters: usize,
    pub(super) shadow: bool,
}

impl Desk {
    pub(super) fn new(terms: Terms) -> Self {
        let desk = Self {
            counts: StripedCounter::new(),
            max_wait_nanos: AtomicU64::new(0),
            max_waiters: AtomicU64::new(0),
            shadow: AtomicU64::new(0),
        };
        desk.change(terms);
        desk
    }

    /// Treats callers by `terms` from now on.
    pub(super) fn change(&self, terms: Terms) {
        let max_wait = Tick::ZERO + terms.max_wait;
        // Relaxed: each stands for itself, and for decisions yet to come.
        self.max_wait_nanos.store(max_wait.as_nanos(), Ordering::Relaxed);
        self.max_waiters.store(terms.max_waiters as u64, Ordering::Relaxed);
        self.shadow.store(terms.shadow.into(), Ordering::Relaxed);
    }

    pub(super) fn max_wait(&self) -> Duration {
        // Relaxed: a setting, which stands for itself.
        Duration::from_nanos(self.max_wait_nanos.load(Ordering::Relaxed))
    }

    pub(super) fn max_waiters(&self) -> usize {
        // Relaxed: as above.
        self.max_waiters.load(Ordering::Relaxed) as usize
    }

    #[inline]
    pub(super) fn is_shadow(&self) -> bool {
        // Relaxed: as above.
        self.shadow.load(Ordering::Relaxed) != 0
    }

    /// Whether a request that cannot be met at once may wait. In a shadow nobody does.
    pub(super) fn waits(&self) -> bool {
        !self.max_wait().is_zero() && !self.is_shadow()
    }

    /// Counts an admission.
    #[inline]
    pub(super) fn admit(&self) {
        self.counts.add(ALLOWED, 1);
    }

    /// Counts a refusal.
    #[inline]
    pub(super) fn reject(&self) {
        self.counts.add(REJECTED, 1);
    }

    /// Counts what came of a request. In a shadow a refusal is only counted.
    #[inline]
    pub(super) fn close(&self, result: Result<(), RateLimitError>) -> Result<(), RateLimitError> {
        match result {
            Ok(()) => self.admit(),
            Err(_) if self.is_shadow() => {
                self.counts.add(SHADOWED, 1);
                return Ok(());
            }
            Err(_) => self.reject(),
        }
        result
    }

    pub(super) fn allowed(&self) -> u64 {
        self.counts.sum(ALLOWED)
    }

    pub(super) fn rejected(&self) -> u64 {
        self.counts.sum(REJECTED)
    }

    pub(super) fn shadowed(&self) -> u64 {
        self.counts.sum(SHADOWED)
    }
}
