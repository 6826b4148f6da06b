//! What a user of the breaker relies on, through its public names only.

use c13_reliability::patterns::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError, CircuitMetrics, CircuitState, FailureRate, HealthProbe,
    Window, circuit_config,
};
use c13_reliability::patterns::retry::{RetryConfig, RetryError, RetryExecutor, RetryStrategy};
use c13_reliability::time::{Clock, Executor, VirtualTime};
use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn on(clock: Clock, config: CircuitBreakerConfig) -> CircuitBreaker {
    CircuitBreaker::with_config(config, clock).expect("the settings are good")
}

#[tokio::test]
async fn the_promised_names_are_there() {
    const { assert!(circuit_config::validate()) };
    let (failures, successes): (u64, u64) = (circuit_config::FAILURE_THRESHOLD, circuit_config::SUCCESS_THRESHOLD);
    let milliseconds: u64 = circuit_config::TIMEOUT_MS;
    assert_eq!(Duration::from_millis(milliseconds), circuit_config::TIMEOUT);
    assert_eq!(circuit_config::HALF_OPEN_TIMEOUT, Duration::from_secs(5));

    let breaker = CircuitBreaker::new(failures, successes, circuit_config::TIMEOUT);
    let result: Result<u32, CircuitBreakerError<String>> = breaker.call(async { Ok(7) }).await;
    assert_eq!(result, Ok(7));
    let result: Result<u32, CircuitBreakerError<String>> = breaker.call(async { Err("no".to_owned()) }).await;
    assert!(matches!(result, Err(CircuitBreakerError::CallFailed(error)) if error == "no"));
    breaker.force_open();
    let result: Result<u32, CircuitBreakerError<String>> = breaker.call(async { Ok(7) }).await;
    assert!(matches!(
        result,
        Err(CircuitBreakerError::CircuitOpen { retry_after: _ })
    ));

    let states = [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen];
    assert_eq!(states.map(|state| state as u8), [0, 1, 2]);
    let CircuitMetrics {
        total_requests,
        success_count,
        failure_count,
        rejection_count,
        state_transitions,
        ..
    } = breaker.metrics();
    assert_eq!((total_requests, success_count, failure_count), (3, 1, 1));
    assert_eq!((rejection_count, state_transitions), (1, 1));
}

#[test]
fn after_a_million_successes_an_outage_opens_it_within_half_a_window() {
    let executor = Executor::new();
    let rule = FailureRate::new(0.5, Window::Calls(100), 100);
    let breaker = on(executor.clock(), CircuitBreakerConfig::new().failure_rate(rule));
    executor.block_on(async {
        for _ in 0..1_000_000 {
            let _ = breaker.call(async { Ok::<_, ()>(()) }).await;
        }
        let mut failures = 0;
        while breaker.current_state() == CircuitState::Closed {
            let _ = breaker.call(async { Err::<(), _>(()) }).await;
            failures += 1;
            assert!(failures <= 50, "still closed after {failures} failures");
        }
        assert_eq!(failures, 50);
    });
}

/// A breaker whose open time is just over.
fn about_to_probe(time: &VirtualTime, probes: u64) -> CircuitBreaker {
    let config = CircuitBreakerConfig::default().success_threshold(probes);
    let breaker = on(time.clock(), config);
    for _ in 0..5 {
        breaker.try_acquire().expect("closed").failure();
    }
    time.advance(Duration::from_secs(30));
    breaker
}

#[test]
fn cb_20_of_a_hundred_racing_tasks_exactly_the_permitted_number_get_into_half_open() {
    for probes in [1, 3, 10] {
        let executor = Executor::seeded(probes);
        let breaker = about_to_probe(&executor.time(), probes);
        for _ in 0..100 {
            let breaker = breaker.clone();
            executor.spawn(async move { breaker.call(pending::<Result<(), ()>>()).await });
        }
        executor.run_for(Duration::from_millis(1));
        assert_eq!(breaker.current_state(), CircuitState::HalfOpen);
        assert_eq!(breaker.metrics().rejection_count, 100 - probes);
        assert_eq!(executor.tasks() as u64, probes, "the others are done: refused");
    }
}

#[test]
fn of_many_racing_threads_exactly_the_permitted_number_get_into_half_open() {
    for round in 0..200 {
        let time = VirtualTime::new();
        let breaker = about_to_probe(&time, 3);
        let (admitted, threads) = (AtomicU64::new(0), 8);
        let start = Barrier::new(threads);
        let all_asked = Barrier::new(threads);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    start.wait();
                    let permit = breaker.try_acquire();
                    // Relaxed: read after the threads are joined.
                    admitted.fetch_add(u64::from(permit.is_ok()), Ordering::Relaxed);
                    all_asked.wait();
                });
            }
        });
        // Relaxed: as above.
        assert_eq!(admitted.load(Ordering::Relaxed), 3, "round {round}");
        let metrics = breaker.metrics();
        assert_eq!(
            (metrics.abandoned_count, metrics.rejection_count),
            (3, 5),
            "round {round}"
        );
    }
}

#[test]
fn probes_that_were_admitted_and_dropped_give_their_places_back() {
    let executor = Executor::new();
    let breaker = about_to_probe(&executor.time(), 4);
    let clock = executor.clock();
    executor.block_on(async {
        for _ in 0..10 {
            for _ in 0..4 {
                let second = Duration::from_millis(1);
                let given_up = clock.timeout(second, breaker.call(pending::<Result<(), ()>>())).await;
                assert!(given_up.is_err(), "the probe was admitted and is given up");
            }
        }
        assert_eq!(breaker.snapshot().probes_running, 0);
        let probes: Vec<_> = (0..4).map(|_| breaker.try_acquire().expect("a place")).collect();
        assert!(breaker.try_acquire().is_err());
        probes.into_iter().for_each(|probe| probe.success());
    });
    assert_eq!(breaker.current_state(), CircuitState::Closed);
}

#[test]
fn a_call_admitted_before_the_trip_and_finishing_in_half_open_changes_nothing() {
    let executor = Executor::new();
    let breaker = on(executor.clock(), CircuitBreakerConfig::default());
    let clock = executor.clock();
    for late_result in [Ok(()), Err(())] {
        breaker.reset();
        let (slow, waits) = (breaker.clone(), clock.clone());
        let late = executor.spawn(async move {
            slow.call(async {
                waits.sleep(Duration::from_secs(31)).await;
                late_result
            })
            .await
        });
        let (breaker, clock) = (&breaker, &clock);
        executor.block_on(async {
            clock.sleep(Duration::from_millis(1)).await;
            for _ in 0..5 {
                let _ = breaker.call(async { Err::<(), _>(()) }).await;
            }
            clock.sleep(Duration::from_secs(30)).await;
            let probe = breaker.try_acquire().expect("a probe");
            let before = breaker.snapshot();
            assert_eq!(late.await.is_ok(), late_result.is_ok());
            let after = breaker.snapshot();
            assert_eq!((after.state, after.probes_running), (CircuitState::HalfOpen, 1));
            assert_eq!(after.probes_succeeded, before.probes_succeeded);
            probe.success();
        });
    }
}

/// Ends by itself: the dependency is down for five real seconds.
#[tokio::test]
async fn with_a_health_probe_traffic_flows_soon_after_the_dependency_heals_in_real_time() {
    let clock = Clock::system();
    let config = CircuitBreakerConfig::new()
        .consecutive_failures(1)
        .open_for(Duration::from_secs(30));
    let breaker = on(clock.clone(), config);
    let heals = clock.now() + Duration::from_secs(5);
    let is_well = {
        let clock = clock.clone();
        move || clock.now() >= heals
    };
    let probe = is_well.clone();
    let prober = tokio::spawn(
        breaker
            .probe_health(HealthProbe::new(Duration::from_millis(200)), move || {
                std::future::ready(probe())
            })
            .expect("the settings are good"),
    );
    let answered = loop {
        let answer = breaker.call(async { if is_well() { Ok(()) } else { Err(()) } }).await;
        if answer.is_ok() {
            break clock.now();
        }
        clock.sleep(Duration::from_millis(20)).await;
    };
    // A fraction of what the breaker would stay open for by itself, and more than a busy machine stands still.
    assert!(answered - heals < Duration::from_secs(10), "{:?}", answered - heals);
    let metrics = breaker.metrics();
    assert_eq!(metrics.failure_count, 1, "the probe spends none of the callers' calls");
    assert!(metrics.rejection_count > 10, "it was open before");
    drop(breaker);
    prober.await.expect("the prober ends with the breaker");
}

#[test]
fn a_closed_or_open_circuit_allocates_nothing_per_call() {
    let rate = |window| CircuitBreakerConfig::new().failure_rate(FailureRate::new(1.0, window, u64::MAX));
    let consecutive = CircuitBreakerConfig::new().consecutive_failures(u64::MAX);
    let last_calls = CircuitBreakerConfig::new().failure_rate(FailureRate::new(1.0, Window::Calls(100), 100));
    for config in [consecutive, last_calls, rate(Window::Time(Duration::from_secs(10)))] {
        let breaker = on(Clock::system(), config);
        let call = |breaker: &CircuitBreaker| {
            let mut future = std::pin::pin!(breaker.call(std::future::ready(Ok::<_, ()>(()))));
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(future.as_mut().poll(&mut cx).is_ready());
        };
        let one_of_each = |_| {
            breaker.try_acquire().expect("closed").success();
            breaker.try_acquire().expect("closed").failure();
            breaker.try_acquire().expect("closed").success();
            drop(breaker.try_acquire().expect("closed"));
            call(&breaker);
        };
        one_of_each(0);
        assert_eq!(allocations(|| (0..200).for_each(one_of_each)), 0, "{config:?}");
        breaker.open_for(Duration::from_secs(3600));
        let refused = |_| assert!(breaker.try_acquire().is_err());
        refused(0);
        assert_eq!(allocations(|| (0..200).for_each(refused)), 0, "refusals");
    }
}

fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

/// The ids that test names begin with: `cb_17_19_and_29_…` is three.
fn ids_in_test_names(source: &str) -> BTreeSet<u32> {
    let names = source.lines().filter_map(|line| line.split("fn cb_").nth(1));
    names
        .flat_map(|name| {
            name.split('_')
                .filter(|word| *word != "and")
                .map_while(|word| word.parse().ok())
        })
        .collect()
}

#[test]
fn each_row_of_the_comparison_with_peers_has_a_test_of_its_id() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| {
        let path = here.join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let page = read("../../docs/circuit-breaker-compared.md");
    let rows: BTreeSet<u32> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| CB-")?.split(" | ").next())
        .flat_map(|ids| ids.split(", CB-").map(|id| id.parse().expect("a number")))
        .collect();
    let tests = [
        "src/patterns/circuit_breaker/tests/peers.rs",
        "src/patterns/circuit_breaker/tests/calls.rs",
        "tests/it/circuit_breaker.rs",
    ];
    let tested: BTreeSet<u32> = tests.iter().flat_map(|path| ids_in_test_names(&read(path))).collect();
    assert_eq!(rows, tested);
    assert!(rows.len() >= 54, "{}", rows.len());
}

#[test]
fn cb_85_of_seven_attempts_through_a_breaker_of_three_three_run() {
    let executor = Executor::new();
    let config = CircuitBreakerConfig::new().consecutive_failures(3);
    let breaker = on(executor.clock(), config);
    let runs = AtomicU64::new(0);
    let mut attempts = 0;
    let strategy = RetryStrategy::FixedDelay(Duration::from_millis(1));
    let retry = RetryExecutor::with_config(RetryConfig::new(6, strategy), executor.clock()).expect("good");
    let result = executor.block_on(retry.execute(|| {
        attempts += 1;
        breaker.call(async {
            // Relaxed: one thread.
            runs.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>("down")
        })
    }));
    // Relaxed: one thread.
    assert_eq!((attempts, runs.load(Ordering::Relaxed)), (7, 3));
    let Err(RetryError::MaxRetriesExceeded { last_error, .. }) = result else {
        panic!("{result:?}");
    };
    assert!(matches!(last_error, CircuitBreakerError::CircuitOpen { .. }));
}
