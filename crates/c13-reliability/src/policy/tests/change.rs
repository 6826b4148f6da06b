//! What stays when settings change.

use super::*;
use crate::budget::{RetryBudget, RetryBudgetConfig};
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use std::pin::Pin;
use std::rc::Rc;

type Work = Pin<Box<dyn Future<Output = Result<(), ()>>>>;

/// What makes calls that take so long.
fn takes(clock: &Clock, time: Duration) -> impl FnMut() -> Work + use<> {
    let clock = clock.clone();
    move || {
        let clock = clock.clone();
        Box::pin(async move {
            clock.sleep(time).await;
            Ok(())
        })
    }
}

#[test]
fn an_adaptive_limit_bounds_the_calls_from_before_a_change_and_after_it_together() {
    let executor = Executor::new();
    let clock = executor.clock();
    let limit = AdaptiveConfig::new(Algorithm::AIMD)
        .limits(3, 1, 3)
        .queue(1, 60 * SECOND);
    let policy = policy(PolicyConfig::NONE.adaptive(limit), &clock);
    let (running, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let calls: Vec<_> = (0..12)
        .map(|call| {
            if call % 4 == 0 {
                let other = limit.window(MS * (100 + call), 10);
                assert_eq!(policy.reconfigure(PolicyConfig::NONE.adaptive(other)), Ok(()));
            }
            let (policy, mut work) = (policy.clone(), takes(&clock, SECOND));
            let (running, most) = (running.clone(), most.clone());
            let call = executor.spawn(async move {
                let work = || {
                    running.set(running.get() + 1);
                    most.set(most.get().max(running.get()));
                    let (running, work) = (running.clone(), work());
                    async move {
                        let result = work.await;
                        running.set(running.get() - 1);
                        result
                    }
                };
                policy.call(work).await.is_ok()
            });
            executor.run_for(MS);
            call
        })
        .collect();
    let before = policy.adaptive().expect("it has one").snapshot();
    assert_eq!(
        (before.calls.in_flight, before.calls.queued, before.calls.rejected),
        (3, 1, 8)
    );
    executor.run_until_idle();
    let served = calls.into_iter().filter(|call| call.take() == Some(true)).count();
    assert_eq!((most.get(), served), (3, 4), "three run, and the queued one after them");
}

#[test]
fn a_hedge_keeps_its_budget_its_counts_and_what_it_has_measured() {
    let executor = Executor::new();
    let clock = executor.clock();
    let five = RetryBudgetConfig::new()
        .ratio(0.0)
        .min_per_second(0.5)
        .window(60 * SECOND);
    let config = |hedges, delay| PolicyConfig::NONE.hedge(HedgeConfig::new(delay).max_extra(hedges).budget(five));
    let fixed = HedgeDelay::Fixed(10 * MS);
    let one = policy(config(1, fixed), &clock);
    for round in 0..40 {
        assert_eq!(executor.block_on(one.call(takes(&clock, 100 * MS))), Ok(()));
        assert_eq!(one.reconfigure(config(1 + round % 2, fixed)), Ok(()));
    }
    let hedge = one.hedge().expect("it has one").snapshot();
    assert!((25..=30).contains(&hedge.hedges), "{} hedges of 30", hedge.hedges);
    assert!(hedge.budget_exhausted >= 10);

    let measured = policy(config(1, HedgeDelay::P95), &clock);
    for _ in 0..200 {
        assert_eq!(executor.block_on(measured.call(takes(&clock, MS))), Ok(()));
    }
    let delay = |policy: &Policy| policy.hedge().and_then(|hedge| hedge.delay());
    let before = delay(&measured);
    assert!(before.is_some());
    assert_eq!(measured.reconfigure(config(2, HedgeDelay::P95)), Ok(()));
    assert_eq!(delay(&measured), before);
}

#[test]
fn a_hedge_draws_on_the_budget_of_retry_while_there_is_one_and_on_its_own_else() {
    let executor = Executor::new();
    let clock = executor.clock();
    let alone = PolicyConfig::NONE.hedge(HedgeConfig::new(HedgeDelay::Fixed(MS)));
    let both = alone.retry(RetryConfig::new(1, RetryStrategy::FixedDelay(MS)));
    let policy = policy(both, &clock);
    let withdrawals = |policy: &Policy| {
        let retry = policy.retry().and_then(|retry| retry.snapshot().budget);
        let hedge = policy.hedge().and_then(|hedge| hedge.snapshot().budget);
        (retry.map(|budget| budget.granted), hedge.map(|budget| budget.granted))
    };
    let call = || assert_eq!(executor.block_on(policy.call(takes(&clock, 10 * MS))), Ok(()));
    call();
    assert_eq!(withdrawals(&policy), (Some(1), Some(1)), "it is one budget");
    assert_eq!(policy.reconfigure(both.total_timeout(SECOND)), Ok(()));
    call();
    assert_eq!(withdrawals(&policy), (Some(2), Some(2)), "and stays one");
    assert_eq!(policy.reconfigure(alone), Ok(()));
    call();
    assert_eq!(withdrawals(&policy), (None, Some(1)), "its own");
    assert_eq!(policy.reconfigure(alone.total_timeout(SECOND)), Ok(()));
    call();
    assert_eq!(withdrawals(&policy), (None, Some(2)), "which stays");
    assert_eq!(policy.hedge().map(|hedge| hedge.snapshot().hedges), Some(4));
}

#[test]
fn what_was_set_by_hand_stays_when_the_settings_of_something_else_change() {
    let bulkhead = BulkheadConfig::new(10);
    let config = PolicyConfig::NONE.bulkhead(bulkhead);
    let policy = policy(config, &VirtualTime::new().clock());
    let limit = || policy.bulkhead().expect("it has one").config().max_concurrent;
    let resized = policy.bulkhead().map(|bulkhead| bulkhead.resize(3));
    assert_eq!(resized, Some(Ok(())));
    assert_eq!(policy.reconfigure(config.total_timeout(SECOND)), Ok(()));
    assert_eq!(limit(), 3);
    assert_eq!(policy.reconfigure(config.bulkhead(bulkhead.queue(1, SECOND))), Ok(()));
    assert_eq!(limit(), 10, "its own settings changed");
}

#[test]
fn what_was_taken_out_of_a_policy_is_the_part_that_comes_back() {
    let executor = Executor::new();
    let clock = executor.clock();
    let full = PolicyConfig::NONE
        .rate_limit(RateLimiterConfig::new(100.0, 10))
        .bulkhead(BulkheadConfig::new(3))
        .retry(retry(1, MS))
        .hedge(HedgeConfig::new(HedgeDelay::Fixed(SECOND)))
        .circuit_breaker(breaker(2));
    let policy = policy(full, &clock);
    let taken = (
        policy.circuit_breaker().expect("it has one"),
        policy.rate_limiter().expect("it has one"),
        policy.bulkhead().expect("it has one"),
        policy.retry().expect("it has one"),
        policy.hedge().expect("it has one"),
    );
    let (circuit, limiter, bulkhead, retries, hedge) = &taken;
    let call = |fails: bool| {
        let attempt = || async move { if fails { Err("down") } else { Ok(()) } };
        _ = executor.block_on(policy.call(attempt));
    };
    call(true);
    assert_eq!(circuit.current_state(), CircuitState::Open);
    assert_eq!(policy.reconfigure(PolicyConfig::NONE), Ok(()));
    assert_eq!(circuit.current_state(), CircuitState::Closed, "nobody is refused");
    call(true);
    assert_eq!(policy.reconfigure(PolicyConfig::NONE.total_timeout(SECOND)), Ok(()));
    assert_eq!(policy.reconfigure(full), Ok(()));
    let counts = || {
        (
            limiter.snapshot().allowed,
            bulkhead.snapshot().calls.admitted,
            retries.snapshot().first_try + retries.snapshot().retries,
            hedge.snapshot().first_wins,
            circuit.metrics().success_count,
        )
    };
    let before = counts();
    call(false);
    let after = counts();
    assert_eq!(
        (before.0 + 1, before.1 + 1, before.2 + 1, before.3 + 1, before.4 + 1),
        after
    );
    call(true);
    assert_eq!(circuit.current_state(), CircuitState::Open);
    assert_eq!(
        policy.circuit_breaker().map(|circuit| circuit.metrics()),
        Some(circuit.metrics())
    );
}

#[test]
fn an_adaptive_limit_that_comes_back_is_the_one_that_was_taken_out() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE.adaptive(AdaptiveConfig::new(Algorithm::AIMD));
    let policy = policy(config, &executor.clock());
    let limit = policy.adaptive().expect("it has one");
    assert_eq!(
        policy.reconfigure(PolicyConfig::NONE.bulkhead(BulkheadConfig::new(1))),
        Ok(())
    );
    assert_eq!(policy.reconfigure(config), Ok(()));
    assert_eq!(executor.block_on(policy.call(|| async { Ok::<_, ()>(()) })), Ok(()));
    assert_eq!(limit.snapshot().calls.admitted, 1);
}

#[test]
fn retry_and_hedge_that_were_taken_out_tell_the_settings_that_calls_go_by() {
    let executor = Executor::new();
    let settings = |n: u32| {
        let retry = RetryConfig::new(n, RetryStrategy::FixedDelay(MS));
        let hedge = HedgeConfig::new(HedgeDelay::Fixed(MS * n)).max_extra(n);
        PolicyConfig::NONE.retry(retry).hedge(hedge)
    };
    let policy = policy(settings(1), &executor.clock());
    let (retry, hedge) = (policy.retry().expect("it has one"), policy.hedge().expect("it has one"));
    let told = || (retry.config().max_retries, hedge.config().max_extra);
    assert_eq!(told(), (1, 1));
    for n in [2, 3] {
        assert_eq!(policy.reconfigure(settings(n)), Ok(()));
        assert_eq!(told(), (n, n));
    }
    // Taken away and given back, they are still the same.
    assert_eq!(policy.reconfigure(PolicyConfig::NONE), Ok(()));
    assert_eq!(told(), (3, 3));
    assert_eq!(policy.reconfigure(settings(2)), Ok(()));
    assert_eq!(told(), (2, 2));
    // One with a budget of one's own has its own settings from then on.
    let nothing = RetryBudget::with_config(NOTHING, executor.clock()).expect("good");
    let own = retry.clone().budget(nothing);
    assert_eq!(policy.reconfigure(settings(4)), Ok(()));
    assert_eq!((own.config().max_retries, told()), (2, (4, 4)));
}

/// A budget that grants no extra attempt.
const NOTHING: RetryBudgetConfig = RetryBudgetConfig::new().ratio(0.0).min_per_second(0.0);

#[test]
fn the_next_call_through_a_retry_that_was_taken_out_goes_by_the_reloaded_settings() {
    let two = retry(2, 10 * MS);
    // The retries that a call makes which always fails, the time it takes, and why it gives up.
    let table = [
        ("as before", two, (2, 20 * MS, GiveUp::MaxRetries)),
        ("more retries", retry(4, 10 * MS), (4, 40 * MS, GiveUp::MaxRetries)),
        ("no retries", retry(0, 10 * MS), (0, Duration::ZERO, GiveUp::MaxRetries)),
        ("the delay", retry(2, 30 * MS), (2, 60 * MS, GiveUp::MaxRetries)),
        ("the budget", two.budget(NOTHING), (0, Duration::ZERO, GiveUp::Budget)),
        (
            "the total limit",
            two.total_limit(15 * MS),
            (1, 10 * MS, GiveUp::Deadline),
        ),
    ];
    for (setting, reloaded, expected) in table {
        let executor = Executor::new();
        let clock = executor.clock();
        let policy = policy(PolicyConfig::NONE.retry(two), &clock);
        let retry = policy.retry().expect("it has one");
        let call = || {
            let began = clock.now();
            let failed = executor.block_on(retry.execute(|| std::future::ready(Err::<(), _>("down"))));
            let error = failed.expect_err("every attempt fails");
            (error.attempts() - 1, clock.now() - began, error.reason())
        };
        assert_eq!(call(), table[0].2, "before the reload");
        for absent in [false, true] {
            if absent {
                assert_eq!(policy.reconfigure(PolicyConfig::NONE), Ok(()));
            }
            assert_eq!(policy.reconfigure(PolicyConfig::NONE.retry(reloaded)), Ok(()));
            assert_eq!(call(), expected, "{setting}");
        }
    }
}

#[test]
fn the_next_call_through_a_hedge_that_was_taken_out_goes_by_the_reloaded_settings() {
    let after = |delay, max_extra| {
        let hedge = HedgeConfig::new(delay).max_extra(max_extra).without_budget();
        PolicyConfig::NONE.hedge(hedge)
    };
    let one = after(HedgeDelay::Fixed(30 * MS), 1);
    let without_budget = one.hedge.expect("it has one");
    // When a call starts its attempts, each of which takes 100 ms.
    let table: [(&str, PolicyConfig, &[u32]); 7] = [
        ("as before", one, &[0, 30]),
        ("the delay", after(HedgeDelay::Fixed(60 * MS), 1), &[0, 60]),
        ("no delay", after(HedgeDelay::AfterFailure, 1), &[0]),
        ("more attempts", after(HedgeDelay::Fixed(30 * MS), 3), &[0, 30, 60, 90]),
        (
            "the budget",
            PolicyConfig::NONE.hedge(without_budget.budget(NOTHING)),
            &[0],
        ),
        ("the budget of retry", one.retry(retry(1, MS).budget(NOTHING)), &[0]),
        ("a retry without a budget", one.retry(retry(1, MS)), &[0, 30]),
    ];
    for (setting, reloaded, expected) in table {
        let executor = Executor::new();
        let clock = executor.clock();
        let policy = policy(one, &clock);
        let hedge = policy.hedge().expect("it has one");
        let call = || {
            let (began, mut attempt) = (clock.now(), takes(&clock, 100 * MS));
            let mut started = Vec::new();
            let given = executor.block_on(hedge.execute(|| {
                started.push((clock.now() - began).as_millis() as u32);
                attempt()
            }));
            assert!(given.is_ok());
            started
        };
        assert_eq!(call(), table[0].2, "before the reload");
        for absent in [false, true] {
            if absent {
                assert_eq!(policy.reconfigure(PolicyConfig::NONE), Ok(()));
            }
            assert_eq!(policy.reconfigure(reloaded), Ok(()));
            assert_eq!(call(), expected, "{setting}");
        }
    }
}

#[test]
fn a_hedge_set_by_hand_stays_so_until_its_own_settings_change() {
    let executor = Executor::new();
    let hedge = HedgeConfig::new(HedgeDelay::Fixed(MS));
    let config = PolicyConfig::NONE.hedge(hedge);
    let policy = policy(config, &executor.clock());
    let most = || policy.hedge().map(|hedge| hedge.config().max_extra);
    let by_hand = policy.hedge().map(|part| part.reconfigure(hedge.max_extra(3)));
    assert_eq!((by_hand, most()), (Some(Ok(())), Some(3)));
    for other in [config.total_timeout(SECOND), config.retry(retry(1, MS))] {
        assert_eq!(policy.reconfigure(other), Ok(()));
        assert_eq!(most(), Some(3));
    }
    assert_eq!(policy.reconfigure(PolicyConfig::NONE.hedge(hedge.max_extra(2))), Ok(()));
    assert_eq!(most(), Some(2));
}
