//! What a hedge costs around a call that needs none.
//!
//! `cargo bench -p c13-reliability --bench hedge`

mod measure;

use c13_reliability::patterns::hedge::Hedge;
use measure::{head, ready, row};
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let hedge = Hedge::new(Duration::from_secs(1));
    head();
    row("a call that is ready at once", || {
        let call = hedge.execute(|| async { Ok::<u64, u64>(black_box(1)) });
        assert_eq!(ready(call), Ok(1));
    });
}
