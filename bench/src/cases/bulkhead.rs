//! Bulkheads with room.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::gate::Gate;
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use c13_reliability::time::Clock;
use std::hint::black_box;
use std::time::Duration;

pub(crate) fn add(cases: &mut Cases) {
    let setup = || Bulkhead::new(1_000);
    cases.ours("bulkhead/permit", setup, |bulkhead, _| {
        let bulkhead = bulkhead.clone();
        move || assert!(black_box(&bulkhead).try_admit().is_ok())
    });
    let bytes = size_of_val(&setup().call(succeed(1)));
    let case = cases.ours("bulkhead/call", setup, |bulkhead, _| {
        let bulkhead = bulkhead.clone();
        move || assert!(drive(bulkhead.call(succeed(1))).is_ok())
    });
    case.future(bytes);
    let queue = || {
        let config = BulkheadConfig::new(1_000).queue(100, Duration::from_secs(1));
        Bulkhead::with_config(config, Clock::system()).expect("the settings are good")
    };
    cases.timed("bulkhead/call, with an empty queue", queue, |bulkhead, _| {
        let bulkhead = bulkhead.clone();
        // A future of its own, as at every call site of a service: calls of one type share one `poll`.
        move || assert!(drive(bulkhead.call(async { succeed(1).await })).is_ok())
    });
    let full = || {
        let bulkhead = Bulkhead::new(1);
        std::mem::forget(bulkhead.try_admit());
        bulkhead
    };
    cases.timed("bulkhead/full, refusal", full, |bulkhead, _| {
        let bulkhead = bulkhead.clone();
        move || assert!(black_box(&bulkhead).try_admit().is_err())
    });
}
