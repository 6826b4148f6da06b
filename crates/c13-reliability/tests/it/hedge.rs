//! What a user of hedges relies on, through the public names only.

use c13_reliability::budget::{RetryBudget, RetryBudgetConfig};
use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitState};
use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay};
use c13_reliability::patterns::retry::{RetryConfig, RetryExecutor, RetryStrategy};
use c13_reliability::sync::{HistogramSnapshot, Random};
use c13_reliability::time::{Clock, Executor};
use std::cell::Cell;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_hanging_attempt_is_outrun_on_a_real_runtime() {
    let hedge = Hedge::new(2 * MS);
    let attempts = Cell::new(0);
    let answer = hedge
        .execute(|| {
            attempts.set(attempts.get() + 1);
            let attempt = attempts.get();
            async move {
                if attempt == 1 {
                    std::future::pending::<()>().await;
                }
                Ok::<_, &str>(attempt)
            }
        })
        .await;
    assert_eq!((answer, hedge.snapshot().abandoned), (Ok(2), 1));
}

#[test]
fn a_hedge_after_the_95th_percentile_cuts_the_tail_for_a_twentieth_more_calls() {
    let executor = Executor::new();
    let clock = executor.clock();
    let hedge = Hedge::with_config(HedgeConfig::new(HedgeDelay::P95), clock.clone()).expect("good");
    let random = Random::new(5);
    // 3 % of the calls are fifty times slower.
    let takes = || {
        if random.unit() < 0.03 {
            500 * MS
        } else {
            8 * MS + MS * random.below(4) as u32
        }
    };
    let mut latencies = HistogramSnapshot::<6>::new();
    for call in 0..5_000 {
        let start = clock.now();
        let result = executor.block_on(hedge.execute(|| {
            let (clock, takes) = (clock.clone(), takes());
            async move {
                clock.sleep(takes).await;
                Ok::<(), ()>(())
            }
        }));
        assert!(result.is_ok());
        if call >= 500 {
            latencies.record((clock.now() - start).as_nanos() as u64);
        }
    }
    let p99 = Duration::from_nanos(latencies.quantile(0.99).expect("there are calls"));
    assert!(p99 < 30 * MS, "without a hedge it is 500 ms: {p99:?}");
    let hedges = hedge.snapshot().hedges;
    assert!((100..=500).contains(&hedges), "{hedges} of 5000");
}

#[test]
fn losers_are_abandoned_to_the_breaker_inside_and_open_nothing() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = CircuitBreakerConfig::new().consecutive_failures(1);
    let breaker = CircuitBreaker::with_config(config, clock.clone()).expect("good");
    let hedge = HedgeConfig::new(HedgeDelay::Fixed(10 * MS));
    let hedge = Hedge::with_config(hedge, clock.clone()).expect("good");
    let attempts = Cell::new(0);
    let result = executor.block_on(hedge.execute(|| {
        attempts.set(attempts.get() + 1);
        let (clock, takes) = (clock.clone(), if attempts.get() == 1 { 1_000 * MS } else { MS });
        breaker.call(async move {
            clock.sleep(takes).await;
            Ok::<(), &str>(())
        })
    }));
    assert!(result.is_ok());
    let metrics = breaker.metrics();
    assert_eq!((metrics.success_count, metrics.failure_count), (1, 0));
    assert_eq!(breaker.current_state(), CircuitState::Closed);
}

#[test]
fn retry_and_hedge_share_one_budget() {
    let executor = Executor::new();
    let clock: Clock = executor.clock();
    let config = RetryBudgetConfig::new().ratio(0.0).min_per_second(0.5);
    let budget = RetryBudget::with_config(config, clock.clone()).expect("good");
    let retry = RetryConfig::new(9, RetryStrategy::FixedDelay(MS));
    let retry = RetryExecutor::with_config(retry, clock.clone())
        .expect("good")
        .budget(budget.clone());
    let hedge = HedgeConfig::new(HedgeDelay::AfterFailure).max_extra(9);
    let hedge = Hedge::with_config(hedge, clock).expect("good").draws_on(budget.clone());
    let attempts = Cell::new(0);
    let result = executor.block_on(retry.execute(|| {
        hedge.execute(|| {
            attempts.set(attempts.get() + 1);
            async { Err::<(), _>("down") }
        })
    }));
    assert!(result.is_err());
    assert_eq!(attempts.get(), 1 + 5, "five extra attempts in all, whoever wants them");
    assert_eq!(budget.snapshot().calls, 1);
}
