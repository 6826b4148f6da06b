//! A time limit around a call that is ready at once.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::patterns::timeout::Timeout;
use c13_reliability::time::{Clock, Deadline};
use std::time::Duration;

pub(crate) fn add(cases: &mut Cases) {
    let setup = || Timeout::new(Duration::from_secs(1));
    let bytes = size_of_val(&setup().call(succeed(1)));
    let case = cases.ours("timeout/ready at once", setup, |timeout, _| {
        let timeout = timeout.clone();
        move || assert!(drive(timeout.call(succeed(1))).is_ok())
    });
    case.future(bytes);
    cases.timed("timeout/one limit in another", setup, |timeout, _| {
        let timeout = timeout.clone();
        move || assert!(drive(timeout.call(timeout.call(succeed(1)))).is_ok())
    });
    cases.timed("timeout/under a deadline", setup, |timeout, _| {
        let (timeout, clock) = (timeout.clone(), Clock::system());
        move || {
            let deadline = Deadline::after(&clock, Duration::from_secs(1));
            assert!(drive(deadline.scope(timeout.call(succeed(1)))).is_ok());
        }
    });
}
