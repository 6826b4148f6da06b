//! What a fallback costs around a call that succeeds, and around one that fails.
//!
//! `cargo bench -p c13-reliability --bench fallback`

mod measure;

use c13_reliability::patterns::fallback::Fallback;
use measure::{head, ready, row};
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let value = Fallback::<u64, u64>::value(7);
    let last_good = Fallback::<u64, u64>::last_good(Duration::from_secs(60));
    let call = |fallback: &Fallback<u64, u64>, result| {
        assert!(ready(fallback.call(async { black_box(result) })).is_ok());
    };
    head();
    row("a call that succeeds, value", || call(&value, Ok(1)));
    row("a call that succeeds, last good", || call(&last_good, Ok(1)));
    row("a call that fails, value", || call(&value, Err(1)));
    row("a call that fails, last good", || call(&last_good, Err(1)));
}
