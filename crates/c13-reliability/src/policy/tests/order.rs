//! The order of the layers, seen from outside: each test would fail with two neighbours swapped.

use super::*;
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::patterns::cache::{Cache, CacheConfig};
use crate::patterns::fallback::Fallback;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::rate_limiter::{
    ShardedRateLimiter, SlidingWindowConfig, SlidingWindowRateLimiter, TokenBucketRateLimiter,
};
use crate::policy::{CallOptions, RateLimitPer};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn state(policy: &Policy) -> Option<CircuitState> {
    policy.circuit_breaker().map(|breaker| breaker.current_state())
}

#[test]
fn a_fallback_hides_failures_from_the_caller_and_not_from_the_breaker() {
    let executor = Executor::new();
    let policy = policy(PolicyConfig::NONE.circuit_breaker(breaker(3)), &executor.clock());
    let typed = policy.typed::<u32, &str>().fallback(Fallback::value(7));
    let asked = Cell::new(0);
    for _ in 0..5 {
        let answer = executor.block_on(typed.call(|| {
            asked.set(asked.get() + 1);
            std::future::ready(Err("down"))
        }));
        assert_eq!(answer, Ok(7));
    }
    assert_eq!((asked.get(), state(&policy)), (3, Some(CircuitState::Open)));
}

#[test]
fn a_fallback_answers_for_what_any_layer_refuses_and_for_a_call_that_takes_too_long() {
    let executor = Executor::new();
    let limit = RateLimiterConfig::new(1.0, 2);
    let policy = policy(
        PolicyConfig::NONE.total_timeout(SECOND / 2).rate_limit(limit),
        &executor.clock(),
    );
    let said = Rc::new(Cell::new(None));
    let typed = policy
        .typed::<Option<Layer>, ()>()
        .fallback(Fallback::function(|error: &PolicyError<()>| Ok(error.layer())));
    for expected in [Layer::TotalTimeout, Layer::TotalTimeout, Layer::RateLimit] {
        said.set(executor.block_on(typed.call(pending)).ok().flatten());
        if expected == Layer::RateLimit {
            break;
        }
        assert_eq!(said.get(), Some(expected));
        executor.run_for(Duration::ZERO);
    }
    // Half a second each has given one token back: take it, and the next is refused.
    let refused = executor.block_on(async {
        let _ = typed.call(|| async { Ok(None) }).await;
        typed.call(|| async { Ok(None) }).await
    });
    assert_eq!(refused, Ok(Some(Layer::RateLimit)));
}

#[test]
fn a_fallback_that_fails_gives_its_own_error() {
    let executor = Executor::new();
    let policy = policy(PolicyConfig::NONE, &executor.clock());
    let second = PolicyError::Failed {
        policy: None,
        error: "second",
        attempts: 0,
        gave_up: None,
    };
    let answer = second.clone();
    let typed = policy
        .typed::<(), &str>()
        .fallback(Fallback::function(move |_| Err(answer.clone())));
    assert_eq!(executor.block_on(typed.call(|| async { Err("first") })), Err(second));
}

#[test]
fn the_total_timeout_covers_the_back_off() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE.total_timeout(3 * SECOND).retry(retry(9, SECOND));
    let policy = policy(config, &executor.clock());
    let failed = executor
        .block_on(policy.call(|| async { Err::<(), _>("down") }))
        .expect_err("it is down");
    // At 0, 1 and 2 s; at 3 s there is no time left, and so no pause is begun.
    assert_eq!((failed.attempts(), failed.layer()), (3, Some(Layer::TotalTimeout)));
    assert_eq!(executor.time().now(), Tick::ZERO + 2 * SECOND);
}

#[test]
fn the_limiter_counts_calls_by_default_and_attempts_where_that_is_set() {
    for (per, calls) in [(RateLimitPer::Call, 6), (RateLimitPer::Attempt, 2)] {
        let executor = Executor::new();
        let config = PolicyConfig::NONE
            .rate_limit(RateLimiterConfig::new(0.001, 6))
            .rate_limit_per(per)
            .retry(retry(2, MS));
        let policy = policy(config, &executor.clock());
        let asked = Cell::new(0);
        for _ in 0..calls {
            let failed = executor.block_on(policy.call(failing(&asked)));
            assert!(failed.is_err_and(|error| !error.is_rejected()), "{per:?}");
        }
        let refused = executor
            .block_on(policy.call(failing(&asked)))
            .expect_err("the tokens are used up");
        assert!(refused.is_rate_limited(), "{per:?}: {refused}");
        assert_eq!(asked.get(), calls * 3, "{per:?}");
    }
}

#[test]
fn a_limit_per_attempt_refuses_in_the_middle_of_a_call_and_keeps_the_error_before() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .rate_limit(RateLimiterConfig::new(0.001, 2))
        .rate_limit_per(RateLimitPer::Attempt)
        .retry(retry(5, MS));
    let policy = policy(config, &executor.clock());
    let asked = Cell::new(0);
    let refused = executor
        .block_on(policy.call(failing(&asked)))
        .expect_err("everything fails");
    assert!(refused.is_rate_limited());
    assert_eq!(
        (refused.attempts(), refused.into_error(), asked.get()),
        (2, Some("down"), 2)
    );
}

#[test]
fn a_call_that_waited_for_its_token_is_not_counted_as_refused() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE.rate_limit(RateLimiterConfig::new(1.0, 1).max_wait(5 * SECOND));
    let policy = policy(config, &executor.clock());
    for _ in 0..3 {
        assert_eq!(executor.block_on(policy.call(|| async { Ok::<_, ()>(()) })), Ok(()));
    }
    let counts = policy.rate_limiter().expect("it has one").snapshot();
    assert_eq!((counts.allowed, counts.rejected), (3, 0));
}

#[test]
fn a_call_that_a_shared_limit_refuses_is_counted_there_once_and_one_that_waited_not_at_all() {
    let executor = Executor::new();
    let call = |policy: &Policy| executor.block_on(policy.call(|| async { Ok::<_, ()>(()) }));
    let waiting = RateLimiterConfig::new(1.0, 1).max_wait(5 * SECOND);
    let window = SlidingWindowConfig::new(SECOND, 1);
    let bucket = TokenBucketRateLimiter::with_config(waiting, executor.clock()).expect("the settings are good");
    let window = SlidingWindowRateLimiter::with_config(window, executor.clock()).expect("the settings are good");
    let sharded = RateLimiterConfig::new(1.0, 2_000);
    let sharded = ShardedRateLimiter::with_config(sharded, executor.clock()).expect("the settings are good");
    let policy = policy(PolicyConfig::NONE, &executor.clock());
    policy.limit_by(bucket.clone());
    assert_eq!([call(&policy), call(&policy)], [Ok(()), Ok(())]);
    assert_eq!((bucket.snapshot().allowed, bucket.snapshot().rejected), (2, 0));
    policy.limit_by(window.clone());
    assert!(call(&policy).is_ok() && call(&policy).is_err());
    assert_eq!((window.snapshot().allowed, window.snapshot().rejected), (1, 1));
    policy.limit_by(sharded.clone());
    let allowed = (0..3_000).filter(|_| call(&policy).is_ok()).count() as u64;
    let counted = sharded.snapshot();
    assert_eq!((counted.allowed, counted.rejected), (allowed, 3_000 - allowed));
    assert!(counted.rejected > 0);
}

#[test]
fn a_hedge_runs_at_the_same_time_as_an_attempt_and_each_passes_the_breaker() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = PolicyConfig::NONE
        .retry(retry(0, MS))
        .hedge(HedgeConfig::new(HedgeDelay::Fixed(10 * MS)))
        .circuit_breaker(breaker(9));
    let policy = policy(config, &clock);
    let asked = Cell::new(0);
    let answer = executor.block_on(policy.call(|| {
        asked.set(asked.get() + 1);
        let (number, clock) = (asked.get(), clock.clone());
        async move {
            clock.sleep(if number == 1 { SECOND } else { MS }).await;
            Ok::<_, ()>(number)
        }
    }));
    assert_eq!((answer, executor.time().now()), (Ok(2), Tick::ZERO + 11 * MS));
    let metrics = policy.circuit_breaker().expect("it has one").metrics();
    // The late one was abandoned, which says nothing.
    assert_eq!((metrics.success_count, metrics.failure_count), (1, 0));
}

#[test]
fn hedges_draw_on_the_budget_of_retry_and_each_attempt_of_a_retry_has_its_own() {
    let executor = Executor::new();
    let budget = crate::budget::RetryBudgetConfig::new().ratio(0.0).min_per_second(0.1);
    let retries = RetryConfig::new(5, RetryStrategy::FixedDelay(MS)).jitter(Jitter::None);
    let config = PolicyConfig::NONE
        .retry(retries.budget(budget))
        .hedge(HedgeConfig::new(HedgeDelay::AfterFailure));
    let policy = policy(config, &executor.clock());
    let asked = Cell::new(0);
    let failed = executor
        .block_on(policy.call(failing(&asked)))
        .expect_err("everything fails");
    // One token in ten seconds: the hedge takes it, and nothing is left for a retry.
    assert_eq!((asked.get(), failed.layer()), (2, Some(Layer::Retry)));
}

#[test]
fn an_open_circuit_is_not_hedged() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .hedge(HedgeConfig::new(HedgeDelay::AfterFailure).max_extra(5))
        .circuit_breaker(breaker(1));
    let policy = policy(config, &executor.clock());
    policy.circuit_breaker().expect("it has one").force_open();
    let asked = Cell::new(0);
    let refused = executor.block_on(policy.call(failing(&asked)));
    assert!(refused.is_err_and(|error| error.is_circuit_open()));
    let hedge = policy.hedge().expect("it has one").snapshot();
    assert_eq!((asked.get(), hedge.hedges), (0, 0));
}

#[test]
fn a_hit_in_the_cache_takes_no_token_and_the_total_timeout_bounds_the_wait_for_a_load() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = PolicyConfig::NONE
        .total_timeout(SECOND)
        .rate_limit(RateLimiterConfig::new(0.001, 2));
    let policy = policy(config, &clock);
    let cache: Cache<u64, u32> = Cache::with_config(CacheConfig::new().capacity(10), clock).unwrap();
    let cached = policy.typed::<u32, &'static str>().cached(cache);
    let asked = Arc::new(AtomicU32::new(0));
    let load = |answer: Result<u32, &'static str>| {
        let asked = Arc::clone(&asked);
        move || {
            // Relaxed: one thread counts.
            asked.fetch_add(1, Ordering::Relaxed);
            std::future::ready(answer)
        }
    };
    for _ in 0..3 {
        assert_eq!(executor.block_on(cached.call(&1, load(Ok(5)))), Ok(5));
    }
    // Relaxed: as above.
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let late = executor.block_on(cached.call(&2, pending::<Result<u32, &'static str>>));
    assert_eq!(late.map_err(|error| error.layer()), Err(Some(Layer::TotalTimeout)));
    assert_eq!(executor.time().now(), Tick::ZERO + SECOND);
    let refused = executor.block_on(cached.call(&3, load(Ok(5))));
    assert!(refused.is_err_and(|error| error.is_rate_limited()));
    let hit = executor.block_on(cached.call(&1, load(Err("down"))));
    assert_eq!(hit, Ok(5), "what is there needs no token");
}

#[test]
fn what_runs_inside_a_policy_sees_its_deadline() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = PolicyConfig::NONE.total_timeout(9 * SECOND).attempt_timeout(2 * SECOND);
    let outer = policy(config, &clock);
    let inner = policy(PolicyConfig::NONE.total_timeout(60 * SECOND), &clock);
    let late = executor.block_on(outer.call(|| async {
        let result = inner.call(pending::<Result<(), ()>>).await;
        Err::<(), _>(result.expect_err("nobody answers").is_timeout())
    }));
    assert!(late.is_err());
    assert_eq!(executor.time().now(), Tick::ZERO + 2 * SECOND);
}

#[test]
fn a_call_may_bring_its_own_deadline_and_only_shorten_its_time() {
    for (own, ends) in [(SECOND, SECOND), (60 * SECOND, 5 * SECOND)] {
        let executor = Executor::new();
        let clock = executor.clock();
        let policy = policy(PolicyConfig::NONE.total_timeout(5 * SECOND), &clock);
        let options = CallOptions::new().deadline(Deadline::after(&clock, own));
        let late = executor.block_on(policy.call_with(options, pending::<Result<(), ()>>));
        assert_eq!(late.map_err(|error| error.layer()), Err(Some(Layer::TotalTimeout)));
        assert_eq!(executor.time().now(), Tick::ZERO + ends);
    }
}

#[test]
fn a_value_that_is_still_worth_a_retry_at_the_end_is_the_value() {
    let executor = Executor::new();
    let policy = policy(
        PolicyConfig::NONE.retry(retry(2, MS)).circuit_breaker(breaker(9)),
        &executor.clock(),
    );
    let busy = |result: &Result<u32, ()>| matches!(result, Ok(503));
    let typed = policy
        .typed::<u32, ()>()
        .classify(move |result| {
            if busy(result) {
                Outcome::FAILURE
            } else {
                Outcome::of(result)
            }
        })
        .verdict(move |result| {
            if busy(result) {
                Verdict::RetryAfter(SECOND)
            } else {
                Verdict::of(result)
            }
        });
    assert_eq!(executor.block_on(typed.call(|| async { Ok(503) })), Ok(503));
    assert_eq!(
        executor.time().now(),
        Tick::ZERO + 2 * SECOND,
        "the server's hint is heeded"
    );
    let metrics = policy.circuit_breaker().expect("it has one").metrics();
    assert_eq!((metrics.success_count, metrics.failure_count), (0, 3));
}

#[test]
fn a_call_that_can_be_made_once_is_neither_retried_nor_hedged() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .retry(retry(5, MS))
        .hedge(HedgeConfig::new(HedgeDelay::AfterFailure))
        .circuit_breaker(breaker(2));
    let policy = policy(config, &executor.clock());
    let once = || executor.block_on(policy.call_once(async { Err::<(), _>("down") }, Outcome::of));
    assert_eq!(
        (once().err().map(|error| error.attempts()), once().is_err()),
        (Some(1), true)
    );
    assert!(once().is_err_and(|error| error.is_circuit_open()));
}

#[test]
fn what_is_no_future_passes_the_gates() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .rate_limit(RateLimiterConfig::new(0.001, 4))
        .bulkhead(BulkheadConfig::new(1))
        .circuit_breaker(breaker(2));
    let policy = policy(config, &executor.clock());
    assert_eq!(policy.call_sync(|| Ok::<_, &str>(1)), Ok(1));
    let within = policy.call_sync(|| {
        Ok::<_, &str>(
            policy
                .call_sync(|| Ok::<_, &str>(()))
                .is_err_and(|e| e.is_bulkhead_full()),
        )
    });
    assert_eq!(within, Ok(true));
    let failed = policy.call_sync(|| Err::<(), _>("down"));
    assert_eq!(failed.map_err(PolicyError::into_error), Err(Some("down")));
    let limited = policy.call_sync(|| Ok::<_, &str>(()));
    assert!(limited.is_err_and(|error| error.is_rate_limited()));
    let metrics = policy.circuit_breaker().expect("it has one").metrics();
    assert_eq!((metrics.success_count, metrics.failure_count), (2, 1));
}

#[test]
fn a_panic_in_a_plain_function_is_a_failure_and_releases_the_permit() {
    let config = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(1))
        .circuit_breaker(breaker(1));
    let policy = policy(config, &VirtualTime::new().clock());
    let call = || policy.call_sync(|| -> Result<(), ()> { panic!("on purpose") });
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err());
    assert_eq!(state(&policy), Some(CircuitState::Open));
    assert_eq!(policy.bulkhead().map(|bulkhead| bulkhead.in_flight()), Some(0));
}

#[test]
fn an_adaptive_limit_bounds_calls_learns_from_them_and_keeps_what_it_learned_over_a_change() {
    let executor = Executor::new();
    let clock = executor.clock();
    let limit = AdaptiveConfig::new(Algorithm::AIMD)
        .limits(4, 1, 100)
        .window(10 * MS, 1);
    let policy = policy(PolicyConfig::NONE.adaptive(limit).total_timeout(SECOND), &clock);
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let policy = policy.clone();
            executor.spawn(async move { policy.call(pending::<Result<(), ()>>).await })
        })
        .collect();
    let ends: Vec<_> = calls
        .into_iter()
        .map(|call| executor.block_on(call).map_err(|error| error.layer()))
        .collect();
    let late = Err(Some(Layer::TotalTimeout));
    assert_eq!(ends.iter().filter(|end| **end == late).count(), 4);
    assert_eq!(ends.iter().filter(|end| **end == Err(Some(Layer::Bulkhead))).count(), 1);
    for _ in 0..3 {
        assert!(executor.block_on(policy.call(pending::<Result<(), ()>>)).is_err());
    }
    let learned = policy.adaptive().expect("it has one").limit();
    assert!(learned < 4, "what times out is too much: {learned}");
    let other = PolicyConfig::NONE.adaptive(limit.drops(SECOND, 0.5));
    assert_eq!(policy.reconfigure(other), Ok(()));
    assert_eq!(policy.adaptive().map(|limit| limit.limit()), Some(learned));
}
