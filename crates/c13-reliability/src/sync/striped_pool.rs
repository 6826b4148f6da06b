//! Tokens that lie on stripes, so that threads take and put them without waiting for each other. A thread that has none
//! may take those of all others.

use super::primitive::{AtomicU64, Ordering, fence, load_in_order};
use super::stripes::{Own, Stripes, Words};
use super::thread_slot::{self, Slot};

/// Tokens on stripes, one stripe for each thread, and one for all threads after the 64th.
///
/// In contrast to a [`StripedStock`](super::StripedStock), a thread that has no token may take those of all others, so that
/// none is out of reach. In return, every change is a locked instruction, on a cache line that is nearly always the thread's
/// own. Tokens are neither made nor lost here: what is put is what can be taken. When a thread ends, its tokens stay for the
/// others.
#[derive(Debug)]
pub(crate) struct StripedPool {
    words: Words,
}

/// The only word: how many tokens lie on the stripe.
const TOKENS: usize = 0;

impl StripedPool {
    /// How many words of a stripe a pool takes.
    pub(crate) const WORDS: usize = 1;

    /// Without any token, on these stripes.
    pub(crate) fn on(stripes: &Stripes) -> Self {
        Self {
            words: stripes.words(Self::WORDS),
        }
    }

    /// The slot of this thread, for the calls below.
    #[inline]
    pub(crate) fn own() -> Slot {
        thread_slot::current()
    }

    /// How many threads have a stripe of their own, 64 at most, as far as they have counted anything yet.
    pub(crate) fn owners() -> u32 {
        thread_slot::owners()
    }

    /// How many tokens lie on the stripe of this slot.
    #[cfg(all(test, not(c13_loom)))]
    pub(crate) fn at_hand(&self, slot: Slot) -> u64 {
        // Relaxed: others take some at any time.
        self.at(slot).load(Ordering::Relaxed)
    }

    /// Takes a token from the stripe of this slot, if one lies there.
    #[inline]
    pub(crate) fn take(&self, slot: Slot) -> bool {
        take(self.at(slot), 1) > 0
    }

    /// Puts a token on the stripe of this slot.
    ///
    /// In the one order of all `SeqCst` operations it stands before those that this thread does next, and
    /// [`take_all`](Self::take_all) stands after those that its thread did before. So if one thread puts a token and
    /// then reads a flag, while another sets the flag and then takes all tokens, at least one of them sees what the
    /// other did.
    #[cfg(all(test, not(c13_loom)))]
    pub(crate) fn put(&self, slot: Slot) {
        self.put_below(slot, u64::MAX);
    }

    /// As [`put`](Self::put), if fewer than `most` tokens lie on that stripe, or a few more where others put some meanwhile:
    /// whether it did.
    #[inline]
    pub(crate) fn put_below(&self, slot: Slot, most: u64) -> bool {
        let tokens = self.at(slot);
        // Relaxed: others put and take some at any time.
        if tokens.load(Ordering::Relaxed) >= most {
            return false;
        }
        // SeqCst: as said above; and it publishes what was done with the token.
        tokens.fetch_add(1, Ordering::SeqCst);
        if slot.is_shared() {
            // SeqCst: another thread may have allocated the shared stripe without having reached the fence of `Stripes`
            // yet.
            fence(Ordering::SeqCst);
        }
        true
    }

    /// Takes all tokens from all stripes, and returns how many. Complexity: O(stripes).
    pub(crate) fn take_all(&self) -> u64 {
        // SeqCst: a stripe that is not found below belongs to a thread that will see what this thread did before this. See
        // `Stripes`.
        fence(Ordering::SeqCst);
        let take = |(_, words): (usize, &[AtomicU64])| match load_in_order(&words[TOKENS]) {
            0 => 0,
            _ => take(&words[TOKENS], u64::MAX),
        };
        self.words.each().map(take).sum()
    }

    /// How many tokens lie on all stripes together. Complexity: O(stripes).
    pub(crate) fn total(&self) -> u64 {
        // Acquire: a thread that reads that tokens were put back also sees what was done with them.
        let tokens = |(_, words): (usize, &[AtomicU64])| words[TOKENS].load(Ordering::Acquire);
        self.words.each().map(tokens).sum()
    }

    #[inline]
    fn at(&self, slot: Slot) -> &AtomicU64 {
        match self.words.at(slot, TOKENS) {
            Some(tokens) => tokens,
            None => self.at_slowly(slot),
        }
    }

    #[cold]
    #[inline(never)]
    fn at_slowly(&self, slot: Slot) -> &AtomicU64 {
        let (Own::Alone(words) | Own::Shared(words)) = self.words.own(slot);
        &words[TOKENS]
    }
}

/// Takes up to `most` tokens, and returns how many.
#[inline]
fn take(tokens: &AtomicU64, most: u64) -> u64 {
    // Relaxed: a first guess; the exchange below decides.
    let mut there = tokens.load(Ordering::Relaxed);
    loop {
        let taken = there.min(most);
        if taken == 0 {
            return 0;
        }
        // Acquire: what was done with a token before it was put here is seen by the thread that has it next. Relaxed on
        // failure: only another guess.
        match tokens.compare_exchange_weak(there, there - taken, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return taken,
            Err(now) => there = now,
        }
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;

    fn pool() -> StripedPool {
        StripedPool::on(&Stripes::new(StripedPool::WORDS))
    }

    #[test]
    fn what_is_put_is_what_can_be_taken() {
        let pool = pool();
        for stripe in [3, 3, 3, 64, 1_000] {
            pool.put(Slot::numbered(stripe));
        }
        assert_eq!(
            (
                pool.at_hand(Slot::numbered(3)),
                pool.at_hand(Slot::numbered(64)),
                pool.at_hand(Slot::numbered(1_000))
            ),
            (3, 2, 2)
        );
        assert_eq!(
            (pool.take(Slot::numbered(3)), pool.take(Slot::numbered(4)), pool.total()),
            (true, false, 4)
        );
        assert_eq!(
            (pool.take_all(), pool.take(Slot::numbered(3)), pool.total()),
            (4, false, 0)
        );
    }

    #[test]
    fn the_tokens_of_a_thread_that_ended_are_found() {
        let pool = pool();
        std::thread::scope(|scope| scope.spawn(|| pool.put(StripedPool::own())).join()).expect("it does not panic");
        assert_eq!((pool.take_all(), pool.take_all()), (1, 0));
    }

    #[test]
    fn threads_that_take_from_one_another_lose_nothing() {
        let pool = pool();
        (0..10).for_each(|_| pool.put(Slot::numbered(0)));
        std::thread::scope(|scope| {
            for seed in 0..8 {
                let pool = &pool;
                scope.spawn(move || {
                    let (random, mut held) = (Random::new(seed), 0);
                    for _ in 0..20_000 {
                        match random.below(3) {
                            0 => held += u64::from(pool.take(Slot::numbered(random.below(8) as usize))),
                            1 => held += pool.take_all(),
                            _ => (0..std::mem::take(&mut held)).for_each(|_| pool.put(StripedPool::own())),
                        }
                        assert!(held <= 10, "seed {seed}");
                    }
                    (0..held).for_each(|_| pool.put(Slot::numbered(0)));
                });
            }
        });
        assert_eq!(pool.total(), 10);
    }
}
