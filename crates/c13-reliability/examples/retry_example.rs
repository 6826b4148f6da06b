//! A call that fails for a moment, one that fails for good, and a thousand that fail at once.
//!
//! `cargo run -p c13-reliability --example retry_example`

use c13_reliability::patterns::retry::{RetryConfig, RetryExecutor, RetryStrategy, Verdict};
use c13_reliability::time::Clock;
use std::cell::Cell;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let clock = Clock::system();
    let strategy = RetryStrategy::ExponentialBackoff {
        initial: 40 * MILLISECOND,
        max: 400 * MILLISECOND,
        multiplier: 2.0,
    };
    let retry = RetryExecutor::new(3, strategy);
    println!("up to 3 retries after the first attempt; waits of up to 40, 80 and 160 ms, by chance\n");

    let start = clock.now();
    let attempts = Cell::new(0);
    let answer = retry
        .execute(|| {
            attempts.set(attempts.get() + 1);
            let (attempt, at) = (attempts.get(), clock.now() - start);
            async move {
                println!("{:>5} ms  attempt {attempt}", at.as_millis());
                if attempt < 3 { Err("connection refused") } else { Ok(42) }
            }
        })
        .await;
    println!("          the answer is {answer:?}\n");
    assert_eq!(answer, Ok(42));

    let answer: Result<(), _> = retry
        .execute_with(
            || async { Err("no such user") },
            |result| match result {
                Err("no such user") => Verdict::Final,
                Err(_) => Verdict::Retry,
                Ok(()) => Verdict::Final,
            },
        )
        .await;
    if let Err(error) = &answer {
        println!("an error that another attempt would only repeat: {error}\n");
    }
    assert_eq!(answer.map_err(|error| error.attempts()), Err(1));

    // Twenty calls at a time would be retried by the budget's floor alone; a thousand meet its share of the calls.
    let config = RetryConfig::new(3, RetryStrategy::FixedDelay(10 * MILLISECOND));
    let retry = RetryExecutor::with_config(config, clock).expect("the settings are good");
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let retry = retry.clone();
            tokio::spawn(async move {
                retry
                    .execute(|| async {
                        tokio::task::yield_now().await;
                        Err::<(), _>("connection refused")
                    })
                    .await
                    .is_ok()
            })
        })
        .collect();
    for call in calls {
        assert!(!call.await.expect("no call panics"));
    }
    let snapshot = retry.snapshot();
    println!(
        "1000 calls at once that all fail make {} retries: a fifth of the calls, and 10 for each of the last 10 s",
        snapshot.retries
    );
    println!(
        "{} of them gave up because the budget was exhausted",
        snapshot.budget_exhausted
    );
}
