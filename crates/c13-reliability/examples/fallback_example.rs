//! A page that shows prices: fresh, as last seen, or none at all.
//!
//! `cargo run -p c13-reliability --example fallback_example`

use c13_reliability::patterns::circuit_breaker::CircuitBreaker;
use c13_reliability::patterns::fallback::Fallback;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let breaker = CircuitBreaker::new(2, 1, Duration::from_secs(30));
    let prices = Fallback::<u32, String>::last_good(Duration::from_secs(60)).or_value(0);

    let service = [
        Err("connection refused"),
        Ok(42),
        Err("timed out"),
        Err("timed out"),
        Ok(43),
    ];
    for answer in service {
        // The fallback is outside, so the breaker sees every failure.
        let shown = prices
            .call(async { breaker.call(async { answer }).await.map_err(|error| error.to_string()) })
            .await;
        println!(
            "the service says {answer:?}; the page shows {shown:?}; the circuit is {:?}",
            breaker.current_state()
        );
    }
    let counts = prices.snapshot();
    println!("{counts:?}");
    assert_eq!((counts.values, counts.last_good), (1, 3));
    assert_eq!(breaker.metrics().failure_count, 3);
}
