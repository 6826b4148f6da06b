//! Nanoseconds: batches for the mean, single calls for the percentiles, one thread and two.

use super::quiet;
use crate::case::{Case, Runner};
use crate::processors;
use crate::stamp::Scale;
use serde::{Deserialize, Serialize};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a batch takes: long against the clock's reading, short against the scheduler's slice.
const BATCH: Duration = Duration::from_micros(20);
/// So many batches are a slice, which counts if nobody disturbed the processor before it and after it.
const SLICE: u64 = 10;
/// How many times as long as planned a case is measured at most, to find slices that count.
const PATIENCE: u32 = 4;
const WARM_UP: Duration = Duration::from_millis(10);
const BUFFER: usize = 1_000;

/// How much time is given to one measurement.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Measuring means by batches, for each case and number of threads, in each pass.
    pub(crate) batches: Duration,
    /// Measuring single calls.
    pub(crate) singles: Duration,
    /// What the counter's ticks are worth.
    pub(crate) scale: Scale,
}

/// What one pass found out about a case with one number of threads.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Times {
    /// Nanoseconds a call and thread, the mean over the batches.
    pub(crate) mean: f64,
    /// Whether enough of it was measured while nobody disturbed it; else the mean is that of all batches.
    pub(crate) quiet: bool,
    /// Nanoseconds that half of the calls stayed within, each timed alone.
    pub(crate) p50: f64,
    /// Nanoseconds that 99 of 100 stayed within.
    pub(crate) p99: f64,
}

/// Measures `case` with `threads` threads that share one instance.
pub(crate) fn measure(case: &Case, threads: usize, plan: Plan) -> Times {
    let mut runners = case.runners(threads);
    processors::pin(1);
    let batch = calibrate(&mut *runners[0]);
    let means = on_threads(&mut runners, |runner, stop| {
        let (start, mut all, mut undisturbed) = (Instant::now(), Spent::default(), Spent::default());
        let mut quiet_before = quiet::look();
        loop {
            let slice = Spent::in_slice(runner, batch);
            let quiet_after = quiet::look();
            all.add(slice);
            if quiet_before && quiet_after {
                undisturbed.add(slice);
            }
            quiet_before = quiet_after;
            let enough = undisturbed.time >= plan.batches || start.elapsed() >= plan.batches * PATIENCE;
            if over(enough, stop) {
                return Mean::of(all, undisturbed);
            }
        }
    });
    let singles = on_threads(&mut runners, |runner, stop| {
        let (start, mut seen) = (Instant::now(), Vec::with_capacity(1 << 16));
        let mut ticks = vec![0; BUFFER];
        loop {
            runner.one_by_one(&mut ticks);
            seen.extend_from_slice(&ticks);
            if over(start.elapsed() >= plan.singles, stop) {
                return seen;
            }
        }
    });
    let mut ticks: Vec<u32> = singles.into_iter().flatten().collect();
    ticks.sort_unstable();
    let quantile = |share: f64| plan.scale.nanos(ticks[((ticks.len() - 1) as f64 * share) as usize]);
    Times {
        mean: means.iter().map(|mean| mean.nanos).sum::<f64>() / threads as f64,
        quiet: means.iter().all(|mean| mean.quiet),
        p50: quantile(0.5),
        p99: quantile(0.99),
    }
}

/// What some batches took.
#[derive(Clone, Copy, Default)]
struct Spent {
    time: Duration,
    calls: u64,
}

impl Spent {
    fn in_slice(runner: &mut dyn Runner, batch: u64) -> Self {
        let start = Instant::now();
        for _ in 0..SLICE {
            runner.batch(batch);
        }
        Self {
            time: start.elapsed(),
            calls: batch * SLICE,
        }
    }

    fn add(&mut self, other: Self) {
        self.time += other.time;
        self.calls += other.calls;
    }

    fn nanos_per_call(self) -> f64 {
        self.time.as_nanos() as f64 / self.calls as f64
    }
}

/// Nanoseconds a call, and whether nobody disturbed them.
struct Mean {
    nanos: f64,
    quiet: bool,
}

impl Mean {
    /// That of the undisturbed batches, if they are more than a few.
    fn of(all: Spent, undisturbed: Spent) -> Self {
        let quiet = undisturbed.time >= BATCH * SLICE as u32 * 10;
        let counted = if quiet { undisturbed } else { all };
        Self {
            nanos: counted.nanos_per_call(),
            quiet,
        }
    }
}

/// Whether this thread is done: its own time is up, or another's is, since a lone rest would measure no contention.
fn over(own: bool, stop: &AtomicBool) -> bool {
    if own {
        // Relaxed: only says that it is time to stop; the threads are joined.
        stop.store(true, Ordering::Relaxed);
    }
    // Relaxed: as above.
    stop.load(Ordering::Relaxed)
}

/// Runs `work` with each runner on a thread and a processor of its own, all starting together.
fn on_threads<R: Send>(
    runners: &mut [Box<dyn Runner>],
    work: impl Fn(&mut dyn Runner, &AtomicBool) -> R + Sync,
) -> Vec<R> {
    let stop = AtomicBool::new(false);
    if let [runner] = runners {
        return vec![work(&mut **runner, &stop)];
    }
    let start = Barrier::new(runners.len());
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (runners.iter_mut().enumerate())
            .map(|(processor, runner)| {
                let (start, stop, work, runtime) = (&start, &stop, &work, runtime.clone());
                scope.spawn(move || {
                    let _entered = runtime.enter();
                    processors::pin(processor);
                    start.wait();
                    work(&mut **runner, stop)
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, R>| thread.join().expect("no call panics");
        threads.into_iter().map(join).collect()
    })
}

/// The number of calls that fill a batch, after a warm-up.
fn calibrate(runner: &mut dyn Runner) -> u64 {
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        runner.batch(8);
    }
    let mut calls = 1;
    loop {
        let start = Instant::now();
        runner.batch(calls);
        let elapsed = start.elapsed();
        if elapsed >= BATCH || calls >= 1 << 24 {
            return ((calls as f64 * BATCH.as_secs_f64() / elapsed.as_secs_f64()) as u64).max(1);
        }
        calls *= 2;
    }
}
