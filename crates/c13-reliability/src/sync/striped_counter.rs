//! Counters that threads do not fight over: a stripe for each of 64 threads and one for all others.

use super::primitive::{AtomicU64, Ordering};
use super::slot::{self, OWNED};

/// `N` counters side by side, striped over threads.
///
/// A thread that has a stripe of its own is its only writer, so that counting is one load and one store, without a
/// locked instruction; from the 65th thread on they share a stripe and add atomically. Counts are exact. Reading sums
/// all stripes that were ever used and may miss counts made meanwhile.
///
/// Memory: 65 stripes of 128 bytes for up to 16 counters, 8.3 KB; [`compact`](StripedCounter::compact) takes one
/// stripe.
#[derive(Debug)]
pub struct StripedCounter<const N: usize> {
    /// One for each thread slot, or none.
    owned: Box<[Stripe<N>]>,
    /// For all further threads.
    shared: Box<Stripe<N>>,
}

/// Two cache lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Stripe<const N: usize>([AtomicU64; N]);

impl<const N: usize> Stripe<N> {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Adds `n` on a stripe that nobody else writes; returns what now stands there.
    #[inline]
    fn add_owned(&self, counter: usize, n: u64) -> u64 {
        let cell = &self.0[counter];
        // Relaxed: this thread is the cell's only writer, and a count orders nothing. The next owner of the slot
        // sees it by the pool's release and acquire.
        let value = cell.load(Ordering::Relaxed).wrapping_add(n);
        // Relaxed: as above.
        cell.store(value, Ordering::Relaxed);
        value
    }

    /// Adds `n` on a stripe that others write as well; returns what now stands there.
    fn add_shared(&self, counter: usize, n: u64) -> u64 {
        // Relaxed: a count orders nothing.
        self.0[counter].fetch_add(n, Ordering::Relaxed).wrapping_add(n)
    }

    fn sum(&self, counters: &[usize]) -> u64 {
        let add = |sum, counter: &usize| {
            // Relaxed: a count orders nothing.
            u64::wrapping_add(sum, self.0[*counter].load(Ordering::Relaxed))
        };
        counters.iter().fold(0, add)
    }
}

impl<const N: usize> StripedCounter<N> {
    /// Counters that are cheap to count, from many threads at once.
    #[must_use]
    pub fn new() -> Self {
        Self::with_owned(OWNED)
    }

    /// Counters that are small instead: one stripe, and an atomic addition a count.
    #[must_use]
    pub fn compact() -> Self {
        Self::with_owned(0)
    }

    fn with_owned(owned: usize) -> Self {
        Self {
            owned: (0..owned).map(|_| Stripe::new()).collect(),
            shared: Box::new(Stripe::new()),
        }
    }

    /// Adds `n` to counter `counter`.
    ///
    /// # Panics
    ///
    /// If there is no such counter.
    #[inline]
    pub fn add(&self, counter: usize, n: u64) {
        self.add_and_read(counter, n);
    }

    /// Adds `n` to counter `counter`; returns this thread's stripe and what now stands there.
    ///
    /// On a stripe that threads share, two adders may see their values in either order.
    #[inline]
    pub(crate) fn add_and_read(&self, counter: usize, n: u64) -> (usize, u64) {
        // A thread without a slot has a number beyond all stripes, so that one comparison tells all that is to know.
        let slot = slot::peek();
        match self.owned.get(slot) {
            Some(stripe) => (slot, stripe.add_owned(counter, n)),
            None => self.add_elsewhere(counter, n),
        }
    }

    #[cold]
    fn add_elsewhere(&self, counter: usize, n: u64) -> (usize, u64) {
        let slot = slot::current().min(self.owned.len());
        (slot, self.add_at(slot, counter, n))
    }

    /// Adds `n` to counter `counter` on a stripe that the caller owns, or on the shared one; returns what now stands
    /// there.
    pub(crate) fn add_at(&self, slot: usize, counter: usize, n: u64) -> u64 {
        match self.owned.get(slot) {
            Some(stripe) => stripe.add_owned(counter, n),
            None => self.shared.add_shared(counter, n),
        }
    }

    /// How many stripes there are; the last is shared.
    pub(crate) fn stripes(&self) -> usize {
        self.owned.len() + 1
    }

    /// The sum of `counters` on each stripe that was ever used, by its number. Complexity: as
    /// [`sum`](StripedCounter::sum).
    pub(crate) fn values<'a>(&'a self, counters: &'a [usize]) -> impl Iterator<Item = (usize, u64)> + 'a {
        let used = slot::used().min(self.owned.len());
        self.owned[..used]
            .iter()
            .enumerate()
            .chain([(self.owned.len(), &*self.shared)])
            .map(|(number, stripe)| (number, stripe.sum(counters)))
    }

    /// This thread's stripe, and the sum of `counters` on it.
    pub(crate) fn value_here(&self, counters: &[usize]) -> (usize, u64) {
        let slot = slot::current().min(self.owned.len());
        (slot, self.owned.get(slot).unwrap_or(&self.shared).sum(counters))
    }

    /// The value of counter `counter`. Complexity: O(threads that ever counted, at most 65).
    ///
    /// # Panics
    ///
    /// If there is no such counter.
    #[must_use]
    pub fn sum(&self, counter: usize) -> u64 {
        self.values(&[counter])
            .fold(0, |sum, (_, value)| u64::wrapping_add(sum, value))
    }
}

impl<const N: usize> Default for StripedCounter<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn count_from(threads: u64, counter: StripedCounter<2>) {
        let counter = Arc::new(counter);
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                let counter = counter.clone();
                std::thread::spawn(move || {
                    for _ in 0..1_000 {
                        counter.add(0, 1);
                        counter.add(1, 3);
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.join().expect("no thread panics");
        }
        assert_eq!((counter.sum(0), counter.sum(1)), (threads * 1_000, threads * 3_000));
    }

    #[test]
    fn counts_are_exact_while_hundreds_of_threads_come_and_go() {
        count_from(300, StripedCounter::new());
    }

    #[test]
    fn each_stripe_tells_its_own_part_of_the_sum() {
        for counter in [StripedCounter::<2>::new(), StripedCounter::compact()] {
            let (stripe, value) = counter.add_and_read(0, 5);
            assert_eq!((value, counter.add_and_read(0, 2)), (5, (stripe, 7)));
            counter.add_at(counter.stripes() - 1, 0, 1);
            assert_eq!(counter.values(&[0]).map(|(_, value)| value).sum::<u64>(), 8);
            assert!(counter.values(&[0]).any(|(at, value)| at == stripe && value >= 7));
            let before = counter.value_here(&[0, 1]);
            counter.add(1, 9);
            assert_eq!(
                counter.value_here(&[0, 1]),
                (stripe, before.1 + 9),
                "two counters in one sum"
            );
        }
    }

    #[test]
    fn a_compact_counter_counts_the_same() {
        count_from(20, StripedCounter::compact());
    }
}
