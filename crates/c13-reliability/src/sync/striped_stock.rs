//! Stocks that threads draw on without fighting over them: one for each of 64 threads and one for all others.

use super::primitive::{AtomicU64, Ordering};
use super::slot::{self, OWNED};

/// How many stocks there are.
pub(crate) const STOCKS: u64 = OWNED as u64 + 1;

/// Something that threads were given in advance, each on a stripe of its own, and how many requests it has served.
///
/// A thread that owns a stripe is its only writer, so that a request is a load and a store, without a locked instruction;
/// from the 65th thread on they share a stripe. Whoever gives in advance must see to it that all stocks together are no
/// more than it can spare: what lies in the stock of a thread that asks for nothing stays there. When a thread ends, the
/// next one finds what it left.
#[derive(Debug)]
pub(crate) struct StripedStock {
    owned: Box<[Stripe]>,
    shared: Stripe,
}

/// Two cache lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe {
    stock: AtomicU64,
    served: AtomicU64,
}

impl Stripe {
    fn new() -> Self {
        Self {
            stock: AtomicU64::new(0),
            served: AtomicU64::new(0),
        }
    }

    /// Takes `n` after adding `given`, on a stripe that nobody else writes.
    #[inline]
    fn take_owned(&self, given: u64, n: u64) -> bool {
        // Relaxed: this thread is the only writer, and a stock orders nothing. The next owner of the slot sees it by the
        // pool's release and acquire.
        let stock = self.stock.load(Ordering::Relaxed).wrapping_add(given);
        let left = stock.checked_sub(n);
        if left.is_some() || given > 0 {
            // Relaxed: as above.
            self.stock.store(left.unwrap_or(stock), Ordering::Relaxed);
        }
        if left.is_some() {
            // Relaxed: as above.
            self.served
                .store(self.served.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        left.is_some()
    }

    /// Takes `n` after adding `given`, on a stripe that others write as well.
    fn take_shared(&self, given: u64, n: u64) -> bool {
        let mut taken = false;
        // Relaxed: a stock orders nothing.
        let _ = self.stock.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stock| {
            let stock = stock.wrapping_add(given);
            taken = stock >= n;
            Some(if taken { stock - n } else { stock })
        });
        if taken {
            // Relaxed: a count orders nothing.
            self.served.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

impl StripedStock {
    /// All stocks are empty.
    pub(crate) fn new() -> Self {
        Self {
            owned: (0..OWNED).map(|_| Stripe::new()).collect(),
            shared: Stripe::new(),
        }
    }

    /// Takes `n` from this thread's stock, if it holds as much.
    #[inline]
    pub(crate) fn take(&self, n: u64) -> bool {
        // A thread without a slot has a number beyond all stripes, so that one comparison tells all that is to know.
        match self.owned.get(slot::peek()) {
            Some(stripe) => stripe.take_owned(0, n),
            None => self.take_elsewhere(n),
        }
    }

    #[inline(never)]
    fn take_elsewhere(&self, n: u64) -> bool {
        self.take_at(slot::current(), 0, n)
    }

    /// Puts `given` into this thread's stock, and then takes `n`, if it holds as much.
    pub(crate) fn put_and_take(&self, given: u64, n: u64) -> bool {
        self.take_at(slot::current(), given, n)
    }

    /// The same on a stripe that the caller owns, or on the shared one.
    pub(crate) fn take_at(&self, slot: usize, given: u64, n: u64) -> bool {
        match self.owned.get(slot) {
            Some(stripe) => stripe.take_owned(given, n),
            None => self.shared.take_shared(given, n),
        }
    }

    /// What this thread's stock holds.
    pub(crate) fn stock(&self) -> u64 {
        let stripe = self.owned.get(slot::current()).unwrap_or(&self.shared);
        // Relaxed: a stock orders nothing.
        stripe.stock.load(Ordering::Relaxed)
    }

    /// What all stocks hold together. Complexity: O(stripes).
    pub(crate) fn total(&self) -> u64 {
        // Relaxed: as above.
        self.sum(|stripe| stripe.stock.load(Ordering::Relaxed))
    }

    /// How many requests were served from stock. Complexity: O(stripes).
    pub(crate) fn served(&self) -> u64 {
        // Relaxed: a count orders nothing.
        self.sum(|stripe| stripe.served.load(Ordering::Relaxed))
    }

    fn sum(&self, read: impl Fn(&Stripe) -> u64) -> u64 {
        self.owned.iter().chain([&self.shared]).map(read).sum()
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn what_is_given_is_what_is_taken_and_what_is_left() {
        let stock = Arc::new(StripedStock::new());
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
        let stock = StripedStock::new();
        assert!(!stock.put_and_take(3, 5));
        assert_eq!((stock.stock(), stock.total(), stock.served()), (3, 3, 0));
        assert!(stock.put_and_take(2, 5));
        assert_eq!((stock.stock(), stock.served()), (0, 1));
        assert!(stock.take(0) && !stock.take(1));
    }
}
