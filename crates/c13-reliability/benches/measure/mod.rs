//! How the benches measure: nanoseconds a call, the median of several runs, alone and with two threads at once, and
//! allocations a call.
//!
//! Compare rows of one run with each other: absolute times drift on shared machines. Arguments: a part of the names of
//! the rows to run, and a number of calls to make of them without measuring, for tools that count from outside. The
//! instructions of a call are the difference of what
//! `valgrind --tool=callgrind --callgrind-out-file=/dev/null <bench> 'NAME' CALLS` collects for two numbers of calls.

use c13_reliability::time::Clock;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const CALLS: u64 = 1_000_000;
const RUNS: usize = 9;
const COUNTED: u64 = 1_000;

/// Prints the head of the table.
pub(crate) fn head() {
    println!("{:<56} {:>7} {:>7} {:>7}", "ns a call", "1 thr.", "2 thr.", "allocs");
}

/// Prints what `call` costs, if the arguments ask for it.
pub(crate) fn row(name: &str, call: impl Fn() + Sync) {
    // Cargo adds a `--bench` of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if arguments.next().is_some_and(|part| !name.contains(&part)) {
        return;
    }
    if let Some(calls) = arguments.next() {
        let calls: u64 = calls.parse().expect("the second argument is a number of calls");
        return (0..calls).for_each(|_| call());
    }
    let [one, two] = [1, 2].map(|threads| median(|| nanos_per_call(threads, &call)));
    let allocations = allocation_counter::measure(|| (0..COUNTED).for_each(|_| call())).count_total;
    let allocations = allocations as f64 / COUNTED as f64;
    println!("{name:<56} {one:>7.2} {two:>7.2} {allocations:>7.2}");
}

/// The output of a future that is ready when it is first polled. Inlined, so that the future is polled where it is made, as
/// by an `await`, and not copied first.
#[inline(always)]
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => {
            // By reference: a result that is copied through memory in other pieces than it was written in takes longer
            // than most calls.
            let _looked_at = black_box(&output);
            output
        }
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
