//! Ten callers meet a bulkhead for three, with a short line before it.
//!
//! `cargo run -p c13-reliability --example bulkhead_example`

use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig, BulkheadError};
use c13_reliability::time::Clock;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

// On paused time: it says the same on every machine, however busy.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let clock = Clock::tokio();
    let config = BulkheadConfig::new(3).queue(5, 150 * MILLISECOND);
    let bulkhead = Bulkhead::with_config(config, clock.clone()).expect("the settings are good");
    println!("3 calls of 100 ms at a time, 5 queued for up to 150 ms each; 10 callers come at once\n");

    let start = clock.now();
    let callers: Vec<_> = (1..=10)
        .map(|caller| {
            let (bulkhead, clock) = (bulkhead.clone(), clock.clone());
            tokio::spawn(async move {
                let result = bulkhead
                    .call(async {
                        let begun = clock.now();
                        clock.sleep(100 * MILLISECOND).await;
                        Ok::<_, &str>(begun)
                    })
                    .await;
                let after = (clock.now() - start).as_millis();
                match result {
                    Ok(begun) => println!(
                        "{after:>4} ms  caller {caller:>2} done; it began at {} ms",
                        (begun - start).as_millis()
                    ),
                    Err(BulkheadError::Full { .. }) => {
                        println!("{after:>4} ms  caller {caller:>2} refused: the queue is full");
                    }
                    Err(error) => println!("{after:>4} ms  caller {caller:>2} gave up: {error}"),
                }
                result.is_ok()
            })
        })
        .collect();

    let mut done = 0;
    for caller in callers {
        done += u32::from(caller.await.expect("no caller panics"));
    }
    let snapshot = bulkhead.snapshot();
    println!(
        "\n{done} done, {} refused at once, {} gave up in the queue; no call is left",
        snapshot.calls.rejected, snapshot.calls.wait_elapsed
    );
    assert_eq!((snapshot.calls.in_flight, snapshot.calls.queued), (0, 0));
    assert_eq!((done, snapshot.calls.rejected), (6, 2));
}
