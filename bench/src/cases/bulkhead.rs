//! Bulkheads with room.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::gate::Gate;
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use c13_reliability::time::Clock;
use std::hint::black_box;

pub(crate) fn add(cases: &mut Cases) {
    add_two(cases, ["bulkhead/permit", "bulkhead/call"], BulkheadConfig::new(1_000));
    let leased = BulkheadConfig::new(1_000).leased(true);
    add_two(cases, ["bulkhead/leased, permit", "bulkhead/leased, call"], leased);
}

fn add_two(cases: &mut Cases, [permit, call]: [&str; 2], config: BulkheadConfig) {
    let setup = move || Bulkhead::with_config(config, Clock::system()).expect("the settings are good");
    cases.ours(permit, setup, |bulkhead, _| {
        let bulkhead = bulkhead.clone();
        move || assert!(black_box(&bulkhead).try_admit().is_ok())
    });
    let bytes = size_of_val(&setup().call(succeed(1)));
    let case = cases.ours(call, setup, |bulkhead, _| {
        let bulkhead = bulkhead.clone();
        move || assert!(drive(bulkhead.call(succeed(1))).is_ok())
    });
    case.future(bytes);
}
