//! What a user of retries relies on, through the public names only.

use c13_reliability::budget::{RetryBudget, RetryBudgetConfig};
use c13_reliability::error::{Layer, Rejected};
use c13_reliability::gate::Refusal;
use c13_reliability::patterns::bulkhead::BulkheadError;
use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError};
use c13_reliability::patterns::rate_limiter::RateLimitError;
use c13_reliability::patterns::retry::{
    Decision, GiveUp, RetryConfig, RetryError, RetryExecutor, RetryState, RetryStrategy, Retryable, Verdict,
    retry_config, retry_with_exponential_backoff,
};
use c13_reliability::patterns::timeout::TimeoutError;
use c13_reliability::time::{Deadline, Env, Executor, Tick};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn the_promised_names_are_there() {
    let retries: u32 = retry_config::MAX_RETRIES;
    let (initial, max): (u64, u64) = (retry_config::INITIAL_BACKOFF_MS, retry_config::MAX_BACKOFF_MS);
    let multiplier: f64 = retry_config::BACKOFF_MULTIPLIER;
    const IN_ALL: f64 = retry_config::max_retry_time_ms();
    assert_eq!(
        (retries, initial, max, multiplier, IN_ALL),
        (3, 100, 10_000, 2.0, 700.0)
    );
    assert_eq!(retry_config::INITIAL_BACKOFF, Duration::from_millis(initial));
    assert_eq!(retry_config::MAX_BACKOFF, Duration::from_millis(max));

    let strategies = [
        RetryStrategy::FixedDelay(MS),
        RetryStrategy::ExponentialBackoff {
            initial: MS,
            max: 8 * MS,
            multiplier,
        },
        RetryStrategy::LinearBackoff {
            initial: MS,
            increment: MS,
            max: 3 * MS,
        },
    ];
    assert_eq!(
        strategies.map(|strategy| strategy.backoff_duration(2)),
        [MS, 4 * MS, 3 * MS]
    );
    for strategy in strategies {
        let executor = RetryExecutor::new(2, strategy);
        let result: Result<u32, RetryError<String>> = executor.execute(|| async { Err("no".to_owned()) }).await;
        match result {
            Err(RetryError::MaxRetriesExceeded { attempts, last_error }) => {
                assert_eq!((attempts, last_error.as_str()), (3, "no"));
            }
            other => panic!("{other:?}"),
        }
    }
    let result: Result<u32, RetryError<String>> = retry_with_exponential_backoff(|| async { Ok(7) }, 3).await;
    assert_eq!(result, Ok(7));
}

#[tokio::test]
async fn an_attempt_may_be_a_plain_closure_or_a_boxed_future() {
    type Boxed = Pin<Box<dyn Future<Output = Result<u32, String>> + Send>>;
    let executor = RetryExecutor::new(1, RetryStrategy::FixedDelay(MS));
    let calls = AtomicU32::new(0);
    let attempt = || -> Boxed {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { if call == 0 { Err("first".to_owned()) } else { Ok(call) } })
    };
    assert_eq!(executor.execute(attempt).await, Ok(1));
    assert_eq!(executor.execute(async || Ok::<_, String>(2)).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_on_many_threads_share_one_budget() {
    let floor = RetryBudgetConfig::new().min_per_second(0.0);
    let config = RetryConfig::new(3, RetryStrategy::FixedDelay(MS)).budget(floor);
    let executor = RetryExecutor::with_config(config, Env::default()).expect("the settings are good");
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let executor = executor.clone();
            tokio::spawn(async move {
                let result = executor.execute(|| async { Err::<(), _>("refused") }).await;
                assert!(result.is_err());
            })
        })
        .collect();
    for call in calls {
        call.await.expect("no call panics");
    }
    assert!(executor.snapshot().retries <= 100, "{:?}", executor.snapshot());
}

#[test]
fn a_loop_of_ones_own_can_drive_the_decisions() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = RetryConfig::new(2, RetryStrategy::FixedDelay(10 * MS));
    let retry = RetryExecutor::with_config(config, clock.clone()).expect("the settings are good");
    let (result, at) = executor.block_on(Deadline::after(&clock, 1_000 * MS).scope(async {
        let mut state: RetryState = retry.begin();
        let reason = loop {
            match retry.after_failure(&mut state, None) {
                Decision::Wait(wait) => clock.sleep(wait).await,
                Decision::GiveUp(reason) => break reason,
            }
        };
        retry.finish(&state, Some(reason));
        (RetryError::new(reason, state.attempts(), "refused"), clock.now())
    }));
    assert_eq!((result.reason(), result.attempts()), (GiveUp::MaxRetries, 3));
    assert_eq!((at, retry.snapshot().failures()), (Tick::ZERO + 20 * MS, 1));
}

// CO-02.
#[test]
fn an_open_circuit_is_not_retried_unless_asked() {
    let executor = Executor::new();
    let breaker = CircuitBreaker::with_config(CircuitBreakerConfig::new().consecutive_failures(2), executor.clock());
    let breaker = breaker.expect("the settings are good");
    let config = RetryConfig::new(5, RetryStrategy::FixedDelay(MS));
    let retry = RetryExecutor::with_config(config, executor.clock()).expect("the settings are good");
    let call = || breaker.call(async { Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionReset)) });

    let error = executor
        .block_on(retry.execute_with(call, Verdict::by_error))
        .unwrap_err();
    assert_eq!((error.reason(), error.attempts()), (GiveUp::NotRetryable, 3));
    assert!(matches!(
        error.last_error(),
        Some(CircuitBreakerError::CircuitOpen { .. })
    ));

    let error = executor.block_on(retry.execute(call)).unwrap_err();
    assert_eq!(
        (error.reason(), error.attempts()),
        (GiveUp::MaxRetries, 6),
        "it was asked to"
    );
    assert_eq!(breaker.metrics().rejection_count, 1 + 6);
}

#[test]
fn what_patterns_refuse_says_itself_whether_to_try_again() {
    let second = Duration::from_secs(1);
    let refused = RateLimitError::RateLimitExceeded {
        requested: 1,
        available: 0,
        retry_after: second,
    };
    assert_eq!(refused.verdict(), Verdict::RetryAfter(second));
    let never = RateLimitError::ExceedsCapacity {
        requested: 9,
        capacity: 5,
    };
    assert_eq!(never.verdict(), Verdict::Final);

    let lost = || io::Error::from(io::ErrorKind::ConnectionReset);
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    assert_eq!(
        TimeoutError::<io::Error>::Elapsed { limit: second }.verdict(),
        Verdict::Retry
    );
    assert_eq!(TimeoutError::<io::Error>::DeadlineExceeded.verdict(), Verdict::Final);
    assert_eq!(TimeoutError::CallFailed(lost()).verdict(), Verdict::Retry);
    assert_eq!(TimeoutError::CallFailed(missing()).verdict(), Verdict::Final);
    assert_eq!(
        BulkheadError::<io::Error>::Full { max_concurrent: 1 }.verdict(),
        Verdict::Retry
    );
    assert_eq!(BulkheadError::CallFailed(missing()).verdict(), Verdict::Final);

    let behind_a_gate = |rejected: Rejected| Refusal::<_, io::Error>::Rejected(rejected).verdict();
    assert_eq!(
        behind_a_gate(Rejected::new(Layer::CircuitBreaker, Some(second))),
        Verdict::Final
    );
    assert_eq!(
        behind_a_gate(Rejected::new(Layer::RateLimit, Some(second))),
        Verdict::RetryAfter(second)
    );
    assert_eq!(behind_a_gate(Rejected::new(Layer::Bulkhead, None)), Verdict::Retry);
    assert_eq!(Refusal::<Rejected, _>::Failed(missing()).verdict(), Verdict::Final);
}

#[test]
fn a_budget_is_shared_by_whoever_holds_it() {
    let executor = Executor::new();
    let config = RetryBudgetConfig::new().ratio(0.1).min_per_second(0.0);
    let budget = RetryBudget::with_config(config, executor.clock()).expect("the settings are good");
    for _ in 0..100 {
        budget.deposit();
    }
    let granted = (0..50).filter(|_| budget.clone().try_withdraw()).count();
    assert_eq!((granted, budget.snapshot().refused), (10, 40));
}
