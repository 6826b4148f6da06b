//! Hedges around a call that is ready at once, and around one that is hedged at once.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay};
use c13_reliability::time::Clock;
use std::cell::Cell;
use std::time::Duration;

pub(crate) fn add(cases: &mut Cases) {
    let with = |config| Hedge::with_config(config, Clock::system()).expect("the settings are good");
    let fixed = HedgeConfig::new(HedgeDelay::Fixed(Duration::from_secs(1)));
    ready(cases, "hedge/ready at once, without a budget", move || {
        with(fixed.without_budget())
    });
    ready(cases, "hedge/ready at once, with a budget", move || with(fixed));
    ready(cases, "hedge/ready at once, measured delay", move || {
        with(HedgeConfig::new(HedgeDelay::P95))
    });
    let at_once = move || with(HedgeConfig::new(HedgeDelay::Fixed(Duration::ZERO)).without_budget());
    cases.timed("hedge/hedged at once, the second attempt wins", at_once, |hedge, _| {
        let hedge = hedge.clone();
        move || {
            let attempts = Cell::new(0);
            let result = drive(hedge.execute(|| {
                attempts.set(attempts.get() + 1);
                let attempt = attempts.get();
                async move {
                    if attempt == 1 {
                        std::future::pending::<()>().await;
                    }
                    succeed(attempt).await
                }
            }));
            assert_eq!(result.ok(), Some(2));
        }
    });
}

fn ready(cases: &mut Cases, name: &str, setup: impl Fn() -> Hedge + 'static) {
    let bytes = size_of_val(&setup().execute(|| succeed(1)));
    let case = cases.timed(name, setup, |hedge, _| {
        let hedge = hedge.clone();
        move || assert!(drive(hedge.execute(|| succeed(1))).is_ok())
    });
    case.future(bytes);
}
