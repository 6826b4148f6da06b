//! A server whose capacity halves: the limit finds out by itself.
//!
//! `cargo run -p c13-reliability --example adaptive_example`

use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit, Algorithm};
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use c13_reliability::sync::Random;
use c13_reliability::time::Clock;
use std::sync::Arc;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

// On paused time: it says the same on every machine, however busy.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let clock = Clock::tokio();
    let limit = AdaptiveLimit::with_config(AdaptiveConfig::new(Algorithm::GRADIENT), clock.clone())
        .expect("the settings are good");
    // The server: 20 workers, about 10 ms a call, and a queue that it would love to fill.
    let workers = BulkheadConfig::new(20).queue(1_000_000, Duration::MAX);
    let server = Bulkhead::with_config(workers, clock.clone()).expect("the settings are good");
    let random = Arc::new(Random::new(1));
    println!("a server of 20 workers and 10 ms a call; twice as many callers as it can serve");
    println!("after 2 s it loses half of its workers\n");

    let start = clock.now();
    let mut shown = 0;
    let mut before = None;
    while clock.now() - start < Duration::from_secs(5) {
        for _ in 0..8 {
            let (limit, server, clock, random) = (limit.clone(), server.clone(), clock.clone(), random.clone());
            tokio::spawn(async move {
                let work = server.call(async move {
                    clock.sleep(MILLISECOND * (5 + random.below(11) as u32)).await;
                    Ok::<(), &str>(())
                });
                // A refusal is what keeps the server's queue short.
                let _refused_or_done = limit.call(work).await;
            });
        }
        clock.sleep(2 * MILLISECOND).await;
        let passed = (clock.now() - start).as_millis() / 500;
        if passed > shown {
            shown = passed;
            let snapshot = limit.snapshot();
            println!(
                "{:>5} ms  limit {:>3}   in the server's queue {:>3}   refused so far {:>6}",
                passed * 500,
                snapshot.limit,
                server.snapshot().calls.queued,
                snapshot.calls.rejected
            );
            if passed >= 4 && before.is_none() {
                before = Some(snapshot.limit);
                server.resize(10).expect("ten are a good number");
            }
        }
    }
    let baseline = limit.snapshot().baseline.unwrap_or_default();
    println!(
        "\nwithout load a call takes {:.1} ms, it learnt",
        baseline.as_secs_f64() * 1e3
    );
    let after = limit.limit();
    assert!(
        Some(after) < before,
        "the limit follows the server: {after} after {before:?}"
    );
}
