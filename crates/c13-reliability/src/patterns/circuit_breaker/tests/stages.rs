//! The way back in stages.

use super::*;

/// Opens at the first failure for 1 s; one probe, then three stages of 10 s with 10, 50 and 90 % of the calls.
fn staged() -> Bench {
    let recovery = StagedRecovery::new(secs(10.0))
        .shares(Shares::new(&[0.1, 0.5, 0.9]))
        .failure_rate(0.5, 4);
    Bench::new(
        CircuitBreakerConfig::new()
            .consecutive_failures(1)
            .success_threshold(1)
            .open_for(secs(1.0))
            .recovery(recovery),
    )
}

impl Bench {
    /// Opens it, waits, and lets the probe succeed: the first stage begins.
    fn recovering(&self) -> &Self {
        self.calls("F").wait(1.0).calls("S").in_stage(Some(1))
    }

    #[track_caller]
    fn in_stage(&self, stage: Option<usize>) -> &Self {
        assert_eq!(self.breaker.snapshot().recovery_stage, stage);
        self
    }

    /// How many of `n` calls are let run; they end as `end` says.
    fn of(&self, n: u32, end: fn(Permit<'_>)) -> u32 {
        let mut admitted = 0;
        for _ in 0..n {
            if let Ok(permit) = self.breaker.try_acquire() {
                admitted += 1;
                end(permit);
            }
        }
        admitted
    }
}

#[test]
fn each_stage_lets_its_share_of_the_calls_run_and_the_last_closes() {
    let bench = staged();
    bench.recovering();
    for (stage, share) in [(1, 0.1), (2, 0.5), (3, 0.9)] {
        bench.in_stage(Some(stage)).is(CircuitState::HalfOpen);
        let admitted = f64::from(bench.of(10_000, |permit| permit.success())) / 10_000.0;
        assert!((admitted - share).abs() < 0.02, "stage {stage} let {admitted} run");
        bench.wait(10.0);
        while bench.breaker.snapshot().recovery_stage == Some(stage) {
            bench.of(1, |permit| permit.success());
        }
    }
    bench.in_stage(None).is(CircuitState::Closed);
    assert_eq!(bench.of(1_000, |permit| permit.success()), 1_000);
    assert_eq!(bench.breaker.snapshot().consecutive_trips, 0);
}

#[test]
fn too_many_failures_fall_back_at_any_stage() {
    for stages in 0..3 {
        let bench = staged();
        bench.recovering();
        for _ in 0..stages {
            bench.wait(10.0).of(200, |permit| permit.success());
            bench.wait(10.0);
        }
        let before = bench.of(1_000, |permit| permit.failure());
        bench.is(CircuitState::Open);
        assert!(
            before <= 1 + 200 + 4 * u32::from(stages > 0),
            "{before} failures before it fell back"
        );
        assert!(
            bench.breaker.snapshot().consecutive_trips == 2,
            "the trips go on counting"
        );
    }
}

#[test]
fn a_dead_dependency_gets_no_more_than_the_minimum_of_calls() {
    let bench = staged();
    bench.recovering();
    assert_eq!(bench.of(100_000, |permit| permit.failure()), 4);
}

#[test]
fn a_single_failure_among_successes_does_not_fall_back() {
    let bench = staged();
    bench.recovering();
    bench.of(100, |permit| permit.success());
    bench.of(1, |permit| permit.failure());
    bench.in_stage(Some(1));
}

#[test]
fn with_little_traffic_a_stage_ends_all_the_same_and_a_failure_after_its_time_falls_back() {
    let bench = staged();
    bench.recovering();
    assert_eq!(
        bench.wait(10.0).of(1, |permit| permit.success()),
        1,
        "the first call always runs"
    );
    bench.in_stage(Some(2)).wait(10.0).of(1, |permit| permit.failure());
    bench.is(CircuitState::Open);
}

#[test]
fn calls_that_do_not_come_back_in_a_stage_open_it() {
    let bench = staged();
    bench.recovering();
    let _stuck = bench.breaker.try_acquire().expect("the first call always runs");
    bench
        .wait(4.999)
        .in_stage(Some(1))
        .wait(0.001)
        .refuses()
        .is(CircuitState::Open);
}

#[test]
fn a_call_admitted_in_one_stage_counts_in_the_next() {
    let bench = staged();
    bench.recovering();
    let slow = bench.breaker.try_acquire().expect("the first call always runs");
    while bench.breaker.snapshot().probes_running < 2 {
        if let Ok(permit) = bench.breaker.try_acquire() {
            bench.wait(4.0);
            permit.success();
            break;
        }
    }
    slow.success();
    assert_eq!(bench.breaker.snapshot().probes_running, 0);
}
