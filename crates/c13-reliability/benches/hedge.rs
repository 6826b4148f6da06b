//! What a hedge costs around a call that is ready at once, and around one that is hedged at once.
//!
//! `cargo bench -p c13-reliability --bench hedge`

mod measure;

use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay};
use c13_reliability::time::Clock;
use measure::{head, ready, row};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let with = |config| Hedge::with_config(config, Clock::system()).expect("the settings are good");
    let call = |hedge: &Hedge| {
        assert_eq!(ready(hedge.execute(|| async { Ok::<u64, u64>(black_box(1)) })), Ok(1));
    };
    head();
    let fixed = HedgeConfig::new(HedgeDelay::Fixed(Duration::from_secs(1)));
    let bare = with(fixed.without_budget());
    row("ready at once, fixed delay, without a budget", || call(&bare));
    let budget = with(fixed);
    row("ready at once, fixed delay, with a budget", || call(&budget));
    let percentile = with(HedgeConfig::new(HedgeDelay::P95));
    row("ready at once, measured percentile", || call(&percentile));
    let all = with(HedgeConfig::new(HedgeDelay::Fixed(Duration::ZERO)).without_budget());
    row("hedged at once, won by the hedge", || {
        let attempts = Cell::new(0);
        let result = ready(all.execute(|| {
            attempts.set(attempts.get() + 1);
            let attempt = attempts.get();
            async move {
                if attempt == 1 {
                    std::future::pending::<()>().await;
                }
                Ok::<u64, u64>(black_box(attempt))
            }
        }));
        assert_eq!(result, Ok(2));
    });
}
