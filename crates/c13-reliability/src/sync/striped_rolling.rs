//! How much was counted in the last T of time, without threads waiting for each other: a ring of buckets for each thread.

use super::primitive::{AtomicU64, Ordering};
use super::stripes::{Own, Stripes, Words};
use super::thread_slot::Slot;

/// How many buckets the time is cut into.
const BUCKETS: usize = 10;

/// A count over the last `length` of time, to the precision of a bucket (a tenth of it), striped over threads.
///
/// The window is the current bucket and the nine whole ones before it, as in
/// [`RollingWindow`](crate::window::RollingWindow). A cell is never reset: it carries the number of the bucket that it counts,
/// and a cell with another number counts for nothing. A thread that has a stripe of its own counts with three loads and a
/// store, and divides only when a bucket ends.
///
/// Each count belongs to an era, and reading sees one era only: a new era is an empty window, at no cost.
#[derive(Debug)]
pub(crate) struct StripedRolling {
    bucket_nanos: AtomicU64,
    words: Words,
}

// The words of a stripe. Only its thread uses the first two: the end of the bucket that it counts in, and where that is, as
// the era and the cell.
const END: usize = 0;
const CURRENT: usize = 1;
/// The cells are the words from here on: a tag and a count each.
const CELLS: usize = 2;

/// The low half of a cell is its count, which stops at the end of its range.
const COUNT: u64 = u32::MAX as u64;
/// The high half is its tag: 10 bits of the era and 22 of the bucket's number. A cell of the same tag from another
/// time would have to lie untouched for four million buckets, or 1,024 eras and less than a window.
const BUCKET_BITS: u32 = 22;
const ERAS: u64 = 1 << 10;

fn tag(era: u64, bucket: u64) -> u64 {
    ((era % ERAS) << BUCKET_BITS) | (bucket % (1 << BUCKET_BITS))
}

/// A cell of this tag that holds one more than it did, starting from nothing if it held another tag.
fn one_more(cell: u64, tag: u64) -> u64 {
    if cell >> 32 != tag {
        tag << 32 | 1
    } else if cell & COUNT == COUNT {
        cell
    } else {
        cell + 1
    }
}

impl StripedRolling {
    /// How many words of a stripe a window takes.
    pub(crate) const WORDS: usize = CELLS + BUCKETS;

    /// An empty window on these stripes, whose buckets are this long, at least 1 ns.
    pub(crate) fn on(stripes: &Stripes, bucket_nanos: u64) -> Self {
        Self {
            bucket_nanos: AtomicU64::new(bucket_nanos.max(1)),
            words: stripes.words(Self::WORDS),
        }
    }

    /// Changes the length of a bucket. The caller must begin a new era with it, and tell the counting threads of that
    /// era only after this.
    pub(crate) fn restart(&self, bucket_nanos: u64) {
        // Relaxed: who learns of the new era from the caller sees this too.
        self.bucket_nanos.store(bucket_nanos.max(1), Ordering::Relaxed);
    }

    /// Counts one for `era` at `now`, in nanoseconds of whatever clock the window goes by, for the thread with this slot, which
    /// must be the caller's own or shared.
    #[inline]
    pub(crate) fn count_at(&self, slot: Slot, era: u64, now: u64) {
        match self.words.first::<{ Self::WORDS }>(slot) {
            Some(stripe) if !slot.is_shared() => self.count_alone(stripe, era, now),
            _ => self.count_slowly(slot, era, now),
        }
    }

    #[cold]
    #[inline(never)]
    fn count_slowly(&self, slot: Slot, era: u64, now: u64) {
        match self.words.own(slot) {
            Own::Alone(stripe) => self.count_alone(stripe, era, now),
            Own::Shared(stripe) => self.count_shared(stripe, era, now),
        }
    }

    /// Counts one on a stripe that only this thread writes to.
    #[inline]
    fn count_alone(&self, stripe: &[AtomicU64], era: u64, now: u64) {
        // Relaxed: this thread is the stripe's only writer, and a count orders nothing. The next thread with this slot sees it
        // by the release and acquire of the slot's pool.
        let (end, current) = (
            stripe[END].load(Ordering::Relaxed),
            stripe[CURRENT].load(Ordering::Relaxed),
        );
        if now < end
            && current >> 8 == era % ERAS
            && let Some(cell) = stripe.get(CELLS + (current & 0xFF) as usize)
        {
            // Relaxed: as above, and for the store below.
            let held = cell.load(Ordering::Relaxed);
            if held & COUNT != COUNT {
                cell.store(held + 1, Ordering::Relaxed);
            }
        } else {
            self.begin_bucket(stripe, era, now);
        }
    }

    /// Counts one in a bucket that the thread has not counted in before.
    #[cold]
    fn begin_bucket(&self, stripe: &[AtomicU64], era: u64, now: u64) {
        // Relaxed: see `restart`.
        let length = self.bucket_nanos.load(Ordering::Relaxed);
        let bucket = now / length;
        let index = bucket % BUCKETS as u64;
        let cell = &stripe[CELLS + index as usize];
        // Relaxed: as in `count_alone`.
        let held = cell.load(Ordering::Relaxed);
        // Relaxed: as in `count_alone`, and for the stores below.
        cell.store(one_more(held, tag(era, bucket)), Ordering::Relaxed);
        let end = (bucket + 1).saturating_mul(length);
        stripe[END].store(end, Ordering::Relaxed);
        // Relaxed: as above.
        stripe[CURRENT].store(((era % ERAS) << 8) | index, Ordering::Relaxed);
    }

    #[cold]
    fn count_shared(&self, stripe: &[AtomicU64], era: u64, now: u64) {
        // Relaxed: see `restart`.
        let bucket = now / self.bucket_nanos.load(Ordering::Relaxed);
        let tag = tag(era, bucket);
        let cell = &stripe[CELLS + (bucket % BUCKETS as u64) as usize];
        // Relaxed: a count orders nothing.
        let mut held = cell.load(Ordering::Relaxed);
        // Relaxed: as above; a failed exchange only makes another try.
        while let Err(now) = cell.compare_exchange_weak(held, one_more(held, tag), Ordering::Relaxed, Ordering::Relaxed)
        {
            held = now;
        }
    }

    /// The counts of `era` in the window that ends at `now`, by bucket, the current one first.
    ///
    /// Complexity: O(threads that ever counted, at most 65). Counts made meanwhile may be missed.
    pub(crate) fn counts(&self, era: u64, now: u64) -> [u64; BUCKETS] {
        // Relaxed: see `restart`; and a sum of counts orders nothing.
        let newest = now / self.bucket_nanos.load(Ordering::Relaxed);
        let mut counts = [0; BUCKETS];
        for (_, stripe) in self.words.each() {
            for (age, count) in counts.iter_mut().enumerate() {
                let Some(bucket) = newest.checked_sub(age as u64) else {
                    break;
                };
                // Relaxed: as above.
                let held = stripe[CELLS + (bucket % BUCKETS as u64) as usize].load(Ordering::Relaxed);
                if held >> 32 == tag(era, bucket) {
                    *count += held & COUNT;
                }
            }
        }
        counts
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::*;
    use crate::sync::{Random, thread_slot};
    use crate::time::Tick;
    use crate::window::RollingWindow;
    use std::sync::Arc;
    use std::time::Duration;

    fn total(window: &StripedRolling, era: u64, now: u64) -> u64 {
        window.counts(era, now).iter().sum()
    }

    fn window(bucket_nanos: u64) -> StripedRolling {
        StripedRolling::on(&Stripes::new(StripedRolling::WORDS), bucket_nanos)
    }

    fn agrees_with_the_plain_window(make: fn(u64) -> StripedRolling) {
        for seed in 0..100 {
            let random = Random::new(seed);
            let length = Duration::from_nanos(10 * (1 + random.below(100)));
            let mut plain = RollingWindow::<1, BUCKETS>::new(length);
            let window = make(plain.bucket_length().as_nanos() as u64);
            let (mut now, mut era) = (Tick::from_nanos(random.below(10_000)), 0);
            for step in 0..500 {
                now += Duration::from_nanos(match random.below(20) {
                    0 => random.below(5_000),
                    _ => random.below(50),
                });
                if random.below(50) == 0 {
                    era += 1;
                    plain.clear();
                }
                window.count_at(thread_slot::current(), era, now.as_nanos());
                plain.add(now, 0, 1);
                let later = now + Duration::from_nanos(random.below(200));
                assert_eq!(
                    total(&window, era, later.as_nanos()),
                    plain.clone().totals(later)[0],
                    "seed {seed}, step {step}"
                );
            }
        }
    }

    #[test]
    fn it_agrees_with_the_plain_window_over_random_times_and_eras() {
        agrees_with_the_plain_window(window);
        agrees_with_the_plain_window(|nanos| StripedRolling::on(&Stripes::compact(StripedRolling::WORDS), nanos));
    }

    #[test]
    fn counts_within_one_bucket_are_exact_from_hundreds_of_threads() {
        let window = Arc::new(window(1_000));
        let handles: Vec<_> = (0..200)
            .map(|_| {
                let window = window.clone();
                std::thread::spawn(move || {
                    for _ in 0..1_000 {
                        window.count_at(thread_slot::current(), 7, 5);
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.join().expect("no thread panics");
        }
        assert_eq!(total(&window, 7, 5), 200_000);
        assert_eq!(total(&window, 8, 5), 0);
    }

    #[test]
    fn a_count_stops_at_the_end_of_its_range_and_does_not_spill_into_the_tag() {
        assert_eq!(one_more(tag(3, 4) << 32 | COUNT, tag(3, 4)), tag(3, 4) << 32 | COUNT);
        assert_eq!(one_more(tag(3, 4) << 32 | COUNT, tag(3, 5)), tag(3, 5) << 32 | 1);
    }

    #[test]
    fn buckets_of_another_length_start_with_a_new_era() {
        let window = window(1_000);
        window.count_at(thread_slot::current(), 0, 500);
        window.restart(2_000);
        let now = 1_000;
        window.count_at(thread_slot::current(), 1, now);
        assert_eq!(total(&window, 1, now), 1, "the old era's count is not among these");
        assert_eq!(window.counts(1, now + 1_000), [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
