//! Tokens that threads keep at hand without fighting over them, and that any other thread may take where it finds none.

use super::primitive::{AtomicU64, Ordering, load_in_order};
use super::slot::{self, OWNED};

/// How many stripes there are: one for each thread slot and one for all further threads. Under loom two and one.
const STRIPES: usize = if cfg!(c13_loom) { 3 } else { OWNED + 1 };

/// Tokens on stripes, one stripe for each of 64 threads and one for all others.
///
/// In contrast to a `StripedStock`, whoever has no token at hand may take those of all others, so that none is out of reach;
/// in return, every change is a locked instruction, on a line that is nearly always the thread's own. Tokens are neither
/// made nor lost here: what is put is what can be taken. When a thread ends, its tokens stay for the others.
///
/// Memory: 65 stripes of 128 bytes, 8.3 KB.
#[derive(Debug)]
pub(crate) struct StripedPool {
    stripes: Box<[Stripe]>,
}

/// Two cache lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Stripe {
    /// Takes up to `most`, and says how many.
    #[inline]
    fn take(&self, most: u64) -> u64 {
        // Relaxed: a first guess; the exchange below decides.
        let mut tokens = self.0.load(Ordering::Relaxed);
        loop {
            let taken = tokens.min(most);
            if taken == 0 {
                return 0;
            }
            // Acquire: what was done with a token before it was put here is seen by who has it next. Relaxed on failure:
            // only another guess.
            match self
                .0
                .compare_exchange_weak(tokens, tokens - taken, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return taken,
                Err(now) => tokens = now,
            }
        }
    }
}

impl StripedPool {
    /// Without any token.
    pub(crate) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Stripe(AtomicU64::new(0))).collect(),
        }
    }

    /// The stripe of this thread, for the calls below.
    #[inline]
    pub(crate) fn own() -> usize {
        slot::current()
    }

    /// How many threads have a stripe of their own, 64 at most, as far as they have counted anything yet.
    pub(crate) fn owners() -> u32 {
        slot::owners()
    }

    /// How many tokens lie on a stripe.
    #[inline]
    pub(crate) fn at_hand(&self, stripe: usize) -> u64 {
        // Relaxed: others take some at any time.
        self.at(stripe).0.load(Ordering::Relaxed)
    }

    /// Takes a token from a stripe, if one lies there.
    #[inline]
    pub(crate) fn take(&self, stripe: usize) -> bool {
        self.at(stripe).take(1) > 0
    }

    /// Puts a token on a stripe.
    ///
    /// It comes before everything that this thread does next, in the order in which [`take_all`](Self::take_all) comes
    /// after everything that its thread did before.
    #[inline]
    pub(crate) fn put(&self, stripe: usize) {
        // SeqCst: as said above; and it publishes what was done with the token.
        self.at(stripe).0.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes all tokens from all stripes, and says how many. Complexity: O(stripes).
    pub(crate) fn take_all(&self) -> u64 {
        let take = |stripe: &Stripe| match load_in_order(&stripe.0) {
            0 => 0,
            _ => stripe.take(u64::MAX),
        };
        self.stripes.iter().map(take).sum()
    }

    /// How many tokens lie on all stripes together. Complexity: O(stripes).
    pub(crate) fn total(&self) -> u64 {
        // Acquire: who reads that tokens were put back also sees what was done with them.
        let tokens = |stripe: &Stripe| stripe.0.load(Ordering::Acquire);
        self.stripes.iter().map(tokens).sum()
    }

    #[inline]
    fn at(&self, stripe: usize) -> &Stripe {
        &self.stripes[stripe.min(self.stripes.len() - 1)]
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::Random;

    #[test]
    fn what_is_put_is_what_can_be_taken() {
        let pool = StripedPool::new();
        for stripe in [3, 3, 3, 64, 1_000] {
            pool.put(stripe);
        }
        assert_eq!((pool.at_hand(3), pool.at_hand(64), pool.at_hand(1_000)), (3, 2, 2));
        assert_eq!((pool.take(3), pool.take(4), pool.total()), (true, false, 4));
        assert_eq!((pool.take_all(), pool.take(3), pool.total()), (4, false, 0));
    }

    #[test]
    fn the_tokens_of_a_thread_that_ended_are_found() {
        let pool = StripedPool::new();
        std::thread::scope(|scope| scope.spawn(|| pool.put(StripedPool::own())).join()).expect("it does not panic");
        assert_eq!((pool.take_all(), pool.take_all()), (1, 0));
    }

    #[test]
    fn threads_that_take_from_one_another_lose_nothing() {
        let pool = StripedPool::new();
        (0..10).for_each(|_| pool.put(0));
        std::thread::scope(|scope| {
            for seed in 0..8 {
                let pool = &pool;
                scope.spawn(move || {
                    let (random, mut held) = (Random::new(seed), 0);
                    for _ in 0..20_000 {
                        match random.below(3) {
                            0 => held += u64::from(pool.take(random.below(8) as usize)),
                            1 => held += pool.take_all(),
                            _ => (0..std::mem::take(&mut held)).for_each(|_| pool.put(StripedPool::own())),
                        }
                        assert!(held <= 10, "seed {seed}");
                    }
                    (0..held).for_each(|_| pool.put(0));
                });
            }
        });
        assert_eq!(pool.total(), 10);
    }
}
