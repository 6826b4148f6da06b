//! What a user of time limits relies on, through the public names only.

use c13_reliability::patterns::retry::{RetryConfig, RetryExecutor, RetryStrategy};
use c13_reliability::patterns::timeout::{Timeout, TimeoutConfig, TimeoutError};
use c13_reliability::time::{Clock, Executor, Tick};
use std::cell::Cell;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn limit(executor: &Executor, limit: Duration) -> Timeout {
    Timeout::with_config(TimeoutConfig::new(limit), executor.clock()).expect("the settings are good")
}

fn retry(executor: &Executor, max_retries: u32, delay: Duration) -> RetryExecutor {
    let config = RetryConfig::new(max_retries, RetryStrategy::FixedDelay(delay));
    RetryExecutor::with_config(config, executor.clock()).expect("the settings are good")
}

#[tokio::test]
async fn a_hanging_call_ends_on_a_real_runtime() {
    let timeout = Timeout::new(5 * MS);
    let clock = Clock::system();
    let start = clock.now();
    let result = timeout.call(std::future::pending::<Result<(), &str>>()).await;
    assert_eq!(result, Err(TimeoutError::Elapsed { limit: 5 * MS }));
    assert!(clock.now() - start >= 5 * MS);
}

// TO-08.
#[test]
fn a_limit_inside_a_retry_is_for_each_attempt() {
    let executor = Executor::new();
    let (retry, limit, clock) = (retry(&executor, 5, MS), limit(&executor, 50 * MS), executor.clock());
    let calls = Cell::new(0);
    let result = executor.block_on(retry.execute(|| {
        calls.set(calls.get() + 1);
        let takes = if calls.get() <= 2 { 100 * MS } else { 10 * MS };
        let clock = clock.clone();
        limit.call(async move {
            clock.sleep(takes).await;
            Ok::<_, ()>("answered")
        })
    }));
    assert_eq!((result, calls.get(), limit.snapshot().elapsed), (Ok("answered"), 3, 2));
}

// TO-10.
#[test]
fn a_limit_around_a_retry_is_for_all_attempts() {
    let executor = Executor::new();
    let (retry, limit, clock) = (
        retry(&executor, 9, Duration::ZERO),
        limit(&executor, 150 * MS),
        executor.clock(),
    );
    let calls = Cell::new(0);
    let result = executor.block_on(limit.call(retry.execute(|| {
        calls.set(calls.get() + 1);
        let clock = clock.clone();
        async move {
            clock.sleep(60 * MS).await;
            Err::<(), _>("refused")
        }
    })));
    assert_eq!(result, Err(TimeoutError::Elapsed { limit: 150 * MS }));
    assert_eq!((calls.get(), clock.now()), (3, Tick::ZERO + 150 * MS));
}

// TO-11, and better: the retry knows that its wait would be in vain.
#[test]
fn a_wait_that_the_limit_would_cut_is_not_begun() {
    let executor = Executor::new();
    let (retry, limit) = (retry(&executor, 9, 1_000 * MS), limit(&executor, 100 * MS));
    let result = executor.block_on(limit.call(retry.execute(|| async { Err::<(), _>("refused") })));
    let Err(TimeoutError::CallFailed(error)) = result else {
        panic!("{result:?}");
    };
    assert_eq!((error.attempts(), error.into_last_error()), (1, Some("refused")));
    assert_eq!(executor.clock().now(), Tick::ZERO, "the error comes at once");
}
