//! What a fallback costs around a call that succeeds, and around one that fails.
//!
//! `cargo bench -p c13-reliability --bench fallback`

mod measure;

use c13_reliability::patterns::fallback::Fallback;
use measure::{head, ready, row};
use std::hint::black_box;

fn main() {
    let fallback = Fallback::<u64, u64>::value(7);
    head();
    row("a call that succeeds", || {
        assert_eq!(ready(fallback.call(async { Ok(black_box(1)) })), Ok(1));
    });
    row("a call that fails, and a value in its place", || {
        assert_eq!(ready(fallback.call(async { Err(black_box(1)) })), Ok(7));
    });
}
