//! Bulkheads with room.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::gate::Gate;
use c13_reliability::patterns::bulkhead::Bulkhead;
use std::hint::black_box;

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
}
