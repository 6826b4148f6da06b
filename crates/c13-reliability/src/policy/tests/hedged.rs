//! What is said of attempts that lose against another one of the same call.

use super::*;
use crate::gate;
use crate::patterns::adaptive::AdaptiveLimit;
use crate::patterns::circuit_breaker::{Abandoned, CircuitBreaker};
use crate::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay};

/// Opens for the first call that is given up.
fn strict() -> CircuitBreakerConfig {
    breaker(1).abandoned(Abandoned::Failure)
}

fn hedge() -> HedgeConfig {
    HedgeConfig::new(HedgeDelay::Fixed(10 * MS)).without_budget()
}

/// Attempts that take these times one after the other.
struct Attempts<'a> {
    clock: &'a Clock,
    times: Cell<&'a [Duration]>,
}

impl<'a> Attempts<'a> {
    fn taking(clock: &'a Clock, times: &'a [Duration]) -> Self {
        let times = Cell::new(times);
        Self { clock, times }
    }

    fn next(&self) -> impl Future<Output = Result<(), &'static str>> + use<'a> {
        let (first, rest) = self
            .times
            .get()
            .split_first()
            .expect("no more attempts are made than the test has times for");
        self.times.set(rest);
        let (clock, takes) = (self.clock, *first);
        async move {
            clock.sleep(takes).await;
            Ok(())
        }
    }
}

fn state(policy: &Policy) -> CircuitState {
    policy.circuit_breaker().expect("it has a breaker").current_state()
}

#[test]
fn a_loser_opens_no_circuit_whichever_attempt_wins() {
    for times in [&[SECOND, MS][..], &[20 * MS, SECOND], &[SECOND, SECOND, MS]] {
        let executor = Executor::new();
        let clock = executor.clock();
        let config = PolicyConfig::NONE.hedge(hedge().max_extra(2)).circuit_breaker(strict());
        let policy = policy(config, &clock);
        let attempts = Attempts::taking(&clock, times);
        let won = executor.block_on(policy.call(|| attempts.next()));
        assert_eq!((won, state(&policy)), (Ok(()), CircuitState::Closed), "{times:?}");
        let metrics = policy.circuit_breaker().expect("it has a breaker").metrics();
        let told = (metrics.success_count, metrics.failure_count, metrics.abandoned_count);
        assert_eq!(told, (1, 0, 0), "{times:?}");
        let losers = policy.hedge().expect("it has a hedge").snapshot().abandoned;
        assert_eq!(losers, times.len() as u64 - 1, "{times:?}");
    }
}

#[test]
fn attempts_that_the_caller_gives_up_count_as_the_settings_say() {
    let executor = Executor::new();
    let clock = executor.clock();
    let policy = policy(PolicyConfig::NONE.hedge(hedge()).circuit_breaker(strict()), &clock);
    let attempts = Attempts::taking(&clock, &[SECOND, SECOND]);
    let given_up = executor.block_on(clock.timeout(20 * MS, policy.call(|| attempts.next())));
    assert!(given_up.is_err());
    assert_eq!(state(&policy), CircuitState::Open);
}

#[test]
fn a_loser_says_nothing_to_the_breaker_of_a_policy_inside_it() {
    let executor = Executor::new();
    let clock = executor.clock();
    let outer = policy(PolicyConfig::NONE.hedge(hedge()), &clock);
    let inner = policy(PolicyConfig::NONE.circuit_breaker(strict()), &clock);
    let attempts = Attempts::taking(&clock, &[SECOND, MS]);
    let nested = || {
        let attempt = attempts.next();
        let inner = &inner;
        async move { inner.call_once(attempt, Outcome::of).await }
    };
    assert!(executor.block_on(outer.call(nested)).is_ok());
    assert_eq!(state(&inner), CircuitState::Closed);
}

#[test]
fn a_loser_of_a_hedge_by_itself_says_nothing_either() {
    let executor = Executor::new();
    let clock = executor.clock();
    let hedge = Hedge::with_config(hedge(), clock.clone()).expect("good");
    let circuit = CircuitBreaker::with_config(strict(), clock.clone()).expect("good");
    // A call that runs for longer than this counts as dropped, if it is given up.
    let adaptive = AdaptiveConfig::new(Algorithm::AIMD).drops(5 * MS, 0.1);
    let limit = AdaptiveLimit::with_config(adaptive, clock.clone()).expect("good");
    let attempts = Attempts::taking(&clock, &[SECOND, MS]);
    let limited = executor.block_on(hedge.execute(|| gate::call(&limit, attempts.next(), Outcome::of)));
    assert!(limited.is_ok());
    assert_eq!(limit.snapshot().dropped, 0);
    let attempts = Attempts::taking(&clock, &[SECOND, MS]);
    assert!(
        executor
            .block_on(hedge.execute(|| circuit.call(attempts.next())))
            .is_ok()
    );
    assert_eq!(circuit.current_state(), CircuitState::Closed);
    assert_eq!(hedge.snapshot().abandoned, 2);
}

#[test]
fn a_call_that_its_caller_gives_up_does_not_move_the_measured_delay() {
    let executor = Executor::new();
    let clock = executor.clock();
    let delay = HedgeDelay::Percentile {
        quantile: 0.5,
        min_calls: 1,
        window: SECOND,
    };
    let hedge = Hedge::with_config(HedgeConfig::new(delay).without_budget(), clock.clone()).expect("good");
    let first = [10 * MS];
    let attempts = Attempts::taking(&clock, &first);
    assert!(executor.block_on(hedge.execute(|| attempts.next())).is_ok());
    let measured = hedge.delay();
    for _ in 0..100 {
        let attempts = Attempts::taking(&clock, &[SECOND, SECOND]);
        let given_up = executor.block_on(clock.timeout(15 * MS, hedge.execute(|| attempts.next())));
        assert!(given_up.is_err());
    }
    assert_eq!(hedge.delay(), measured);
}
