//! A time limit around a call, and how it reaches what runs inside.
//!
//! `cargo run -p c13-reliability --example timeout_example`

use c13_reliability::patterns::retry::{RetryExecutor, RetryStrategy};
use c13_reliability::patterns::timeout::{Timeout, TimeoutError};
use c13_reliability::time::{Clock, Deadline};
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let clock = Clock::system();
    let limit = Timeout::new(100 * MILLISECOND);

    for takes in [20, 500] {
        let start = clock.now();
        let result = limit
            .call(async {
                clock.sleep(takes * MILLISECOND).await;
                Ok::<_, &str>("answered")
            })
            .await;
        let after = (clock.now() - start).as_millis();
        match result {
            Ok(answer) => println!("work of {takes} ms: {answer} after {after} ms"),
            Err(error) => println!("work of {takes} ms: {error}; dropped after {after} ms"),
        }
    }

    println!("\nthe limit is the deadline of everything inside:");
    let retry = RetryExecutor::new(3, RetryStrategy::FixedDelay(60 * MILLISECOND));
    let start = clock.now();
    let result = limit
        .call(retry.execute(|| async {
            let left = Deadline::current(&clock).map_or(Duration::MAX, |deadline| deadline.remaining(&clock));
            println!("  an attempt, with {} ms left", left.as_millis());
            Err::<(), _>("connection refused")
        }))
        .await;
    let after = (clock.now() - start).as_millis();
    match result {
        Err(TimeoutError::CallFailed(error)) => println!("  after {after} ms: {error}"),
        other => panic!("the retry gives up by itself: {other:?}"),
    }
    println!("  no wait was begun that no attempt could have followed");
}
