//! How the benches measure: nanoseconds a call, the median of several runs, alone and with two threads at once.
//!
//! Compare rows of one run with each other: absolute times drift on shared machines.

use c13_reliability::time::Clock;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const CALLS: u64 = 1_000_000;
const RUNS: usize = 9;

/// Prints the head of the table.
pub(crate) fn head() {
    println!("{:<56} {:>7} {:>7}", "ns a call", "1 thr.", "2 thr.");
}

/// Prints what `call` costs.
pub(crate) fn row(name: &str, call: impl Fn() + Sync) {
    let [one, two] = [1, 2].map(|threads| median(|| nanos_per_call(threads, &call)));
    println!("{name:<56} {one:>7.2} {two:>7.2}");
}

/// The output of a future that is ready when it is first polled.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => black_box(output),
        Poll::Pending => unreachable!("the benched call is ready at once"),
    }
}

fn nanos_per_call(threads: usize, call: &(impl Fn() + Sync)) -> f64 {
    let clock = Clock::system();
    let start = Barrier::new(threads);
    let spent: Vec<Duration> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let before = clock.now();
                    for _ in 0..CALLS {
                        call();
                    }
                    clock.now() - before
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Duration>| thread.join().expect("a call panicked");
        running.into_iter().map(join).collect()
    });
    spent.iter().map(Duration::as_secs_f64).sum::<f64>() * 1e9 / (threads as f64 * CALLS as f64)
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS).map(|_| measure()).collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}
