//! Whether a processor is ours: on a machine that is shared, others slow it down, and two processors may turn out to be one
//! that is shared by two threads.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the reference is looked at before anything is measured.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// So much longer than at its best the reference takes where somebody else is at work.
const DISTURBED: f64 = 1.1;

/// What the reference takes at its best, in nanoseconds.
static BEST: AtomicU64 = AtomicU64::new(u64::MAX);

/// Learns what the reference takes at its best.
pub(crate) fn learn() {
    let start = Instant::now();
    while start.elapsed() < FIRST_LOOK {
        reference();
    }
}

/// Whether nobody disturbs this processor.
pub(crate) fn look() -> bool {
    let now = reference() as f64;
    // Relaxed: a number that only falls.
    now <= BEST.load(Ordering::Relaxed) as f64 * DISTURBED
}

/// Nanoseconds that some work takes, about 7,000, which keeps all units of a processor busy, so that it feels a neighbour on
/// the same core.
fn reference() -> u64 {
    let start = Instant::now();
    let [mut a, mut b, mut c, mut d] = black_box([1_u64, 2, 3, 4]);
    for round in 0..black_box(8_000_u64) {
        a = a.wrapping_add(round) ^ (a << 1);
        b = b.wrapping_mul(5).wrapping_add(round);
        c = (c ^ round).rotate_left(3);
        d = d.wrapping_sub(round) | (d >> 1);
    }
    black_box([a, b, c, d]);
    let nanos = start.elapsed().as_nanos() as u64;
    // Relaxed: as above.
    BEST.fetch_min(nanos, Ordering::Relaxed);
    nanos
}
