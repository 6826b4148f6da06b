//! The stripes on which lent permits lie, and whether permits are lent now.

use crate::sync::primitive::{AtomicU64, Mutex, MutexGuard, Ordering, load_in_order};
use crate::sync::{Slot, StripedPool, Stripes};

/// How many permits may lie on a stripe; a few more where threads share one. Under loom few, so that models get there.
pub(super) const MOST_FREE: u32 = if cfg!(c13_loom) { 1 } else { 8 };

/// The permits that are lent.
pub(super) struct Lending {
    /// A [`LendingPhase`].
    phase: AtomicU64,
    /// The permits that lie free.
    free: StripedPool,
    /// Held while lending begins or ends, or while the free permits are counted.
    switch: Mutex<()>,
}

/// Bits 0 and 1 are 0 while no permits are lent, 1 while they are, and 2 while lending ends. The bits above count how
/// often it has ended, so that a thread that reads the phase twice knows whether it has changed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LendingPhase(u64);

impl LendingPhase {
    const BITS: u64 = 3;
    const LENDING: u64 = 1;

    /// Whether no permits are lent, and lending is not just ending.
    #[inline]
    pub(super) fn is_idle(self) -> bool {
        self.0 & Self::BITS == 0
    }

    #[inline]
    fn is_lending(self) -> bool {
        self.0 & Self::BITS == Self::LENDING
    }
}

impl Lending {
    /// How many words of a stripe it takes.
    pub(super) const WORDS: usize = StripedPool::WORDS;

    pub(super) fn on(stripes: &Stripes) -> Self {
        Self {
            phase: AtomicU64::new(0),
            free: StripedPool::on(stripes),
            switch: Mutex::new(()),
        }
    }

    #[inline]
    pub(super) fn phase(&self) -> LendingPhase {
        // Acquire: a thread that sees that lending has ended sees the permits in the packed state.
        LendingPhase(self.phase.load(Ordering::Acquire))
    }

    /// Whether permits are lent, as seen in the one order of all steps.
    #[inline]
    pub(super) fn is_lending_in_order(&self) -> bool {
        LendingPhase(load_in_order(&self.phase)).is_lending()
    }

    /// Whether permits are lent, for tests.
    #[cfg(all(test, not(c13_loom)))]
    pub(super) fn is_lending(&self) -> bool {
        self.phase().is_lending()
    }

    /// Lets no other thread begin or end lending.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        self.switch.lock()
    }

    /// Begins lending, unless another thread begins or ends it right now: the next two threads that contend begin then.
    pub(super) fn begin(&self) {
        let Some(_switch) = self.switch.try_lock() else {
            return;
        };
        if self.phase().is_idle() {
            // Release: as where lending ends.
            self.phase.fetch_add(1, Ordering::Release);
        }
    }

    /// Begins to end lending: whether permits were lent.
    pub(super) fn begin_end(&self, _switch: &MutexGuard<'_, ()>) -> bool {
        if !self.phase().is_lending() {
            return false;
        }
        // SeqCst: a thread that leaves a permit on a stripe after the stripes were swept sees this. See `permits`.
        self.phase.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// Ends lending, once the permits are back in the packed state.
    pub(super) fn end(&self, _switch: &MutexGuard<'_, ()>) {
        // Release: a thread that sees that lending has ended sees the permits in the packed state.
        self.phase.fetch_add(2, Ordering::Release);
    }

    /// Takes a permit from a stripe, if one lies there.
    #[inline]
    pub(super) fn take(&self, stripe: Slot) -> bool {
        self.free.take(stripe)
    }

    /// Leaves a permit on a stripe, if there is room: whether it did.
    #[inline]
    pub(super) fn put(&self, stripe: Slot) -> bool {
        self.free.put_below(stripe, MOST_FREE.into())
    }

    /// Takes all permits from all stripes: how many they were.
    pub(super) fn take_all(&self) -> u64 {
        // Zero: permits were never lent. A thread that left a permit on a stripe has yet to read the phase and the
        // state: it does so after this load in the one order of all `SeqCst` operations, sees what this thread did
        // before, and takes its permit back.
        if load_in_order(&self.phase) == 0 {
            return 0;
        }
        self.free.take_all()
    }

    /// How many permits lie free on stripes. Complexity: O(stripes), which are 65 at most.
    pub(super) fn free(&self) -> u32 {
        // There are no more than permits, whose number fits.
        self.free.total() as u32
    }
}
