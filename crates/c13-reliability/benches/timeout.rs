//! What a time limit costs around a call that is ready at once, and around one that has to wait.
//!
//! `cargo bench -p c13-reliability --bench timeout`

mod measure;

use c13_reliability::patterns::timeout::Timeout;
use c13_reliability::time::{Clock, Deadline};
use measure::{head, ready, row};
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let timeout = Timeout::new(Duration::from_secs(1));
    let clock = Clock::system();
    let call = || async { Ok::<u64, u64>(black_box(1)) };
    head();
    row("the call itself, through a future", || {
        assert_eq!(ready(call()), Ok(1));
    });
    row("ready at once", || {
        assert_eq!(ready(timeout.call(call())), Ok(1));
    });
    row("ready at once, one limit in another", || {
        assert_eq!(ready(timeout.call(timeout.call(call()))), Ok(1));
    });
    row("ready at once, under a deadline", || {
        let deadline = Deadline::after(&clock, Duration::from_secs(1));
        assert_eq!(ready(deadline.scope(timeout.call(call()))), Ok(1));
    });
    row("a deadline alone, clock reading included", || {
        let deadline = Deadline::after(&clock, Duration::from_secs(1));
        assert_eq!(ready(deadline.scope(call())), Ok(1));
    });
}
