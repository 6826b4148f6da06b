//! A dependency fails for a while. The breaker stops the calls to it, looks after it now and then, and lets the traffic
//! through again once it has recovered.
//!
//! `cargo run -p c13-reliability --example circuit_breaker_example`

use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerError, CircuitState};
use c13_reliability::time::{Clock, Tick};
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Answers in 5 ms, and refuses from 300 ms to 1,200 ms after `start`.
async fn dependency(clock: &Clock, start: Tick) -> Result<&'static str, &'static str> {
    clock.sleep(5 * MILLISECOND).await;
    match (clock.now() - start).as_millis() {
        300..1_200 => Err("connection refused"),
        _ => Ok("42"),
    }
}

#[tokio::main]
async fn main() {
    let clock = Clock::system();
    let start = clock.now();
    let breaker = CircuitBreaker::new(5, 2, 400 * MILLISECOND);
    println!("it opens after 5 failures in a row, for 400 ms; 2 successful probes close it");
    println!("the dependency refuses from 300 ms to 1200 ms\n");

    let mut last = String::new();
    // And until it has closed, which takes longer on a machine that stands still now and then.
    while clock.now() - start < 2_000 * MILLISECOND || breaker.current_state() != CircuitState::Closed {
        let answer = match breaker.call(dependency(&clock, start)).await {
            Ok(_) => "answered".to_owned(),
            Err(CircuitBreakerError::CallFailed(error)) => format!("failed: {error}"),
            Err(_) => "refused without asking the dependency".to_owned(),
        };
        let line = format!("{:<10} {answer}", breaker.current_state().name());
        if line != last {
            println!("{:>5} ms  {line}", (clock.now() - start).as_millis());
            last = line;
        }
        clock.sleep(20 * MILLISECOND).await;
    }

    let metrics = breaker.metrics();
    println!(
        "\n{} calls: {} succeeded, {} failed, {} were refused and spared the dependency; {} changes of state",
        metrics.total_requests,
        metrics.success_count,
        metrics.failure_count,
        metrics.rejection_count,
        metrics.state_transitions
    );
    assert_eq!(breaker.current_state(), CircuitState::Closed);
}
