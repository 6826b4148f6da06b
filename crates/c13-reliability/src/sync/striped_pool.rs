//! Tokens that threads keep at hand without fighting over them, and that any other thread may take where it finds none.

use super::primitive::{AtomicU64, Ordering, load_in_order};
use super::slot::{self, OWNED};

/// How many stripes there are: one for each thread slot and one for all further threads. Under loom two and one.
const STRIPES: usize = if cfg!(c13_loom) { 3 } else { OWNED + 1 };

/// Tokens on stripes, one stripe for each of 64 threads and one for all others.
///
/// In contrast to a `StripedStock`, whoever has no token at hand may take those of others, so that none is out of reach;
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

    /// Takes up to `most` tokens from a stripe, and says how many.
    #[inline]
    pub(crate) fn take(&self, stripe: usize, most: u64) -> u64 {
        self.at(stripe).take(most)
    }

    /// Puts `n` tokens on a stripe, and says how many lie there now.
    ///
    /// It comes before everything that this thread does next, in the order in which [`take_all`](Self::take_all) comes
    /// after everything that its thread did before.
    #[inline]
    pub(crate) fn put(&self, stripe: usize, n: u64) -> u64 {
        // SeqCst: as said above; and it publishes what was done with the tokens.
        self.at(stripe).0.fetch_add(n, Ordering::SeqCst) + n
    }

    /// Takes a token from any stripe. Those that are moved meanwhile may be missed. Complexity: O(threads, at most 65).
    pub(crate) fn take_any(&self) -> bool {
        let (shared, owned) = self.stripes.split_last().expect("there is a stripe for all");
        let used = slot::used().min(owned.len());
        owned[..used].iter().chain([shared]).any(|stripe| stripe.take(1) > 0)
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
    fn what_is_put_is_what_can_be_taken_from_wherever_it_lies() {
        let pool = StripedPool::new();
        assert_eq!((pool.put(3, 5), pool.put(64, 2), pool.put(1_000, 1)), (5, 2, 3));
        assert_eq!((pool.take(3, 2), pool.take(4, 2), pool.total()), (2, 0, 6));
        assert_eq!((pool.take(3, 9), pool.take(3, 1)), (3, 0));
        assert!(pool.take_any());
        assert_eq!((pool.take_all(), pool.take_any(), pool.total()), (2, false, 0));
    }

    #[test]
    fn a_thread_without_a_token_finds_those_of_one_that_ended() {
        let pool = StripedPool::new();
        std::thread::scope(|scope| scope.spawn(|| pool.put(StripedPool::own(), 1)).join()).expect("it does not panic");
        assert!(pool.take_any());
        assert!(!pool.take_any());
    }

    #[test]
    fn threads_that_take_from_one_another_lose_nothing() {
        let pool = StripedPool::new();
        pool.put(0, 10);
        std::thread::scope(|scope| {
            for seed in 0..8 {
                let pool = &pool;
                scope.spawn(move || {
                    let (random, mut held) = (Random::new(seed), 0);
                    for _ in 0..20_000 {
                        held += match random.below(4) {
                            0 => u64::from(pool.take_any()),
                            1 => pool.take(StripedPool::own(), 2),
                            2 => pool.take_all(),
                            _ => {
                                pool.put(StripedPool::own(), held);
                                held = 0;
                                0
                            }
                        };
                        assert!(held <= 10, "seed {seed}");
                    }
                    pool.put(StripedPool::own(), held);
                });
            }
        });
        assert_eq!(pool.total(), 10);
    }
}
