//! A price service goes down: the last good price, then a price of yesterday, and never a hidden failure.
//!
//! `cargo run -p c13-reliability --example fallback_example`

use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerError};
use c13_reliability::patterns::fallback::Fallback;
use c13_reliability::time::Clock;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);
/// How long a good price counts.
const KEPT: Duration = Duration::from_secs(2);

// On paused time: it says the same on every machine, however busy.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let clock = Clock::tokio();
    let breaker = CircuitBreaker::new(3, 1, Duration::from_secs(30));
    let prices = Fallback::<f64, CircuitBreakerError<&str>>::last_good(KEPT)
        .with_env(clock.clone())
        .or_value(9.90);
    println!("the last good price counts for 2 s, then yesterday's 9.90 does\n");

    let start = clock.now();
    for step in 0..8 {
        let is_up = step < 3;
        let answer = prices
            .call(breaker.call(async {
                if is_up {
                    Ok(10.0 + f64::from(step))
                } else {
                    Err("connection refused")
                }
            }))
            .await
            .expect("there is always something to fall back on");
        println!(
            "{:>4} ms  service {:<5} breaker {:<9} price {answer:.2}",
            (clock.now() - start).as_millis(),
            if is_up { "up," } else { "down," },
            breaker.current_state().name()
        );
        clock.sleep(if step == 5 { KEPT } else { 40 * MILLISECOND }).await;
    }

    let counts = prices.snapshot();
    println!(
        "\nanswered with the last good price {} times and with yesterday's {} times; the breaker saw {} failures",
        counts.last_good,
        counts.values,
        breaker.metrics().failure_count
    );
    assert!(counts.last_good > 0 && counts.values > 0 && breaker.metrics().failure_count == 3);
}
