//! What a call through a breaker costs, alone and with two threads on one breaker.
//!
//! `cargo bench -p c13-reliability --bench circuit_breaker`. Prints nanoseconds a call, the median
//! of several runs. Compare rows of one run with each other: absolute times drift on shared machines.

use c13_reliability::patterns::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, FailureRate, FailuresWithin, SlowCalls, Window,
};
use c13_reliability::time::Clock;
use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const CALLS: u64 = 2_000_000;
const RUNS: usize = 9;

fn main() {
    let clock = Clock::system();
    println!("{:<52} {:>7} {:>7}", "ns a call", "1 thr.", "2 thr.");

    let second = Duration::from_secs(1);
    let consecutive = with(CircuitBreakerConfig::default());
    row(&clock, "closed, consecutive failures, permit", &consecutive, permit);
    row(&clock, "closed, consecutive failures, call", &consecutive, call);
    let rate = |window| with(CircuitBreakerConfig::new().failure_rate(FailureRate::new(0.5, window, 20)));
    row(
        &clock,
        "closed, failure rate over 100 calls, permit",
        &rate(Window::Calls(100)),
        permit,
    );
    let rolling = rate(Window::Time(10 * second));
    row(&clock, "closed, failure rate over 10 s, permit", &rolling, permit);
    row(&clock, "closed, failure rate over 10 s, call", &rolling, call);
    let share = FailuresWithin::new(5, 30 * second).share(0.5);
    let profile = with(CircuitBreakerConfig::new().failures_within(share));
    row(
        &clock,
        "closed, 5 failures within 30 s and half, permit",
        &profile,
        permit,
    );
    let slow = SlowCalls::new(second, 0.5, Window::Calls(100), 20);
    let slow = with(CircuitBreakerConfig::new().slow_calls(slow));
    row(&clock, "closed, slow calls of 100, permit", &slow, permit);
    row(
        &clock,
        "closed, every other call fails, permit",
        &rolling_that_never_trips(),
        alternate,
    );
    let open = with(CircuitBreakerConfig::default().open_for(3600 * second));
    for _ in 0..5 {
        open.try_acquire().expect("closed").failure();
    }
    row(&clock, "open, refusal", &open, refused);
}

/// Measures and prints one row.
fn row(clock: &Clock, name: &str, breaker: &CircuitBreaker, call: impl Fn(&CircuitBreaker) + Copy + Sync) {
    let one = median(|| nanos_per_call(clock, 1, breaker, call));
    let two = median(|| nanos_per_call(clock, 2, breaker, call));
    println!("{name:<52} {one:>7.2} {two:>7.2}");
}

fn with(config: CircuitBreakerConfig) -> CircuitBreaker {
    CircuitBreaker::with_config(config, Clock::system()).expect("the settings are good")
}

fn rolling_that_never_trips() -> CircuitBreaker {
    let window = Window::Time(Duration::from_secs(10));
    with(CircuitBreakerConfig::new().failure_rate(FailureRate::new(1.0, window, u64::MAX)))
}

fn permit(breaker: &CircuitBreaker) {
    match breaker.try_acquire() {
        Ok(permit) => permit.success(),
        Err(_) => unreachable!("the circuit is closed"),
    }
}

fn alternate(breaker: &CircuitBreaker) {
    permit(breaker);
    match breaker.try_acquire() {
        Ok(permit) => permit.failure(),
        Err(_) => unreachable!("the circuit never opens"),
    }
}

fn call(breaker: &CircuitBreaker) {
    let mut call = pin!(breaker.call(ready(Ok::<u64, u64>(black_box(1)))));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(black_box(polled), Poll::Ready(Ok(_))));
}

fn refused(breaker: &CircuitBreaker) {
    assert!(black_box(breaker.try_acquire()).is_err());
}

/// Nanoseconds a call while `threads` threads make calls at once.
fn nanos_per_call(
    clock: &Clock,
    threads: usize,
    breaker: &CircuitBreaker,
    call: impl Fn(&CircuitBreaker) + Copy + Sync,
) -> f64 {
    let start = Barrier::new(threads);
    let spent: Vec<Duration> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let before = clock.now();
                    for _ in 0..CALLS {
                        call(black_box(breaker));
                    }
                    clock.now() - before
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a call panicked"))
            .collect()
    });
    spent.iter().map(Duration::as_secs_f64).sum::<f64>() * 1e9 / (threads as f64 * CALLS as f64)
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS).map(|_| measure()).collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}
