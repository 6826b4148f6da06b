//! Fallbacks around calls that succeed and calls that fail.

use super::drive::drive;
use crate::case::Cases;
use c13_reliability::patterns::fallback::Fallback;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(cases: &mut Cases) {
    let value = || Fallback::<u64, u64>::value(7);
    let last_good = || Fallback::<u64, u64>::last_good(Duration::from_secs(60));
    add_one(cases, "fallback/value, call that succeeds", value, Ok(1));
    add_one(cases, "fallback/value, call that fails", value, Err(1));
    add_one(cases, "fallback/last good, call that succeeds", last_good, Ok(1));
}

fn add_one(cases: &mut Cases, name: &str, setup: impl Fn() -> Fallback<u64, u64> + 'static, result: Result<u64, u64>) {
    cases.timed(
        name,
        move || Arc::new(setup()),
        move |fallback, _| {
            let fallback = fallback.clone();
            move || assert!(drive(fallback.call(async move { black_box(result) })).is_ok())
        },
    );
}
