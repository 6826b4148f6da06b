//! A small number for each thread, its slot, which another thread gets when the thread has ended.
//!
//! What is kept once for each thread is found by this number. A thread gets a slot when it first counts anything.

use super::primitive::{AtomicU64, Ordering};
use std::fmt;

/// How many threads have a slot of their own at the same time.
pub(crate) const OWNED: usize = 64;
/// The slot that all further threads share.
pub(crate) const SHARED: usize = OWNED;

/// Which of the 64 slots are taken, a bit each.
pub(super) struct Pool {
    taken: AtomicU64,
}

impl Pool {
    #[cfg(not(c13_loom))]
    const fn new() -> Self {
        Self {
            taken: AtomicU64::new(0),
        }
    }

    #[cfg(all(test, c13_loom))]
    pub(super) fn new() -> Self {
        Self {
            taken: AtomicU64::new(0),
        }
    }

    /// Takes the lowest free slot.
    pub(super) fn claim(&self) -> Option<usize> {
        // Relaxed: a first guess; the exchange below decides.
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            let slot = taken.trailing_ones() as usize;
            if slot == OWNED {
                return None;
            }
            // Acquire: this thread sees what the slot's last owner counted, which its `release` has published, and goes on
            // from there with plain loads and stores. Relaxed on failure: only another guess.
            match self
                .taken
                .compare_exchange_weak(taken, taken | 1 << slot, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Some(slot),
                Err(now) => taken = now,
            }
        }
    }

    /// How many slots are taken.
    #[cfg(not(c13_loom))]
    fn owners(&self) -> u32 {
        // Relaxed: threads come and go at any time.
        self.taken.load(Ordering::Relaxed).count_ones()
    }

    /// Gives a slot back.
    pub(super) fn release(&self, slot: usize) {
        // Release: publishes this owner's counts to the next `claim` of the slot.
        self.taken.fetch_and(!(1 << slot), Ordering::Release);
    }
}

#[cfg(not(c13_loom))]
mod current {
    use super::{OWNED, Pool, SHARED};
    use crate::sync::arena::{Directory, arena};
    use std::cell::Cell;

    static POOL: Pool = Pool::new();

    /// What threads without a slot of their own have: nothing is found in it.
    static NONE: Directory = Directory::new(usize::MAX);

    /// The slot of a thread.
    // What is found by it is kept in it: one load less where threads count.
    #[derive(Clone, Copy)]
    pub(crate) struct Slot(&'static Directory);

    impl Slot {
        /// The slot of this number; [`SHARED`] for the one that threads share.
        pub(crate) fn numbered(number: usize) -> Self {
            Self(arena().directory(number.min(SHARED)))
        }

        #[inline]
        pub(crate) fn number(self) -> usize {
            self.0.number()
        }

        #[inline]
        pub(in crate::sync) fn directory(self) -> &'static Directory {
            self.0
        }
    }

    thread_local! {
        static SLOT: Cell<Slot> = const { Cell::new(Slot(&NONE)) };
        static HELD: Held = const { Held };
    }

    /// Gives the thread's slot back when the thread ends.
    struct Held;

    impl Drop for Held {
        fn drop(&mut self) {
            // What other thread-locals count while they are dropped goes to the shared slot.
            let number = SLOT.replace(Slot(&NONE)).number();
            if number < OWNED {
                POOL.release(number);
            }
        }
    }

    /// This thread's slot, if it has one of its own; else one that has no stripes.
    #[inline]
    pub(crate) fn peek() -> Slot {
        SLOT.get()
    }

    /// This thread's slot, the shared one if all others are taken.
    #[inline]
    pub(crate) fn current() -> Slot {
        let slot = SLOT.get();
        if slot.number() < OWNED { slot } else { claim() }
    }

    #[cold]
    fn claim() -> Slot {
        // Where the thread is ending already, nothing would give the slot back.
        let Ok(Some(number)) = HELD.try_with(|_| POOL.claim()) else {
            return Slot::numbered(SHARED);
        };
        let slot = Slot::numbered(number);
        SLOT.set(slot);
        slot
    }

    /// How many threads have a slot of their own.
    pub(crate) fn owners() -> u32 {
        POOL.owners()
    }
}

/// Under loom there are no thread slots: models name theirs, and everything else shares one.
#[cfg(c13_loom)]
mod current {
    use super::{OWNED, SHARED};

    /// The slot of a thread.
    #[derive(Clone, Copy)]
    pub(crate) struct Slot(usize);

    impl Slot {
        /// The slot of this number; [`SHARED`] for the one that threads share.
        pub(crate) fn numbered(number: usize) -> Self {
            Self(number.min(SHARED))
        }

        pub(crate) fn number(self) -> usize {
            self.0
        }
    }

    pub(crate) fn peek() -> Slot {
        Slot(usize::MAX)
    }

    pub(crate) fn current() -> Slot {
        Slot(SHARED)
    }

    pub(crate) fn owners() -> u32 {
        OWNED as u32
    }
}

pub(crate) use current::{Slot, current, owners, peek};

impl Slot {
    /// Whether other threads have it too.
    #[inline]
    pub(crate) fn is_shared(self) -> bool {
        self.number() == SHARED
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({})", self.number())
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_slot_and_a_later_thread_may_have_it() {
        let number = || current().number();
        let first = std::thread::spawn(move || (number(), peek().number())).join().unwrap();
        assert_eq!(first.0, first.1);
        let distinct: std::collections::HashSet<usize> =
            (0..200).map(|_| std::thread::spawn(number).join().unwrap()).collect();
        assert!(distinct.len() <= OWNED, "slots are given back: {distinct:?}");
    }

    #[test]
    fn a_pool_gives_each_slot_once_and_then_none() {
        let pool = Pool::new();
        let slots: Vec<_> = (0..OWNED).map(|_| pool.claim().unwrap()).collect();
        assert_eq!(slots, (0..OWNED).collect::<Vec<_>>());
        assert_eq!(pool.claim(), None);
        pool.release(17);
        assert_eq!(pool.owners(), 63);
        assert_eq!(pool.claim(), Some(17));
    }
}
