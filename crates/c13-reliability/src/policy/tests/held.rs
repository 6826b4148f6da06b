//! Calls that are put aside while they wait: what they hold, and what becomes of it.

use super::{MS, SECOND, breaker, policy, retry};
use crate::gate::Outcome;
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use crate::patterns::circuit_breaker::CircuitBreaker;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::patterns::retry::{RetryConfig, RetryStrategy, Verdict};
use crate::policy::{Policy, PolicyConfig, RateLimitPer};
use crate::time::{Clock, Executor};
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Counts work as long as it lives, and asserts that its bulkhead, if it has one, still counts it when it ends.
struct Running<'a>(&'a Cell<u32>, Option<Bulkhead>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
        if let Some(bulkhead) = &self.1 {
            assert_eq!(bulkhead.in_flight(), 1, "the permit is held until the work is dropped");
        }
    }
}

/// Work of 5 ms that fails twice.
fn work<'a>(
    policy: &'a Policy,
    clock: &'a Clock,
    running: &'a Cell<u32>,
) -> impl FnMut() -> std::pin::Pin<Box<dyn Future<Output = Result<u32, &'static str>> + 'a>> {
    let attempts = std::rc::Rc::new(Cell::new(0));
    move || {
        let attempts = attempts.clone();
        Box::pin(async move {
            running.set(running.get() + 1);
            let _running = Running(running, policy.bulkhead());
            attempts.set(attempts.get() + 1);
            let attempt = attempts.get();
            clock.sleep(5 * MS).await;
            if attempt <= 2 { Err("down") } else { Ok(attempt) }
        })
    }
}

fn everything() -> PolicyConfig {
    PolicyConfig::NONE
        .total_timeout(SECOND)
        .attempt_timeout(100 * MS)
        .rate_limit(RateLimiterConfig::new(1_000.0, 1).max_wait(SECOND))
        .retry(retry(3, 10 * MS))
        .circuit_breaker(breaker(100))
}

fn variants() -> [(&'static str, PolicyConfig); 4] {
    let bulkhead = BulkheadConfig::new(1).queue(4, SECOND);
    let adaptive = AdaptiveConfig::new(Algorithm::AIMD).limits(1, 1, 1).queue(4, SECOND);
    [
        ("bulkhead", everything().bulkhead(bulkhead)),
        ("adaptive", everything().adaptive(adaptive)),
        (
            "per attempt",
            everything().bulkhead(bulkhead).rate_limit_per(RateLimitPer::Attempt),
        ),
        (
            "hedged",
            everything().hedge(HedgeConfig::new(HedgeDelay::Fixed(3 * MS))),
        ),
    ]
}

fn assert_nothing_is_left(policy: &Policy, executor: &Executor, running: &Cell<u32>, when: &str) {
    if let Some(bulkhead) = policy.bulkhead() {
        let bulkhead = bulkhead.snapshot();
        assert_eq!((bulkhead.calls.in_flight, bulkhead.calls.queued), (0, 0), "{when}");
    }
    if let Some(adaptive) = policy.adaptive() {
        let adaptive = adaptive.snapshot();
        assert_eq!((adaptive.calls.in_flight, adaptive.calls.queued), (0, 0), "{when}");
    }
    let breaker = policy.circuit_breaker().expect("every variant has one").metrics();
    let counts = [
        breaker.success_count,
        breaker.failure_count,
        breaker.abandoned_count,
        // Losers of a hedge.
        breaker.ignored_count,
    ];
    let told: u64 = counts.iter().sum();
    assert_eq!(told, breaker.total_requests, "{when}");
    assert_eq!((running.get(), executor.time().waiting()), (0, 0), "{when}");
}

#[test]
fn a_call_dropped_at_any_moment_leaves_nothing_behind_in_any_kind_of_policy() {
    for (name, config) in variants() {
        let executor = Executor::new();
        let clock = executor.clock();
        let policy = policy(config, &clock);
        let running = Cell::new(0);
        let mut moment = Duration::ZERO;
        let mut calls = 0;
        loop {
            calls += 1;
            let call = policy.call(work(&policy, &clock, &running));
            let ended = executor.block_on(clock.timeout(moment, call)).is_ok();
            let when = format!("{name}: dropped after {moment:?}");
            assert_nothing_is_left(&policy, &executor, &running, &when);
            if ended {
                break;
            }
            moment += MS / 2;
        }
        assert!(moment >= 15 * MS, "{name}: {moment:?}");
        let retry = policy.retry().expect("every variant has one").snapshot();
        let counted = retry.first_try + retry.successes + retry.abandoned;
        // Who was dropped while it waited to come in was no call to retry.
        assert!(counted <= calls && retry.abandoned > 20, "{name}: {retry:?}");
        assert_eq!(retry.successes, 1, "{name}: {retry:?}");
    }
}

#[test]
fn somebody_elses_panic_makes_a_waiting_call_abandoned_and_not_failed() {
    let executor = Executor::new();
    let policy = policy(
        PolicyConfig::NONE
            .circuit_breaker(breaker(1))
            .bulkhead(BulkheadConfig::new(1)),
        &executor.clock(),
    );
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let mut call = pin!(policy.call(pending::<Result<(), &str>>));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        panic!("not the call's fault");
    }));
    assert!(caught.is_err());
    let metrics = policy.circuit_breaker().unwrap().metrics();
    assert_eq!((metrics.failure_count, metrics.abandoned_count), (0, 1));
    assert_eq!(policy.bulkhead().unwrap().in_flight(), 0);
}

#[test]
fn an_adaptive_limit_learns_from_calls_that_had_to_wait() {
    let executor = Executor::new();
    let clock = executor.clock();
    let adaptive = AdaptiveConfig::new(Algorithm::AIMD).limits(4, 1, 8);
    let policy = policy(PolicyConfig::NONE.adaptive(adaptive), &clock);
    let after = |result: Result<(), &'static str>| {
        let clock = clock.clone();
        policy.call(move || {
            let clock = clock.clone();
            async move {
                clock.sleep(MS).await;
                result
            }
        })
    };
    assert!(executor.block_on(after(Ok(()))).is_ok());
    assert_eq!(policy.adaptive().unwrap().snapshot().dropped, 0);
    assert!(executor.block_on(after(Err("too much"))).is_err());
    let snapshot = policy.adaptive().unwrap().snapshot();
    assert_eq!(
        (snapshot.dropped, snapshot.calls.in_flight, snapshot.calls.admitted),
        (1, 0, 2)
    );
    assert!(executor.block_on(clock.timeout(MS / 2, after(Ok(())))).is_err());
    let snapshot = policy.adaptive().unwrap().snapshot();
    assert_eq!(
        (snapshot.dropped, snapshot.calls.in_flight),
        (1, 0),
        "who gives up says nothing"
    );
}

#[test]
fn what_a_waiting_call_holds_is_given_back_to_the_parts_it_began_with() {
    let executor = Executor::new();
    let clock = executor.clock();
    let bounded = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(2))
        .circuit_breaker(breaker(5));
    let policy = policy(bounded, &clock);
    let (bulkhead, circuit) = (policy.bulkhead().unwrap(), policy.circuit_breaker().unwrap());
    let other = clock.clone();
    let ended = executor.block_on(async {
        let mut call = pin!(policy.call(|| async {
            other.sleep(SECOND).await;
            Ok::<_, &str>(())
        }));
        assert!(clock.timeout(MS, call.as_mut()).await.is_err());
        assert_eq!(bulkhead.in_flight(), 1);
        policy
            .reconfigure(PolicyConfig::NONE)
            .expect("nothing is no contradiction");
        call.await
    });
    assert_eq!(ended, Ok(()));
    assert_eq!((bulkhead.in_flight(), circuit.metrics().success_count), (0, 1));
}

#[test]
fn a_permit_is_held_until_the_attempt_is_dropped_whether_it_ended_or_was_cut_short() {
    let executor = Executor::new();
    let clock = executor.clock();
    let policy = policy(
        PolicyConfig::NONE
            .bulkhead(BulkheadConfig::new(1))
            .attempt_timeout(SECOND),
        &clock,
    );
    let running = Cell::new(0);
    // Its guard lives as long as the future, and not only until the future is ready.
    let work = |result: Poll<Result<(), &'static str>>| {
        running.set(running.get() + 1);
        let guard = Running(&running, policy.bulkhead());
        poll_fn(move |_| {
            let whole = &guard;
            assert_eq!(whole.0.get(), 1);
            result
        })
    };
    let call = |result| executor.block_on(policy.call(|| work(result)));
    assert!(call(Poll::Ready(Ok(()))).is_ok());
    assert!(call(Poll::Ready(Err("down"))).is_err());
    assert!(call(Poll::Pending).is_err_and(|error| error.is_timeout()));
    assert_eq!((running.get(), policy.bulkhead().unwrap().in_flight()), (0, 0));
}

/// Asserts when it is dropped that it is still the one probe of a half-open circuit.
struct Probe(CircuitBreaker);

impl Drop for Probe {
    fn drop(&mut self) {
        assert_eq!(self.0.snapshot().probes_running, 1, "no other may be let in yet");
    }
}

#[test]
fn a_further_attempt_is_a_probe_until_it_is_dropped() {
    let executor = Executor::new();
    let clock = executor.clock();
    let open_for = breaker(1).open_for(5 * MS).half_open_calls(1);
    let plain = PolicyConfig::NONE.circuit_breaker(open_for).retry(retry(1, 10 * MS));
    for config in [plain, plain.hedge(HedgeConfig::new(HedgeDelay::Fixed(SECOND)))] {
        let policy = policy(config, &clock);
        let circuit = policy.circuit_breaker().expect("it has one");
        let attempts = Cell::new(0);
        let call = policy.call(|| {
            attempts.set(attempts.get() + 1);
            let probe = (attempts.get() == 2).then(|| Probe(circuit.clone()));
            // Its probe lives as long as the future.
            poll_fn(move |_| {
                if probe.is_some() {
                    Poll::Pending
                } else {
                    Poll::Ready(Err::<(), _>("down"))
                }
            })
        });
        assert!(executor.block_on(clock.timeout(20 * MS, call)).is_err());
        assert_eq!((attempts.get(), circuit.snapshot().probes_running), (2, 0));
    }
}

/// Panics when it is dropped.
struct PanicsAtTheEnd;

impl Drop for PanicsAtTheEnd {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped");
    }
}

#[test]
fn a_panic_anywhere_in_a_call_gives_back_what_it_holds_and_is_counted_once() {
    let bulkhead = BulkheadConfig::new(1);
    let adaptive = AdaptiveConfig::new(Algorithm::AIMD).limits(1, 1, 1);
    let plain = PolicyConfig::NONE.circuit_breaker(breaker(100)).retry(retry(3, MS));
    let limited = plain.retry(retry(3, MS).total_limit(SECOND));
    let policies = [
        ("bulkhead", plain.bulkhead(bulkhead)),
        ("begun", limited.bulkhead(bulkhead)),
        ("adaptive", plain.adaptive(adaptive)),
        ("adaptive, begun", limited.adaptive(adaptive)),
    ];
    // Where the panic is, and whether the breaker takes the call for failed.
    let moments = [
        ("make", true),
        ("poll", true),
        ("outcome", true),
        ("drop", false),
        ("verdict", false),
    ];
    for (name, config) in policies {
        let executor = Executor::new();
        let policy = policy(config, &executor.clock());
        for (calls, (moment, fails)) in (1_u64..).zip(moments) {
            let when = format!("{name}: {moment}");
            let breaker = policy.circuit_breaker().expect("it has one");
            let failed = breaker.metrics().failure_count;
            let call = policy.call_classified(
                || {
                    assert_ne!(moment, "make");
                    let dropped = (moment == "drop").then(|| PanicsAtTheEnd);
                    poll_fn(move |_| {
                        assert_ne!(moment, "poll");
                        let _held_until_dropped = &dropped;
                        Poll::Ready(Ok::<_, &str>(()))
                    })
                },
                |result| {
                    assert_ne!(moment, "outcome");
                    Outcome::of(result)
                },
                |result| {
                    assert_ne!(moment, "verdict");
                    Verdict::of(result)
                },
            );
            assert!(
                catch_unwind(AssertUnwindSafe(|| executor.block_on(call))).is_err(),
                "{when}"
            );
            assert_nothing_is_left(&policy, &executor, &Cell::new(0), &when);
            let metrics = breaker.metrics();
            assert_eq!(metrics.total_requests, calls, "{when}");
            assert_eq!(metrics.failure_count - failed, u64::from(fails), "{when}");
            let retry = policy.retry().expect("it has one").snapshot();
            assert_eq!((retry.abandoned, retry.first_try), (calls, 0), "{when}");
        }
    }
}

#[test]
fn a_call_that_ends_between_two_attempts_was_not_abandoned() {
    let limit = RateLimiterConfig::new(0.4, 1);
    let retry = RetryConfig::new(5, RetryStrategy::FixedDelay(SECOND / 1_000));
    let config = PolicyConfig::NONE.rate_limit_per(RateLimitPer::Attempt).retry(retry);
    let (refusing, waiting) = (
        config.rate_limit(limit),
        config.rate_limit(limit.max_wait(3 * SECOND)).total_timeout(3 * SECOND),
    );
    for (name, config) in [("refused", refusing), ("its time is over", waiting)] {
        let executor = Executor::new();
        let policy = policy(config, &executor.clock());
        for _ in 0..3 {
            // Those that wait have the token for an attempt, and the next comes too late for them.
            assert!(
                executor
                    .block_on(policy.call(|| async { Err::<(), _>("down") }))
                    .is_err()
            );
        }
        let retry = policy.retry().expect("it has one").snapshot();
        let given_up = retry.not_retryable + retry.deadline_exceeded;
        assert_eq!((retry.abandoned, given_up), (0, 3), "{name}: {retry:?}");
    }
}
