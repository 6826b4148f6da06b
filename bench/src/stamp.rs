//! The time-stamp counter, fenced, so that one call can be timed alone.

use crate::median::median;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The counter, after everything before it and before everything after it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn read() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: both instructions exist on every x86-64, and touch no memory.
    unsafe {
        _mm_lfence();
        let stamp = _rdtsc();
        _mm_lfence();
        stamp
    }
}

/// The counter of other processors, unfenced.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn read() -> u64 {
    quanta::Clock::new().raw()
}

/// What the counter's ticks are worth.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    ticks_per_nanosecond: f64,
    /// What an empty measurement takes, which is taken off every other.
    overhead: u32,
}

impl Scale {
    /// Compares the counter with the monotonic clock for 200 ms.
    pub(crate) fn measure() -> Self {
        let mut rates: Vec<f64> = (0..5)
            .map(|_| {
                let (start, before) = (Instant::now(), read());
                while start.elapsed() < Duration::from_millis(40) {}
                let (elapsed, after) = (start.elapsed(), read());
                (after - before) as f64 / elapsed.as_nanos() as f64
            })
            .collect();
        let mut empty: Vec<u32> = (0..100_000)
            .map(|_| {
                let before = read();
                black_box(());
                u32::try_from(read().wrapping_sub(before)).unwrap_or(u32::MAX)
            })
            .collect();
        empty.sort_unstable();
        Self {
            ticks_per_nanosecond: median(&mut rates),
            overhead: empty[empty.len() / 2],
        }
    }

    /// Nanoseconds of a measurement of `ticks`.
    pub(crate) fn nanos(self, ticks: u32) -> f64 {
        f64::from(ticks.saturating_sub(self.overhead)) / self.ticks_per_nanosecond
    }
}
