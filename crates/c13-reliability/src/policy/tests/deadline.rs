//! What the end of a call means for what it would have to wait for.

use super::*;
use crate::patterns::cache::{Cache, CacheConfig};
use crate::patterns::rate_limiter::TokenBucketRateLimiter;
use crate::policy::{CachedPolicy, CallOptions, RateLimitPer, TypedPolicy};

/// One token every ten seconds, and callers that would wait for it.
const SLOW: RateLimiterConfig = RateLimiterConfig::new(0.1, 1).max_wait(Duration::from_secs(11));

async fn done() -> Result<(), &'static str> {
    Ok(())
}

fn no_token(retry_after: Duration) -> Result<(), PolicyError<&'static str>> {
    Err(PolicyError::Rejected {
        policy: None,
        opening: None,
        layer: Layer::RateLimit,
        retry_after: Some(retry_after),
        attempts: 0,
        last_error: None,
    })
}

#[test]
fn a_call_whose_token_would_come_too_late_is_refused_at_once_with_the_time_to_retry_after() {
    for per in [RateLimitPer::Call, RateLimitPer::Attempt] {
        let executor = Executor::new();
        let clock = executor.clock();
        let policy = policy(PolicyConfig::NONE.rate_limit(SLOW).rate_limit_per(per), &clock);
        assert_eq!(executor.block_on(policy.call(done)), Ok(()));
        let refused = executor.block_on(Deadline::after(&clock, 2 * SECOND).scope(policy.call(done)));
        assert_eq!(refused, no_token(10 * SECOND), "{per:?}");
        assert_eq!(clock.now(), Tick::ZERO, "{per:?}: it did not wait");
        let limiter = policy.rate_limiter().expect("it has one").snapshot();
        assert_eq!(
            (limiter.allowed, limiter.rejected, limiter.waiting),
            (1, 1, 0),
            "{per:?}"
        );
    }
}

#[test]
fn a_call_does_not_wait_for_an_extra_limit_that_would_let_it_pass_too_late() {
    let executor = Executor::new();
    let clock = executor.clock();
    let policy = policy(PolicyConfig::NONE.total_timeout(2 * SECOND), &clock);
    let limiter = TokenBucketRateLimiter::with_config(SLOW, clock.clone()).expect("the settings are good");
    policy.limit_by(limiter.clone());
    assert_eq!(executor.block_on(policy.call(done)), Ok(()));
    assert_eq!(executor.block_on(policy.call(done)), no_token(10 * SECOND));
    assert_eq!((clock.now(), limiter.snapshot().rejected), (Tick::ZERO, 1));
}

#[test]
fn a_call_whose_token_comes_in_time_waits_for_it() {
    let executor = Executor::new();
    let policy = policy(
        PolicyConfig::NONE.rate_limit(SLOW).total_timeout(11 * SECOND),
        &executor.clock(),
    );
    assert_eq!(executor.block_on(policy.call(done)), Ok(()));
    assert_eq!(executor.block_on(policy.call(done)), Ok(()));
    assert_eq!(executor.time().now(), Tick::ZERO + 10 * SECOND);
}

type Cached = CachedPolicy<Cache<u64, u32>, TypedPolicy<u32, &'static str>>;

/// What is answered at this time.
type Answer = fn(Duration) -> Result<u32, &'static str>;

fn cached(config: PolicyConfig, executor: &Executor) -> Cached {
    let cache = Cache::with_config(CacheConfig::new(), executor.clock()).expect("good settings");
    policy(config, &executor.clock()).typed().cached(cache)
}

/// Calls for one key, one every `apart`, each with so much time, of something that answers after `takes`, according to the
/// time then; what came of them, and when.
fn calls(
    executor: &Executor,
    cached: &Cached,
    (takes, answer): (Duration, Answer),
    apart: Duration,
    times: &[Duration],
) -> Vec<(Result<u32, PolicyError<&'static str>>, Duration)> {
    let clock = executor.clock();
    let call = |time: &Duration| {
        let (cached, clock, own) = (cached.clone(), clock.clone(), clock.clone());
        let options = CallOptions::new().deadline(Deadline::after(&clock, *time));
        let operation = move || {
            let clock = own.clone();
            async move {
                clock.sleep(takes).await;
                answer(clock.now() - Tick::ZERO)
            }
        };
        let task = executor.spawn(async move {
            let result = cached.call_with(&1, options, operation).await;
            (result, clock.now() - Tick::ZERO)
        });
        executor.run_for(apart);
        task
    };
    let tasks: Vec<_> = times.iter().map(call).collect();
    executor.run_until_idle();
    tasks
        .into_iter()
        .map(|task| task.take().expect("all have ended"))
        .collect()
}

fn loads(cached: &Cached) -> (u64, u64) {
    let snapshot = cached.cache().snapshot();
    (snapshot.loads, snapshot.load_failures)
}

#[test]
fn a_short_deadline_of_the_call_that_loads_ends_that_call_alone() {
    let executor = Executor::new();
    let cached = cached(PolicyConfig::NONE.total_timeout(10 * SECOND), &executor);
    let ended = calls(
        &executor,
        &cached,
        (100 * MS, |_| Ok(7)),
        Duration::ZERO,
        &[10 * MS, 9 * SECOND, 9 * SECOND, 5 * MS],
    );
    let ended: Vec<_> = ended
        .into_iter()
        .map(|(result, at)| (result.map_err(|error| error.layer()), at))
        .collect();
    let late = Err(Some(Layer::TotalTimeout));
    assert_eq!(
        ended,
        [(late, 10 * MS), (Ok(7), 110 * MS), (Ok(7), 110 * MS), (late, 5 * MS)]
    );
    assert_eq!(loads(&cached), (2, 1));
}

#[test]
fn a_load_that_ran_out_of_time_is_not_begun_anew_by_a_call_with_less() {
    let executor = Executor::new();
    let cached = cached(PolicyConfig::NONE.total_timeout(SECOND), &executor);
    let ended = calls(
        &executor,
        &cached,
        (60 * SECOND, |_| Ok(7)),
        10 * MS,
        &[60 * SECOND; 20],
    );
    for (result, at) in ended {
        assert!(result.is_err_and(|error| error.is_timeout()));
        assert_eq!(at, SECOND);
    }
    assert_eq!(loads(&cached), (1, 1));
}

#[test]
fn a_token_that_comes_too_late_for_the_call_that_loads_may_come_in_time_for_another() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .rate_limit(SLOW)
        .rate_limit_per(RateLimitPer::Attempt)
        .retry(retry(5, MS));
    let cached = cached(config, &executor);
    let answer = |at| if at < SECOND { Err("down") } else { Ok(7) };
    let times = [2 * SECOND, 60 * SECOND];
    let [first, second] = calls(&executor, &cached, (100 * MS, answer), Duration::ZERO, &times)
        .try_into()
        .expect("two were made");
    assert!(
        first
            .0
            .is_err_and(|error| error.is_rate_limited() && error.attempts() == 1)
    );
    assert_eq!(first.1, 101 * MS, "it did not wait");
    assert_eq!(second, (Ok(7), 10 * SECOND + 100 * MS));
}

#[test]
fn the_callers_own_error_and_an_open_circuit_are_shared_whatever_time_is_left() {
    let once = PolicyConfig::NONE
        .total_timeout(10 * SECOND)
        .circuit_breaker(breaker(1));
    for (config, layer) in [(once, None), (once.retry(retry(3, MS)), Some(Layer::CircuitBreaker))] {
        let executor = Executor::new();
        let cached = cached(config, &executor);
        let times = [200 * MS, 9 * SECOND, 9 * SECOND];
        for (result, _) in calls(&executor, &cached, (100 * MS, |_| Err("down")), Duration::ZERO, &times) {
            let error = result.expect_err("the only attempt failed");
            assert_eq!((error.layer(), error.into_error()), (layer, Some("down")));
        }
        assert_eq!(loads(&cached), (1, 1));
    }
}
