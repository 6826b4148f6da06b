//! Retry around a call that succeeds.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::patterns::retry::{RetryConfig, RetryExecutor};
use c13_reliability::time::Clock;

pub(crate) fn add(cases: &mut Cases) {
    let with = |config| RetryExecutor::with_config(config, Clock::system()).expect("the settings are good");
    let plain = move || with(RetryConfig::default().without_budget());
    let budget = move || with(RetryConfig::default());
    add_one(cases, "retry/without a budget", plain);
    add_one(cases, "retry/with a budget", budget);
}

fn add_one(cases: &mut Cases, name: &str, setup: impl Fn() -> RetryExecutor + 'static) {
    let bytes = size_of_val(&setup().execute(|| succeed(1)));
    let case = cases.ours(name, setup, |retry, _| {
        let retry = retry.clone();
        move || assert!(drive(retry.execute(|| succeed(1))).is_ok())
    });
    case.future(bytes);
}
