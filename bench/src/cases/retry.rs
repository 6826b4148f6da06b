//! Retry around a call that succeeds.

use super::drive::{Failed, drive, keep, succeed};
use crate::case::Cases;
use c13_reliability::patterns::retry::{RetryConfig, RetryExecutor, RetryState};
use c13_reliability::time::Clock;
use std::pin::Pin;
use std::time::Duration;

pub(crate) fn add(cases: &mut Cases) {
    let with = |config| RetryExecutor::with_config(config, Clock::system()).expect("the settings are good");
    let plain = move || with(RetryConfig::default().without_budget());
    let budget = move || with(RetryConfig::default());
    add_one(cases, "retry/without a budget", plain);
    add_one(cases, "retry/with a budget", budget);
    let limited = move || with(RetryConfig::default().total_limit(Duration::from_secs(1)));
    cases.timed("retry/with a total limit", limited, |retry, _| {
        let retry = retry.clone();
        move || assert!(drive(retry.execute(|| succeed(1))).is_ok())
    });
    cases.timed("retry/with a budget, the call boxed", budget, |retry, _| {
        let retry = retry.clone();
        move || {
            let attempt = || -> Pin<Box<dyn Future<Output = Result<u64, Failed>> + Send>> { Box::pin(succeed(1)) };
            assert!(drive(retry.execute(attempt)).is_ok());
        }
    });
    cases.timed("retry/decision, the budget exhausted", budget, |retry, _| {
        let retry = retry.clone();
        move || keep(retry.after_failure(&mut RetryState::new(), None))
    });
}

fn add_one(cases: &mut Cases, name: &str, setup: impl Fn() -> RetryExecutor + 'static) {
    let bytes = size_of_val(&setup().execute(|| succeed(1)));
    let case = cases.ours(name, setup, |retry, _| {
        let retry = retry.clone();
        move || assert!(drive(retry.execute(|| succeed(1))).is_ok())
    });
    case.future(bytes);
}
