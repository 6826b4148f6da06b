//! Stocks that threads draw on without waiting for each other: one for each thread.

use super::primitive::{AtomicU64, Ordering};
use super::stripes::{Own, Stripes, Words};
use super::thread_slot::{self, OWNED, Slot};

/// How many stocks there are at most.
pub(crate) const STOCKS: u64 = OWNED as u64 + 1;

/// Something that threads were given in advance, each on a stripe of its own, and how many requests it has served.
///
/// A thread that has a stripe of its own is its only writer, so that a request is a load and a store, without a locked
/// instruction; from the 65th thread on, threads share a stripe. The giver must see to it that all stocks together are no more
/// than it can spare: what lies in the stock of a thread that asks for nothing stays there. When a thread ends, the next thread
/// with its slot finds what it left.
#[derive(Debug)]
pub(crate) struct StripedStock {
    words: Words,
}

/// The words of a stripe.
const STOCK: usize = 0;
const SERVED: usize = 1;

impl StripedStock {
    /// How many words of a stripe a stock takes.
    pub(crate) const WORDS: usize = 2;

    /// Empty stocks on these stripes.
    pub(crate) fn on(stripes: &Stripes) -> Self {
        Self {
            words: stripes.words(Self::WORDS),
        }
    }

    /// Takes `n` from this thread's stock, if it holds as much.
    #[inline]
    pub(crate) fn take(&self, n: u64) -> bool {
        let slot = thread_slot::peek();
        if let Some(stripe) = self.words.first::<{ Self::WORDS }>(slot) {
            return take_alone(stripe, 0, n);
        }
        self.take_slowly(n)
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self, n: u64) -> bool {
        self.take_at(thread_slot::current(), 0, n)
    }

    /// Puts `given` into this thread's stock, and then takes `n`, if it holds as much.
    pub(crate) fn put_and_take(&self, given: u64, n: u64) -> bool {
        self.take_at(thread_slot::current(), given, n)
    }

    /// The same for the thread with this slot, which must be the caller's own or shared.
    pub(crate) fn take_at(&self, slot: Slot, given: u64, n: u64) -> bool {
        match self.words.own(slot) {
            Own::Alone(stripe) => take_alone(stripe, given, n),
            Own::Shared(stripe) => take_shared(stripe, given, n),
        }
    }

    /// What this thread's stock holds.
    pub(crate) fn stock(&self) -> u64 {
        let (Own::Alone(stripe) | Own::Shared(stripe)) = self.words.own(thread_slot::current());
        // Relaxed: a stock orders nothing.
        stripe[STOCK].load(Ordering::Relaxed)
    }

    /// What all stocks hold together. Complexity: O(stripes).
    pub(crate) fn total(&self) -> u64 {
        self.sum(STOCK)
    }

    /// How many requests were served from stock. Complexity: O(stripes).
    pub(crate) fn served(&self) -> u64 {
        self.sum(SERVED)
    }

    fn sum(&self, word: usize) -> u64 {
        // Relaxed: neither a stock nor a count orders anything.
        self.words
            .each()
            .map(|(_, stripe)| stripe[word].load(Ordering::Relaxed))
            .sum()
    }
}

/// Takes `n` after adding `given`, on a stripe that only this thread writes to.
#[inline]
fn take_alone(stripe: &[AtomicU64], given: u64, n: u64) -> bool {
    let (stock, served) = (&stripe[STOCK], &stripe[SERVED]);
    // Relaxed: this thread is the only writer, and a stock orders nothing. The next thread with this slot sees it by the
    // release and acquire of the slot's pool.
    let there = stock.load(Ordering::Relaxed).wrapping_add(given);
    let left = there.checked_sub(n);
    if left.is_some() || given > 0 {
        // Relaxed: as above.
        stock.store(left.unwrap_or(there), Ordering::Relaxed);
    }
    if left.is_some() {
        // Relaxed: as above.
        served.store(served.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
    left.is_some()
}

/// Takes `n` after adding `given`, on a stripe that other threads write to as well.
fn take_shared(stripe: &[AtomicU64], given: u64, n: u64) -> bool {
    let mut taken = false;
    // Relaxed: a stock orders nothing.
    let _ = stripe[STOCK].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stock| {
        let stock = stock.wrapping_add(given);
        taken = stock >= n;
        Some(if taken { stock - n } else { stock })
    });
    if taken {
        // Relaxed: a count orders nothing.
        stripe[SERVED].fetch_add(1, Ordering::Relaxed);
    }
    taken
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn stock() -> StripedStock {
        StripedStock::on(&Stripes::new(StripedStock::WORDS))
    }

    #[test]
    fn what_is_given_is_what_is_taken_and_what_is_left() {
        let stock = Arc::new(stock());
        let threads: Vec<_> = (0..100)
            .map(|thread| {
                let stock = stock.clone();
                std::thread::spawn(move || {
                    let (mut given, mut taken) = (0, 0);
                    for request in 0..1_000_u64 {
                        let n = (request + thread) % 5;
                        if stock.take(n) {
                            taken += n;
                        } else {
                            given += 7;
                            taken += if stock.put_and_take(7, n) { n } else { 0 };
                        }
                    }
                    (given, taken)
                })
            })
            .collect();
        let (given, taken) = threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .fold((0, 0), |sum, (given, taken)| (sum.0 + given, sum.1 + taken));
        assert_eq!(taken + stock.total(), given);
        assert_eq!(stock.served(), 100_000);
    }

    #[test]
    fn what_is_put_and_does_not_suffice_stays() {
        let stock = stock();
        assert!(!stock.put_and_take(3, 5));
        assert_eq!((stock.stock(), stock.total(), stock.served()), (3, 3, 0));
        assert!(stock.put_and_take(2, 5));
        assert_eq!((stock.stock(), stock.served()), (0, 1));
        assert!(stock.take(0) && !stock.take(1));
    }
}
