//! What was counted in the last T of time, without threads fighting over it: a ring of buckets for each thread.

use super::primitive::{AtomicU64, Ordering};
use super::slot::{self, OWNED};

/// How many buckets the time is cut into.
const BUCKETS: usize = 10;

/// A count of the last `length` of time, to the precision of a bucket (a tenth of it), striped over threads.
///
/// The window is the current bucket and the nine whole ones before it, as in
/// [`RollingWindow`](crate::window::RollingWindow). Nobody ever resets a cell: it carries the number of the bucket that
/// it counts, and one with another number is a thing of the past. A thread that has a stripe of its own counts with
/// three loads and a store, and divides only when a bucket ends.
///
/// Each count belongs to an era, and reading sees one era only: a new era is an empty window, at no cost.
///
/// Memory: 65 stripes of 128 bytes, 8.3 KB; one stripe if [`compact`](StripedRolling::compact).
#[derive(Debug)]
pub(crate) struct StripedRolling {
    bucket_nanos: AtomicU64,
    stripes: Box<[Stripe]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Stripe {
    /// The end of the bucket that the owner counts in, and where that is: the era and the cell. Only the owner uses
    /// them.
    end: AtomicU64,
    current: AtomicU64,
    /// A tag and a count each.
    cells: [AtomicU64; BUCKETS],
}

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
    /// An empty window whose buckets are this long, at least 1 ns.
    pub(crate) fn new(bucket_nanos: u64) -> Self {
        Self::with_stripes(bucket_nanos, OWNED + 1)
    }

    /// The same in one stripe, with an atomic exchange a count.
    pub(crate) fn compact(bucket_nanos: u64) -> Self {
        Self::with_stripes(bucket_nanos, 1)
    }

    fn with_stripes(bucket_nanos: u64, stripes: usize) -> Self {
        Self {
            bucket_nanos: AtomicU64::new(bucket_nanos.max(1)),
            stripes: (0..stripes)
                .map(|_| Stripe {
                    end: AtomicU64::new(0),
                    current: AtomicU64::new(0),
                    cells: std::array::from_fn(|_| AtomicU64::new(0)),
                })
                .collect(),
        }
    }

    /// Changes the length of a bucket. The caller must begin a new era with it, and tell the counting threads of that
    /// era only after this.
    pub(crate) fn restart(&self, bucket_nanos: u64) {
        // Relaxed: who learns of the new era from the caller sees this too.
        self.bucket_nanos.store(bucket_nanos.max(1), Ordering::Relaxed);
    }

    /// Counts one for `era` at `now`, in nanoseconds of whatever clock the window goes by, on a stripe that the caller
    /// owns, or on the last one: on the one that a counter of the same form has just told.
    #[inline]
    pub(crate) fn count_at(&self, slot: usize, era: u64, now: u64) {
        let last = self.stripes.len() - 1;
        if slot >= last {
            self.count_shared(era, now);
            return;
        }
        let stripe = &self.stripes[slot];
        // Relaxed: this thread is the only one to write `end` and `current` and the only writer of its cells; a count
        // orders nothing. The next owner of the slot sees them by the pool's release and acquire.
        let (end, current) = (
            stripe.end.load(Ordering::Relaxed),
            stripe.current.load(Ordering::Relaxed),
        );
        if now < end
            && current >> 8 == era % ERAS
            && let Some(cell) = stripe.cells.get((current & 0xFF) as usize)
        {
            // Relaxed: as above, and for the store below.
            let held = cell.load(Ordering::Relaxed);
            if held & COUNT != COUNT {
                cell.store(held + 1, Ordering::Relaxed);
            }
        } else {
            self.turn(stripe, era, now);
        }
    }

    /// Counts one in a bucket that the owner of the stripe has not counted in before.
    #[cold]
    fn turn(&self, stripe: &Stripe, era: u64, now: u64) {
        // Relaxed: see `restart`.
        let length = self.bucket_nanos.load(Ordering::Relaxed);
        let bucket = now / length;
        let index = bucket % BUCKETS as u64;
        let cell = &stripe.cells[index as usize];
        // Relaxed: as in `count_at`.
        cell.store(
            one_more(cell.load(Ordering::Relaxed), tag(era, bucket)),
            Ordering::Relaxed,
        );
        let end = (bucket + 1).saturating_mul(length);
        // Relaxed: as in `count_at`.
        stripe.end.store(end, Ordering::Relaxed);
        stripe.current.store(((era % ERAS) << 8) | index, Ordering::Relaxed);
    }

    #[cold]
    fn count_shared(&self, era: u64, now: u64) {
        // Relaxed: see `restart`.
        let bucket = now / self.bucket_nanos.load(Ordering::Relaxed);
        let tag = tag(era, bucket);
        let cell = &self.stripes[self.stripes.len() - 1].cells[(bucket % BUCKETS as u64) as usize];
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
        let last = self.stripes.len() - 1;
        let used = slot::used().min(last);
        let mut counts = [0; BUCKETS];
        for stripe in self.stripes[..used].iter().chain(self.stripes.last()) {
            for (age, count) in counts.iter_mut().enumerate() {
                let Some(bucket) = newest.checked_sub(age as u64) else {
                    break;
                };
                // Relaxed: as above.
                let held = stripe.cells[(bucket % BUCKETS as u64) as usize].load(Ordering::Relaxed);
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
    use crate::sync::Random;
    use crate::time::Tick;
    use crate::window::RollingWindow;
    use std::sync::Arc;
    use std::time::Duration;

    fn total(window: &StripedRolling, era: u64, now: u64) -> u64 {
        window.counts(era, now).iter().sum()
    }

    fn agrees_with_the_plain_window(make: fn(u64) -> StripedRolling) {
        for seed in 0..100 {
            let random = Random::new(seed);
            let length = Duration::from_nanos(10 * (1 + random.below(100)));
            let mut plain = RollingWindow::<1>::new(length, BUCKETS);
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
                window.count_at(slot::current(), era, now.as_nanos());
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
        agrees_with_the_plain_window(StripedRolling::new);
        agrees_with_the_plain_window(StripedRolling::compact);
    }

    #[test]
    fn counts_within_one_bucket_are_exact_from_hundreds_of_threads() {
        let window = Arc::new(StripedRolling::new(1_000));
        let handles: Vec<_> = (0..200)
            .map(|_| {
                let window = window.clone();
                std::thread::spawn(move || {
                    for _ in 0..1_000 {
                        window.count_at(slot::current(), 7, 5);
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
        let window = StripedRolling::new(1_000);
        window.count_at(slot::current(), 0, 500);
        window.restart(2_000);
        let now = 1_000;
        window.count_at(slot::current(), 1, now);
        assert_eq!(total(&window, 1, now), 1, "the old era's count is not among these");
        assert_eq!(window.counts(1, now + 1_000), [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
