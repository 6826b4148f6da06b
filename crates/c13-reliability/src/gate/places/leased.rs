//! Places that are lent to threads a few at a time, so that threads do not fight over the word.
//!
//! A place that is lent is taken as far as the word is concerned; whether a call runs in it or it lies free on a thread's
//! stripe is known to the stripe alone. So the calls that run are those taken less those free, and as each of them holds
//! one place and places only move, never more run than may, whatever the interleaving.
//!
//! Places are lent only as long as nobody is in line, no more are taken than there are, and the setting says so. Whoever
//! ends that takes back all that is lent; whoever lays a place on a stripe looks again afterwards, and takes it back if it
//! has ended. Either one of them sees the other, as all four steps stand in one order (`SeqCst`): no place is left on a
//! stripe where nobody looks for it.

use super::shared::Places;
use super::word::Word;
use crate::sync::StripedPool;
use crate::sync::primitive::{AtomicU64, Ordering, load_in_order};
use std::sync::OnceLock;

/// So many places a thread takes from the word at a time, and gives back to it.
const BATCH: u32 = 4;
/// So many lie free on a stripe before it gives some back. Under loom few, so that models get there.
const MOST_FREE: u64 = if cfg!(c13_loom) { 1 } else { 8 };

/// What is lent.
pub(super) struct Leases {
    /// 1 if places are to be lent, else 0.
    on: AtomicU64,
    /// The places that are lent and free; there since places were first to be lent.
    free: OnceLock<StripedPool>,
}

impl Leases {
    /// Nothing is lent.
    pub(super) fn new() -> Self {
        Self {
            on: AtomicU64::new(0),
            free: OnceLock::new(),
        }
    }

    /// Whether places are to be lent.
    #[inline]
    pub(super) fn are_on(&self) -> bool {
        // Relaxed: who comes in or goes out by the word is right as well; the one that matters is in `may_lend`.
        self.on.load(Ordering::Relaxed) != 0
    }

    /// How many places are lent and free. Complexity: O(1) if none ever was lent, else O(threads, at most 65).
    pub(super) fn free(&self) -> u32 {
        // There are no more than places, which fit.
        self.free.get().map_or(0, |free| free.total() as u32)
    }

    /// Takes back everything that is lent and free: how many places.
    pub(super) fn take_back(&self) -> u64 {
        self.free.get().map_or(0, StripedPool::take_all)
    }
}

impl Places {
    /// Lends places to threads from now on, or not any more.
    pub(crate) fn set_leased(&self, leased: bool) {
        if leased {
            self.leases.free.get_or_init(StripedPool::new);
            // Release: who sees it sees the stripes too.
            self.leases.on.store(1, Ordering::Release);
        } else if self.is_leased() {
            // SeqCst: who lays a place on a stripe after the stripes were swept sees this. See the head of this file.
            self.leases.on.swap(0, Ordering::SeqCst);
            self.return_places(self.leases.take_back());
        }
    }

    /// Whether places are lent to threads.
    #[inline]
    pub(crate) fn is_leased(&self) -> bool {
        self.leases.are_on()
    }

    /// As [`enter_leased`](Self::enter_leased) on this thread's stripe; apart, so that the way of those who are lent
    /// nothing stays short.
    #[inline(never)]
    pub(super) fn enter_own(&self) -> bool {
        self.enter_leased(StripedPool::own())
    }

    /// As [`leave_leased`](Self::leave_leased) on this thread's stripe; apart, as above.
    #[inline(never)]
    pub(super) fn leave_own(&self) {
        self.leave_leased(StripedPool::own());
    }

    /// Takes a place from this thread's stripe, from the word, or from another stripe, in this order.
    #[inline]
    pub(super) fn enter_leased(&self, stripe: usize) -> bool {
        let Some(free) = self.leases.free.get() else {
            return self.enter_by_word();
        };
        if free.take(stripe, 1) > 0 {
            if self.word().may_lend() {
                return true;
            }
            self.return_places(1);
        }
        self.enter_elsewhere(free, stripe)
    }

    /// Takes a place where this thread's stripe has none for it.
    #[inline(never)]
    fn enter_elsewhere(&self, free: &StripedPool, stripe: usize) -> bool {
        loop {
            let lent = self.borrow();
            if lent > 0 {
                if lent > 1 {
                    self.lay_free(free, stripe, u64::from(lent - 1));
                }
                return true;
            }
            if !free.take_any() {
                // What was free when the word was looked at may have gone back to it since.
                return self.enter_by_word();
            }
            if self.word().may_lend() {
                return true;
            }
            // Each round takes back one place that is lent, so this ends.
            self.return_places(1);
        }
    }

    /// Gives a place back to this thread's stripe.
    #[inline]
    pub(super) fn leave_leased(&self, stripe: usize) {
        match self.leases.free.get() {
            Some(free) => self.lay_free(free, stripe, 1),
            None => self.return_places(1),
        }
    }

    /// Lays `n` places on a stripe, and takes them back from there if they are too many, or if none may lie there.
    #[inline]
    fn lay_free(&self, free: &StripedPool, stripe: usize, n: u64) {
        let many = free.put(stripe, n) > MOST_FREE;
        let may_lend = load_in_order(&self.leases.on) != 0 && Word::from_bits(load_in_order(&self.word)).may_lend();
        if many || !may_lend {
            self.clear(free, stripe, if may_lend { BATCH.into() } else { u64::MAX });
        }
    }

    /// Takes up to `most` places from a stripe back to the word.
    #[cold]
    fn clear(&self, free: &StripedPool, stripe: usize, most: u64) {
        let taken = free.take(stripe, most);
        if taken > 0 {
            self.return_places(taken);
        }
    }

    /// Takes a batch of places from the word, or as many as there are: how many.
    fn borrow(&self) -> u32 {
        let mut lent = 0;
        self.step(|word| {
            let next = word.lend(BATCH);
            lent = next.map_or(0, |(_, lent)| lent);
            next.map(|(word, _)| word)
        });
        lent
    }
}
