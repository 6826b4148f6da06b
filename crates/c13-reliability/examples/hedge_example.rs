//! A replica that is slow now and then, with and without a hedge.
//!
//! `cargo run -p c13-reliability --example hedge_example`

use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay};
use c13_reliability::sync::{HistogramSnapshot, Random};
use c13_reliability::time::Clock;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Answers within 5 ms, but one call in fifty takes 80 ms.
async fn replica(clock: &Clock, random: &Random) -> Result<u32, &'static str> {
    let takes = if random.below(50) == 0 {
        80
    } else {
        2 + random.below(3) as u32
    };
    clock.sleep(takes * MILLISECOND).await;
    Ok(takes)
}

// On paused time: it says the same on every machine, however busy.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let clock = Clock::tokio();
    let random = Random::new(7);
    let config = HedgeConfig::new(HedgeDelay::Percentile {
        quantile: 0.95,
        min_calls: 100,
        window: Duration::from_secs(30),
    });
    let hedge = Hedge::with_config(config, clock.clone()).expect("the settings are good");

    let (mut alone, mut hedged) = (HistogramSnapshot::<6>::new(), HistogramSnapshot::<6>::new());
    for call in 0..600 {
        let start = clock.now();
        replica(&clock, &random).await.expect("it only ever is slow");
        alone.record((clock.now() - start).as_micros() as u64);

        let start = clock.now();
        hedge
            .execute(|| replica(&clock, &random))
            .await
            .expect("it only ever is slow");
        if call >= 100 {
            hedged.record((clock.now() - start).as_micros() as u64);
        }
    }

    let show = |name: &str, latencies: &HistogramSnapshot<6>| {
        let [p50, p99] = [0.5, 0.99].map(|q| latencies.quantile(q).unwrap_or(0) as f64 / 1e3);
        println!("{name:<14} P50 {p50:>5.1} ms   P99 {p99:>5.1} ms");
    };
    show("without hedge", &alone);
    show("with hedge", &hedged);
    let counts = hedge.snapshot();
    println!(
        "\nthe hedge waits for {:.1} ms now, which 95 % of the calls take at most",
        hedge.delay().unwrap_or_default().as_secs_f64() * 1e3
    );
    println!(
        "{} of 600 calls were hedged; {} were won by the hedge, {} attempts were dropped",
        counts.hedges, counts.hedge_wins, counts.abandoned
    );
    assert!(counts.hedge_wins > 0);
}
