//! Recovery by somebody's own probe.

use super::*;
use crate::time::{Clock, Env, Executor};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

struct World {
    executor: Executor,
    clock: Clock,
    breaker: CircuitBreaker,
    /// When the dependency is well again.
    heals_at: Rc<Cell<Duration>>,
    /// When it was probed.
    probed: Rc<RefCell<Vec<Duration>>>,
}

fn since_start(clock: &Clock) -> Duration {
    clock.now() - crate::time::Tick::ZERO
}

/// A breaker that opens for 30 s at the first failure, and a probe each 200 ms.
fn world() -> World {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = CircuitBreakerConfig::new().consecutive_failures(1).success_threshold(1);
    let world = World {
        breaker: CircuitBreaker::with_config(config, Env::new(clock.clone()).seed(1)).expect("good"),
        heals_at: Rc::new(Cell::new(secs(5.0))),
        probed: Rc::default(),
        executor,
        clock,
    };
    let (clock, heals_at, probed) = (world.clock.clone(), world.heals_at.clone(), world.probed.clone());
    let probe = move || {
        let now = since_start(&clock);
        probed.borrow_mut().push(now);
        let well = now >= heals_at.get();
        async move { well }
    };
    let probing = HealthProbe::new(secs(0.2)).jitter(0.0);
    world
        .executor
        .spawn(world.breaker.probe_health(probing, probe).expect("good"));
    world
}

impl World {
    /// Calls every 10 ms until `until`, answered at once by the dependency's state; returns when calls ran again after
    /// it first opened.
    fn traffic(&self, until: Duration) -> Option<Duration> {
        let (clock, breaker) = (self.clock.clone(), self.breaker.clone());
        let heals_at = self.heals_at.clone();
        self.executor.block_on(async move {
            let mut answered = None;
            while since_start(&clock) < until {
                let well = since_start(&clock) >= heals_at.get();
                let result = breaker.call(async { if well { Ok(()) } else { Err(()) } }).await;
                if result.is_ok() && answered.is_none() {
                    answered = Some(since_start(&clock));
                }
                clock.sleep(secs(0.01)).await;
            }
            answered
        })
    }
}

#[test]
fn traffic_flows_within_a_second_after_the_dependency_heals_whatever_the_open_time() {
    let world = world();
    let answered = world.traffic(secs(10.0)).expect("it recovers");
    assert!(answered >= secs(5.0) && answered < secs(6.0), "{answered:?}");
    assert!(
        answered <= secs(5.22),
        "it takes one interval and one call: {answered:?}"
    );
    assert_eq!(world.breaker.current_state(), CircuitState::Closed);
}

#[test]
fn a_closed_circuit_is_not_probed() {
    let world = world();
    world.heals_at.set(Duration::ZERO);
    world.traffic(secs(10.0));
    assert!(world.probed.borrow().is_empty());
}

#[test]
fn probing_ends_with_the_breaker_and_does_not_keep_it_alive() {
    let world = world();
    world.executor.run_for(secs(1.0));
    assert_eq!(world.executor.tasks(), 1);
    world.breaker.try_acquire().expect("closed").failure();
    world.executor.run_for(secs(1.0));
    let World { executor, breaker, .. } = world;
    drop(breaker);
    executor.run_for(Duration::ZERO);
    assert_eq!(
        (executor.tasks(), executor.time().waiting()),
        (0, 0),
        "at once, not at the next interval"
    );
}

#[test]
fn what_was_opened_by_hand_or_by_an_error_that_says_how_long_is_not_probed() {
    let world = world();
    world.heals_at.set(Duration::ZERO);
    world.breaker.force_open();
    world.executor.run_for(secs(5.0));
    world.breaker.open_for(secs(5.0));
    world.executor.run_for(secs(4.9));
    assert_eq!(world.breaker.current_state(), CircuitState::Open);
    world.breaker.reset();
    world.breaker.try_acquire().expect("closed").failure_open_for(secs(5.0));
    world.executor.run_for(secs(4.9));
    assert_eq!(world.breaker.current_state(), CircuitState::Open);
    assert!(world.probed.borrow().is_empty());
}

#[test]
fn a_probe_that_is_wrong_again_and_again_is_asked_less_and_less() {
    let world = world();
    world.heals_at.set(secs(1000.0));
    // The probe says well, but calls fail: it watches something else than the calls need.
    let (clock, probed) = (world.clock.clone(), world.probed.clone());
    let wrong = move || {
        probed.borrow_mut().push(since_start(&clock));
        async { true }
    };
    let probing = HealthProbe::new(secs(0.2)).jitter(0.0);
    world
        .executor
        .spawn(world.breaker.probe_health(probing, wrong).expect("good"));
    world.traffic(secs(25.0));
    let failures = world.breaker.metrics().failure_count;
    assert!(
        (5..10).contains(&failures),
        "{failures} calls were spent on a dependency that was down"
    );
}

#[test]
fn a_probe_that_panics_or_takes_too_long_has_found_it_unwell() {
    let world = world();
    let panics = || -> std::future::Ready<bool> { panic!("no probe today") };
    let waits = || pending::<bool>();
    let breaker =
        CircuitBreaker::with_config(world.breaker.config(), Env::new(world.clock.clone()).seed(1)).expect("good");
    let probing = HealthProbe::new(secs(0.2));
    world
        .executor
        .spawn(breaker.probe_health(probing, panics).expect("good"));
    world
        .executor
        .spawn(breaker.probe_health(probing, waits).expect("good"));
    breaker.try_acquire().expect("closed").failure();
    world.executor.run_for(secs(29.0));
    assert_eq!(breaker.current_state(), CircuitState::Open);
    assert_eq!(world.executor.tasks(), 3, "they go on probing");
}

#[test]
fn as_many_good_answers_in_a_row_as_set_are_needed() {
    let executor = Executor::new();
    let config = CircuitBreakerConfig::new().consecutive_failures(1);
    let breaker = CircuitBreaker::with_config(config, executor.clock()).expect("good");
    let mut answers = [true, true, false, true, true, true].into_iter();
    let probing = HealthProbe::new(secs(1.0)).jitter(0.0).successes(3);
    executor.spawn(
        breaker
            .probe_health(probing, move || {
                let answer = answers.next().expect("no more probes once it is half-open");
                async move { answer }
            })
            .expect("good"),
    );
    breaker.try_acquire().expect("closed").failure();
    executor.run_for(secs(5.9));
    assert_eq!(breaker.current_state(), CircuitState::Open);
    executor.run_for(secs(0.2));
    assert_eq!(breaker.current_state(), CircuitState::HalfOpen);
}

#[test]
fn probe_settings_that_make_no_sense_are_refused_by_name() {
    let breaker = CircuitBreaker::new(1, 1, secs(1.0));
    let ok = HealthProbe::new(secs(1.0));
    for (settings, name) in [
        (HealthProbe::new(Duration::ZERO), "interval"),
        (HealthProbe::new(Duration::MAX), "interval"),
        (ok.jitter(f64::NAN), "jitter"),
        (ok.jitter(1.1), "jitter"),
        (ok.timeout(Duration::ZERO), "timeout"),
        (ok.successes(0), "successes"),
    ] {
        let Err(error) = breaker.probe_health(settings, || async { true }) else {
            panic!("`{name}` was taken");
        };
        assert_eq!((error.part, error.setting), ("health probe", name));
    }
}
