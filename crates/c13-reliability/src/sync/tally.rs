//! Counters that are named by the variants of an enum, and that threads count on without waiting for each other.

use super::primitive::{AtomicU64, Ordering};
use super::stripes::{Own, Stripes, WeakWords, Words};
use super::thread_slot::{self, SHARED, Slot};
use std::fmt;
use std::marker::PhantomData;

/// An enum whose variants are what is counted. Made by [`counts!`](crate::sync::counts).
pub(crate) trait Count: Copy + 'static {
    /// All of them, in the order of their indexes.
    const ALL: &'static [Self];

    /// The number of the variant, from 0.
    fn index(self) -> usize;
}

/// Declares an enum of [`Count`]s: one variant a counter.
macro_rules! counts {
    ($(#[$about:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $count:ident),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $count),+ }

        impl $crate::sync::Count for $name {
            const ALL: &'static [Self] = &[$(Self::$count),+];

            #[inline]
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use counts;

/// A counter for each variant of `C`. Clones share their counts.
///
/// A count is one load and one store on a stripe of the thread's own, without a locked instruction; from the 65th thread on,
/// threads share a stripe and add atomically. Counts are exact. Reading adds up all stripes and may miss counts that are made
/// meanwhile.
///
/// Memory: for each thread that counts, eight bytes a counter, rounded up to a cache line.
pub(crate) struct Tally<C> {
    words: Words,
    counts: PhantomData<fn(C)>,
}

impl<C: Count> Tally<C> {
    /// Counters with a stripe for each thread that counts.
    pub(crate) fn new() -> Self {
        Self::on(&Stripes::new(C::ALL.len()))
    }

    /// Counters on one stripe for all threads: small, and an atomic addition a count.
    pub(crate) fn compact() -> Self {
        Self::on(&Stripes::compact(C::ALL.len()))
    }

    /// Counters on stripes that others use too, if these have room for them.
    pub(crate) fn on(stripes: &Stripes) -> Self {
        Self {
            words: stripes.words(C::ALL.len()),
            counts: PhantomData,
        }
    }

    /// Adds 1 to `count`.
    #[inline]
    pub(crate) fn add_one(&self, count: C) {
        self.add(count, 1);
    }

    /// Adds `n` to `count`.
    #[inline]
    pub(crate) fn add(&self, count: C, n: u64) {
        self.add_and_read(count, n);
    }

    /// Adds `n` to `count`; returns the slot of the stripe that this thread counts on, and the new value there.
    ///
    /// On a stripe that threads share, two threads may see their values in either order.
    #[inline]
    pub(crate) fn add_and_read(&self, count: C, n: u64) -> (Slot, u64) {
        let slot = thread_slot::peek();
        if let Some(word) = self.words.at(slot, count.index()) {
            return (slot, add_alone(word, n));
        }
        self.add_slowly(count, n)
    }

    // Cold, so that the common case stays short in its callers' code.
    #[cold]
    #[inline(never)]
    fn add_slowly(&self, count: C, n: u64) -> (Slot, u64) {
        self.add_at(thread_slot::current(), count, n)
    }

    /// As [`add_and_read`](Self::add_and_read), on the stripe of this slot, which must be the thread's own or shared.
    pub(crate) fn add_at(&self, slot: Slot, count: C, n: u64) -> (Slot, u64) {
        match self.words.own(slot) {
            Own::Alone(words) => (slot, add_alone(&words[count.index()], n)),
            Own::Shared(words) => {
                // Relaxed: a count orders nothing.
                let before = words[count.index()].fetch_add(n, Ordering::Relaxed);
                (Slot::numbered(SHARED), before.wrapping_add(n))
            }
        }
    }

    /// The sum of `counts` on each stripe, with the number of its slot. Complexity: as [`sum`](Self::sum).
    pub(crate) fn values<'a>(&'a self, counts: &'a [C]) -> impl Iterator<Item = (usize, u64)> + 'a {
        self.words.each().map(|(slot, words)| (slot, sum(words, counts)))
    }

    /// The number of the slot of the stripe that this thread counts on, and the sum of `counts` there.
    pub(crate) fn value_here(&self, counts: &[C]) -> (usize, u64) {
        let slot = thread_slot::current();
        match self.words.own(slot) {
            Own::Alone(words) => (slot.number(), sum(words, counts)),
            Own::Shared(words) => (SHARED, sum(words, counts)),
        }
    }

    /// The value of `count`. Complexity: O(threads that ever counted, at most 65).
    pub(crate) fn sum(&self, count: C) -> u64 {
        self.values(&[count])
            .fold(0, |sum, (_, value)| u64::wrapping_add(sum, value))
    }

    /// Another set of stripes, compact if this tally is.
    pub(crate) fn stripes_alike(&self, words: usize) -> Stripes {
        self.words.alike(words)
    }

    /// Whether it is a clone of `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.words.is_same(&other.words)
    }

    /// A weak reference to the same counters.
    pub(crate) fn downgrade(&self) -> WeakTally<C> {
        WeakTally {
            words: self.words.downgrade(),
            counts: PhantomData,
        }
    }
}

/// Adds `n` on a stripe that only this thread writes to; returns the new value.
#[inline]
fn add_alone(word: &AtomicU64, n: u64) -> u64 {
    // Relaxed: this thread is the word's only writer, and a count orders nothing. The next thread with this slot sees it by
    // the release and acquire of the slot's pool.
    let value = word.load(Ordering::Relaxed).wrapping_add(n);
    // Relaxed: as above.
    word.store(value, Ordering::Relaxed);
    value
}

fn sum<C: Count>(words: &[AtomicU64], counts: &[C]) -> u64 {
    // Relaxed: a count orders nothing.
    let value = |count: &C| words[count.index()].load(Ordering::Relaxed);
    counts.iter().map(value).fold(0, u64::wrapping_add)
}

/// Counters that are not kept alive by this.
pub(crate) struct WeakTally<C> {
    words: WeakWords,
    counts: PhantomData<fn(C)>,
}

impl<C: Count> WeakTally<C> {
    /// The counters, if somebody still holds them.
    pub(crate) fn upgrade(&self) -> Option<Tally<C>> {
        Some(Tally {
            words: self.words.upgrade()?,
            counts: PhantomData,
        })
    }
}

impl<C> Clone for Tally<C> {
    fn clone(&self) -> Self {
        Self {
            words: self.words.clone(),
            counts: PhantomData,
        }
    }
}

impl<C> fmt::Debug for Tally<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words.fmt(f)
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;

    counts! {
        enum Fruit {
            Apple,
            Pear,
        }
    }

    use Fruit::{Apple, Pear};

    fn count_from(threads: u64, tally: Tally<Fruit>) {
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                let tally = tally.clone();
                std::thread::spawn(move || {
                    for _ in 0..1_000 {
                        tally.add_one(Apple);
                        tally.add(Pear, 3);
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.join().expect("no thread panics");
        }
        assert_eq!((tally.sum(Apple), tally.sum(Pear)), (threads * 1_000, threads * 3_000));
    }

    #[test]
    fn counts_are_exact_while_hundreds_of_threads_come_and_go() {
        count_from(300, Tally::new());
    }

    #[test]
    fn a_compact_tally_counts_the_same() {
        count_from(20, Tally::compact());
    }

    #[test]
    fn tallies_on_one_set_of_stripes_do_not_touch_each_other_and_one_too_many_has_its_own() {
        let stripes = Stripes::new(4);
        let tallies: Vec<Tally<Fruit>> = (0..9).map(|_| Tally::on(&stripes)).collect();
        for (n, tally) in (1..).zip(&tallies) {
            tally.add(Apple, n);
            tally.add_at(Slot::numbered(SHARED), Pear, 10 * n);
        }
        for (n, tally) in (1..).zip(&tallies) {
            assert_eq!((tally.sum(Apple), tally.sum(Pear)), (n, 10 * n));
        }
    }

    #[test]
    fn each_stripe_has_its_own_part_of_the_sum() {
        for tally in [Tally::new(), Tally::compact()] {
            let (slot, value) = tally.add_and_read(Apple, 5);
            let (again, more) = tally.add_and_read(Apple, 2);
            assert_eq!((value, more, again.number()), (5, 7, slot.number()));
            tally.add_at(Slot::numbered(SHARED), Apple, 1);
            assert_eq!(tally.values(&[Apple]).map(|(_, value)| value).sum::<u64>(), 8);
            let before = tally.value_here(&[Apple, Pear]);
            tally.add(Pear, 9);
            assert_eq!(
                tally.value_here(&[Apple, Pear]),
                (slot.number(), before.1 + 9),
                "two counters in one sum"
            );
        }
    }

    #[test]
    fn each_slot_counts_on_a_stripe_of_its_own() {
        let tally = Tally::<Fruit>::new();
        for n in [0, 1, 7, 63, SHARED] {
            tally.add_at(Slot::numbered(n), Apple, n as u64 + 1);
        }
        let counted: Vec<_> = tally.values(&[Apple]).filter(|(_, value)| *value > 0).collect();
        assert_eq!(counted, [(0, 1), (1, 2), (7, 8), (63, 64), (SHARED, 65)]);
    }

    #[test]
    fn weak_counters_end_with_the_last_strong_ones() {
        let tally = Tally::<Fruit>::new();
        let weak = tally.downgrade();
        assert!(weak.upgrade().is_some_and(|other| other.is_same(&tally)));
        drop(tally);
        assert!(weak.upgrade().is_none());
    }
}
