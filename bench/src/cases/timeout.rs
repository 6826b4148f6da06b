//! A time limit around a call that is ready at once.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::patterns::timeout::Timeout;
use std::time::Duration;

pub(crate) fn add(cases: &mut Cases) {
    let setup = || Timeout::new(Duration::from_secs(1));
    let bytes = size_of_val(&setup().call(succeed(1)));
    let case = cases.ours("timeout/ready at once", setup, |timeout, _| {
        let timeout = timeout.clone();
        move || assert!(drive(timeout.call(succeed(1))).is_ok())
    });
    case.future(bytes);
}
