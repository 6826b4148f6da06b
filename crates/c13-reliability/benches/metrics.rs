//! What it costs a call that its part is registered, bridged to OpenTelemetry and read ten times a second: nothing, and
//! this fails if it is more than 1 ns.
//!
//! `cargo bench -p c13-reliability --features otel --bench metrics`

use c13_reliability::observability::otel::bridge;
use c13_reliability::observability::prometheus::{self, Format};
use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig};
use c13_reliability::patterns::rate_limiter::{RateLimiterConfig, TokenBucketRateLimiter};
use c13_reliability::snapshot::Registry;
use c13_reliability::time::Clock;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

const CALLS: u64 = 1_000_000;
/// Each of one measurement with metrics and one without, so that a machine's drift meets both.
const PAIRS: usize = 25;
const MOST: f64 = 1.0;

fn main() {
    let registry = Registry::new();
    let breaker = || CircuitBreaker::with_config(CircuitBreakerConfig::default(), Clock::system());
    let [plain, seen] = [(), ()].map(|()| breaker().expect("the defaults are good"));
    registry.register("breaker", &seen).expect("the name is free");
    let bucket = || TokenBucketRateLimiter::with_config(RateLimiterConfig::new(1e9, 1_000_000_000), Clock::system());
    let [plain_bucket, seen_bucket] = [(), ()].map(|()| bucket().expect("the settings are good"));
    registry.register("limiter", &seen_bucket).expect("the name is free");

    let reader = PeriodicReader::builder(InMemoryMetricExporter::default())
        .with_interval(Duration::from_millis(100))
        .build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let _metrics = bridge(&provider.meter("bench"), &registry);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: nothing but the flag itself is told by it.
            while !over.load(Ordering::Relaxed) {
                black_box(prometheus::encode(&registry.families(), Format::Text));
                thread::park_timeout(Duration::from_millis(100));
            }
        });
        println!("{:<36} {:>8} {:>8} {:>8}", "ns a call", "off", "on", "more");
        let more = [
            row("breaker closed, permit", || permit(&plain), || permit(&seen)),
            row("breaker closed, call", || call(&plain), || call(&seen)),
            row("token bucket, allowed", || take(&plain_bucket), || take(&seen_bucket)),
        ];
        // Relaxed: as above.
        over.store(true, Ordering::Relaxed);
        assert!(
            more.iter().all(|more| *more <= MOST),
            "metrics cost more than {MOST} ns a call"
        );
    });
}

fn permit(breaker: &CircuitBreaker) {
    breaker.try_acquire().expect("it is closed").success();
}

fn call(breaker: &CircuitBreaker) {
    let mut call = pin!(breaker.call(ready(black_box(Ok::<u64, u64>(1)))));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(black_box(polled), Poll::Ready(Ok(1))));
}

fn take(limiter: &TokenBucketRateLimiter) {
    assert!(black_box(limiter.try_acquire(1)).is_ok());
}

/// Prints what a call costs without and with metrics; the median of the differences.
fn row(name: &str, off: impl Fn(), on: impl Fn()) -> f64 {
    let pairs: Vec<[f64; 2]> = (0..PAIRS).map(|_| [nanos(&off), nanos(&on)]).collect();
    let of = |number: fn(&[f64; 2]) -> f64| median(pairs.iter().map(number).collect());
    let (off, on, more) = (of(|pair| pair[0]), of(|pair| pair[1]), of(|pair| pair[1] - pair[0]));
    println!("{name:<36} {off:>8.2} {on:>8.2} {more:>8.2}");
    more
}

fn nanos(call: impl Fn()) -> f64 {
    let clock = Clock::system();
    let start = clock.now();
    for _ in 0..CALLS {
        call();
    }
    (clock.now() - start).as_secs_f64() * 1e9 / CALLS as f64
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
