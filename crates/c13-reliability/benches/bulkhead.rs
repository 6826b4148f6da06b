//! What it costs to come into a bulkhead and to go out again, from one thread and from two.
//!
//! `cargo bench -p c13-reliability --bench bulkhead`

mod measure;

use c13_reliability::gate::Gate;
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use c13_reliability::time::Clock;
use measure::{head, ready, row};
use std::hint::black_box;
use std::time::Duration;

fn main() {
    head();
    let bulkhead = Bulkhead::new(100);
    row("a permit, taken and given back", || {
        assert!(black_box(bulkhead.try_admit()).is_ok());
    });
    let bulkhead = Bulkhead::new(100);
    row("a call", || {
        let call = bulkhead.call(async { Ok::<u64, u64>(black_box(1)) });
        assert_eq!(ready(call), Ok(1));
    });
    let config = BulkheadConfig::new(100).queue(100, Duration::from_secs(1));
    let queued = Bulkhead::with_config(config, Clock::system()).expect("the settings are good");
    row("a call, with a queue that nobody is in", || {
        let call = queued.call(async { Ok::<u64, u64>(black_box(1)) });
        assert_eq!(ready(call), Ok(1));
    });
    let few = Bulkhead::new(15);
    row("a permit, too few places to lend any", || {
        assert!(black_box(few.try_admit()).is_ok());
    });
    let full = Bulkhead::new(1);
    let _held = full.try_admit();
    row("a refusal", || {
        assert!(black_box(full.try_admit()).is_err());
    });
}
