//! The time-stamp counter, fenced, so that one call can be timed alone; and the processor that a thread stays on.

use std::hint::black_box;
use std::num::NonZero;
use std::sync::OnceLock;
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
            ticks_per_nanosecond: super::time::median(&mut rates),
            overhead: empty[empty.len() / 2],
        }
    }

    /// Nanoseconds of a measurement of `ticks`.
    pub(crate) fn nanos(self, ticks: u32) -> f64 {
        f64::from(ticks.saturating_sub(self.overhead)) / self.ticks_per_nanosecond
    }
}

/// How many processors there are. Asked once, before any thread is pinned: a pinned thread is told of one.
pub(crate) fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, NonZero::get))
}

/// Keeps this thread on one processor, where the system allows it.
pub(crate) fn pin(processor: usize) {
    #[cfg(target_os = "linux")]
    {
        let count = processors();
        let mut set = rustix::thread::CpuSet::new();
        set.set(processor % count);
        // A machine that refuses gives noisier figures, not wrong ones.
        let _refused = rustix::thread::sched_setaffinity(None, &set);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = processor;
}
