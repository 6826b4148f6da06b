//! The service under test: side by side, once for all who ask, within its time, and remembered for a moment.

use super::{AddCheckError, CheckSettings, ComponentHealth, HealthCheckService, HealthChecker, HealthStatus};
use crate::time::{Clock, Executor};
use async_trait::async_trait;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A dependency whose state the test decides.
struct Part {
    name: &'static str,
    clock: Clock,
    takes: Duration,
    says: Mutex<Result<HealthStatus, &'static str>>,
    runs: AtomicU64,
    running: AtomicU64,
    most_at_once: AtomicU64,
}

impl Part {
    fn new(executor: &Executor, name: &'static str, takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            name,
            clock: executor.clock(),
            takes,
            says: Mutex::new(Ok(HealthStatus::Healthy)),
            runs: AtomicU64::new(0),
            running: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
        })
    }

    fn set(&self, status: HealthStatus) {
        *self.says.lock().unwrap() = Ok(status);
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }

    fn checker(self: &Arc<Self>) -> Box<dyn HealthChecker + Send + Sync> {
        Box::new(SharedPart(self.clone()))
    }
}

struct SharedPart(Arc<Part>);

/// Counts a run that was dropped as one that no longer runs.
struct Running<'a>(&'a AtomicU64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl HealthChecker for SharedPart {
    async fn check(&self) -> ComponentHealth {
        let part = &self.0;
        part.runs.fetch_add(1, Ordering::SeqCst);
        let now = part.running.fetch_add(1, Ordering::SeqCst) + 1;
        part.most_at_once.fetch_max(now, Ordering::SeqCst);
        let _running = Running(&part.running);
        part.clock.sleep(part.takes).await;
        let says = *part.says.lock().unwrap();
        match says {
            Ok(HealthStatus::Healthy) => ComponentHealth::healthy("another name"),
            Ok(status) => ComponentHealth {
                name: String::new(),
                status,
                message: Some("cannot reach redis://u:s3cret@cache:6379".to_owned()),
            },
            Err(message) => panic!("{message}"),
        }
    }

    fn name(&self) -> &str {
        self.0.name
    }
}

fn service(executor: &Executor) -> Arc<HealthCheckService> {
    Arc::new(HealthCheckService::new("1.0.0".to_owned()).with_env(executor.clock()))
}

fn statuses(report: &super::HealthCheck) -> Vec<(&str, HealthStatus)> {
    report
        .checks
        .iter()
        .map(|check| (check.name.as_str(), check.status))
        .collect()
}

#[test]
fn a_service_without_checks_is_healthy_and_ready() {
    let executor = Executor::new();
    let service = service(&executor);
    executor.run_for(ms(2_500));
    let report = executor.block_on(service.check_health());
    assert_eq!(
        (report.status, report.version.as_str(), report.uptime_seconds),
        (HealthStatus::Healthy, "1.0.0", 2)
    );
    assert_eq!(executor.block_on(service.check_ready()).status, HealthStatus::Healthy);
}

#[test]
fn checks_run_side_by_side_and_are_reported_in_their_order_under_their_names() {
    let executor = Executor::new();
    let service = service(&executor);
    for (name, takes) in [("a", 300), ("b", 100), ("c", 200)] {
        executor.block_on(service.add_checker(Part::new(&executor, name, ms(takes)).checker()));
    }
    let start = executor.clock().now();
    let report = executor.block_on(service.check_health());
    assert_eq!(executor.clock().now() - start, ms(300));
    let names: Vec<_> = statuses(&report).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn a_check_that_hangs_fails_by_name_at_its_own_limit_and_delays_no_other() {
    let executor = Executor::new();
    let service = service(&executor);
    let hanging = Part::new(&executor, "hanging", Duration::from_secs(3600));
    let quick = Part::new(&executor, "quick", ms(10));
    service
        .add(hanging.checker(), CheckSettings::new().timeout(ms(700)))
        .unwrap();
    service.add(quick.checker(), CheckSettings::new()).unwrap();
    let report = executor.block_on(service.check_health());
    assert_eq!(executor.clock().now().as_nanos(), 700_000_000);
    assert_eq!(
        statuses(&report),
        [("hanging", HealthStatus::Unhealthy), ("quick", HealthStatus::Healthy)]
    );
    assert_eq!(report.checks[0].message.as_deref(), Some("no answer within 700ms"));
    assert_eq!(hanging.running.load(Ordering::SeqCst), 0, "nothing is left running");
    assert_eq!(executor.time().waiting(), 0, "no timer is left");
}

#[test]
fn a_thousand_probes_at_once_cost_one_run() {
    for seed in 0..20 {
        let executor = Executor::seeded(seed);
        let service = service(&executor);
        let part = Part::new(&executor, "database", ms(50));
        executor.block_on(service.add_checker(part.checker()));
        let done = Rc::new(RefCell::new(0));
        for _ in 0..1_000 {
            let (service, done) = (service.clone(), done.clone());
            executor.spawn(async move {
                assert_eq!(service.check_health().await.status, HealthStatus::Healthy);
                *done.borrow_mut() += 1;
            });
        }
        executor.run_until_idle();
        assert_eq!((*done.borrow(), part.runs()), (1_000, 1), "seed {seed}");
        assert_eq!(executor.clock().now().as_nanos(), 50_000_000, "seed {seed}");
    }
}

#[test]
fn without_a_cache_those_who_wait_still_share_the_run_they_joined() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(50));
    service
        .add(part.checker(), CheckSettings::new().cache_for(Duration::ZERO))
        .unwrap();
    for _ in 0..100 {
        let service = service.clone();
        executor.spawn(async move { service.check_health().await });
    }
    executor.run_until_idle();
    assert_eq!(part.runs(), 1);
    executor.block_on(service.check_health());
    assert_eq!(part.runs(), 2, "nothing is remembered");
}

#[test]
fn a_result_is_remembered_for_its_moment_and_not_longer() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", Duration::ZERO);
    service
        .add(part.checker(), CheckSettings::new().cache_for(SECOND))
        .unwrap();
    executor.block_on(service.check_health());
    executor.run_for(ms(999));
    executor.block_on(service.check_health());
    assert_eq!(part.runs(), 1);
    executor.run_for(ms(1));
    executor.block_on(service.check_health());
    assert_eq!(part.runs(), 2);
}

#[test]
fn a_probe_that_goes_away_takes_its_run_with_it_and_another_takes_over() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(100));
    executor.block_on(service.add_checker(part.checker()));
    let (gone, clock) = (service.clone(), executor.clock());
    executor.spawn(async move {
        let _ = clock.timeout(ms(60), gone.check_health()).await;
    });
    let (stays, clock) = (service, executor.clock());
    let other = executor.spawn(async move {
        clock.sleep(ms(10)).await;
        (stays.check_health().await.status, clock.now().as_nanos())
    });
    executor.run_until_idle();
    assert_eq!(
        other.take(),
        Some((HealthStatus::Healthy, 160_000_000)),
        "run again at 60 ms, for 100 ms"
    );
    assert_eq!((part.runs(), part.most_at_once.load(Ordering::SeqCst)), (2, 1));
}

#[test]
fn a_check_that_nobody_waits_for_any_more_is_dropped() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(500));
    executor.block_on(service.add_checker(part.checker()));
    let clock = executor.clock();
    let _ = executor.block_on(clock.timeout(ms(10), service.check_health()));
    assert_eq!(part.running.load(Ordering::SeqCst), 0);
    assert_eq!(executor.time().waiting(), 0);
}

#[test]
fn a_report_that_is_kept_unpolled_blocks_a_check_no_longer_than_its_time_limit_and_a_second() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "db", ms(100));
    let settings = CheckSettings::new().timeout(ms(700));
    service.add(part.checker(), settings).unwrap();
    let mut kept = Box::pin(service.check_health());
    let once = std::future::poll_fn(|cx| std::task::Poll::Ready(kept.as_mut().poll(cx)));
    assert!(executor.block_on(once).is_pending());
    let start = executor.clock().now();
    let reports: Vec<_> = (0..10)
        .map(|_| {
            let service = service.clone();
            executor.spawn(async move { service.check_health().await.status })
        })
        .collect();
    executor.run_for(ms(1_699));
    assert!(reports.iter().all(|report| !report.is_done()));
    executor.run_for(ms(102));
    assert!(
        reports.iter().all(|report| report.is_done()),
        "{:?}",
        executor.clock().now() - start
    );
    assert_eq!(part.runs.load(Ordering::SeqCst), 2, "one run for all of them");
    // The late one has its own say, and ends nobody else's run.
    assert_eq!(executor.block_on(kept).status, HealthStatus::Healthy);
}

#[test]
fn a_check_that_panics_fails_by_name_and_the_next_run_may_succeed() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(5));
    *part.says.lock().unwrap() = Err("s3cret");
    executor.block_on(service.add_checker(part.checker()));
    let report = executor.block_on(service.check_health());
    assert_eq!(statuses(&report), [("database", HealthStatus::Unhealthy)]);
    assert_eq!(report.checks[0].message.as_deref(), Some("the check panicked"));
    part.set(HealthStatus::Healthy);
    executor.run_for(SECOND);
    assert_eq!(executor.block_on(service.check_health()).status, HealthStatus::Healthy);
}

#[test]
fn an_error_text_never_shows_a_connection_string() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "cache", Duration::ZERO);
    part.set(HealthStatus::Unhealthy);
    executor.block_on(service.add_checker(part.checker()));
    let report = executor.block_on(service.check_health());
    assert_eq!(
        report.checks[0].message.as_deref(),
        Some("cannot reach redis://[hidden]")
    );
}

#[test]
fn only_a_critical_check_makes_the_service_unhealthy_or_not_ready() {
    use HealthStatus::{Degraded, Healthy, Unhealthy};
    for (critical, optional, health, ready) in [
        (Healthy, Healthy, Healthy, Healthy),
        (Healthy, Unhealthy, Degraded, Healthy),
        (Degraded, Healthy, Degraded, Unhealthy),
        (Unhealthy, Healthy, Unhealthy, Unhealthy),
    ] {
        let executor = Executor::new();
        let service = service(&executor);
        let database = Part::new(&executor, "database", ms(1));
        let cache = Part::new(&executor, "cache", ms(1));
        database.set(critical);
        cache.set(optional);
        executor.block_on(service.add_checker(database.checker()));
        service.add(cache.checker(), CheckSettings::new().optional()).unwrap();
        let what = format!("{critical} {optional}");
        assert_eq!(executor.block_on(service.check_health()).status, health, "{what}");
        let report = executor.block_on(service.check_ready());
        assert_eq!(report.status, ready, "{what}");
        assert_eq!(statuses(&report), [("database", critical)], "{what}");
        assert_eq!(service.check_live().status, Healthy, "{what}");
    }
}

#[test]
fn a_check_below_its_threshold_stays_ready_and_says_how_far_it_is() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", Duration::ZERO);
    let settings = CheckSettings::new()
        .fail_after(3)
        .recover_after(2)
        .cache_for(Duration::ZERO);
    service.add(part.checker(), settings).unwrap();
    let next = |status| {
        part.set(status);
        let report = executor.block_on(service.check_ready());
        (report.status, report.checks[0].message.clone().unwrap_or_default())
    };
    use HealthStatus::{Healthy, Unhealthy};
    let cause = "cannot reach redis://[hidden]";
    assert_eq!(next(Healthy), (Healthy, String::new()));
    assert_eq!(next(Unhealthy), (Healthy, format!("Unhealthy 1 of 3 times: {cause}")));
    assert_eq!(next(Unhealthy), (Healthy, format!("Unhealthy 2 of 3 times: {cause}")));
    assert_eq!(next(Unhealthy), (Unhealthy, cause.to_owned()));
    assert_eq!(next(Healthy), (Unhealthy, "Healthy 1 of 2 times".to_owned()));
    assert_eq!(next(Healthy), (Healthy, String::new()));
}

#[test]
fn the_background_run_keeps_intervals_while_probes_only_read() {
    let executor = Executor::new();
    let service = service(&executor);
    let fast = Part::new(&executor, "fast", ms(10));
    let late = Part::new(&executor, "late", ms(10));
    service.add(fast.checker(), CheckSettings::new().every(SECOND)).unwrap();
    executor.spawn(service.clone().run());
    executor.run_for(ms(500));
    service
        .add(late.checker(), CheckSettings::new().every(2 * SECOND))
        .unwrap();
    executor.run_for(ms(9_600));
    assert_eq!((fast.runs(), late.runs()), (11, 5), "at 10.1 s");
    let report = executor.block_on(service.check_health());
    assert_eq!(report.status, HealthStatus::Healthy);
    assert_eq!((fast.runs(), late.runs()), (11, 5), "the probe ran nothing");
    fast.set(HealthStatus::Unhealthy);
    executor.run_for(SECOND);
    assert_eq!(
        executor.block_on(service.check_ready()).status,
        HealthStatus::Unhealthy,
        "within one interval"
    );
}

#[test]
fn a_hanging_dependency_costs_one_run_at_a_time_and_delays_no_other_interval() {
    let executor = Executor::new();
    let service = service(&executor);
    let hanging = Part::new(&executor, "hanging", Duration::from_secs(3600));
    let quick = Part::new(&executor, "quick", Duration::ZERO);
    let settings = CheckSettings::new().every(ms(100)).timeout(ms(500));
    service.add(hanging.checker(), settings).unwrap();
    service.add(quick.checker(), settings).unwrap();
    executor.spawn(service.clone().run());
    for _ in 0..50 {
        let service = service.clone();
        executor.spawn(async move { service.check_ready().await });
    }
    executor.run_for(ms(10_050));
    assert_eq!(hanging.most_at_once.load(Ordering::SeqCst), 1);
    assert_eq!((hanging.runs(), quick.runs()), (21, 101));
}

#[test]
fn probes_run_the_check_themselves_where_nothing_runs_in_the_background() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(10));
    service
        .add(part.checker(), CheckSettings::new().every(SECOND).timeout(ms(100)))
        .unwrap();
    executor.block_on(service.check_health());
    executor.run_for(2 * SECOND);
    executor.block_on(service.check_health());
    assert_eq!(part.runs(), 1, "one missed run is excused");
    executor.run_for(ms(100));
    executor.block_on(service.check_health());
    assert_eq!(part.runs(), 2);
}

#[test]
fn groups_report_their_members_and_unknown_groups_nothing() {
    let executor = Executor::new();
    let service = service(&executor);
    let (database, store) = (
        Part::new(&executor, "database", ms(1)),
        Part::new(&executor, "store", ms(1)),
    );
    store.set(HealthStatus::Unhealthy);
    executor.block_on(service.add_checker(database.checker()));
    service
        .add(store.checker(), CheckSettings::new().groups(&["reports"]))
        .unwrap();
    let group = executor.block_on(service.check_group("reports")).unwrap();
    assert_eq!(statuses(&group), [("store", HealthStatus::Unhealthy)]);
    assert_eq!(database.runs(), 0);
    assert_eq!(executor.block_on(service.check_group("nothing")), None);
}

#[test]
fn a_taken_name_is_refused_or_numbered() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(1));
    for _ in 0..3 {
        executor.block_on(service.add_checker(part.checker()));
    }
    let report = executor.block_on(service.check_health());
    let names: Vec<_> = statuses(&report).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["database", "database#2", "database#3"]);
    let refused = service.add(part.checker(), CheckSettings::new()).unwrap_err();
    assert_eq!(refused.to_string(), "health check: the name `database` is taken");
    let refused = service
        .add(part.checker(), CheckSettings::new().fail_after(0))
        .unwrap_err();
    assert!(matches!(refused, AddCheckError::Settings(_)), "{refused}");
}

#[test]
fn draining_stops_traffic_at_once_and_never_looks_at_the_checks() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(1));
    executor.block_on(service.add_checker(part.checker()));
    service.drain();
    let report = executor.block_on(service.check_ready());
    assert_eq!(statuses(&report), [("lifecycle", HealthStatus::Unhealthy)]);
    assert_eq!(report.checks[0].message.as_deref(), Some("draining"));
    assert_eq!(part.runs(), 0);
    assert_eq!(executor.block_on(service.check_health()).status, HealthStatus::Healthy);
    assert_eq!(service.check_live().status, HealthStatus::Healthy);
}

#[test]
fn a_service_that_begins_to_drain_while_checks_run_is_not_ready() {
    let executor = Executor::new();
    let service = service(&executor);
    executor.block_on(service.add_checker(Part::new(&executor, "database", ms(100)).checker()));
    let probe = executor.spawn({
        let service = service.clone();
        async move { service.check_ready().await.status }
    });
    executor.run_for(ms(50));
    service.drain();
    executor.run_until_idle();
    assert_eq!(probe.take(), Some(HealthStatus::Unhealthy));
}

#[test]
fn the_start_is_over_when_all_gates_are_open_and_stays_over() {
    let executor = Executor::new();
    let service = service(&executor);
    let (migrations, warm_up) = (service.startup_gate("migrations"), service.startup_gate("warm-up"));
    assert_eq!(
        statuses(&service.check_startup()),
        [
            ("migrations", HealthStatus::Unhealthy),
            ("warm-up", HealthStatus::Unhealthy)
        ]
    );
    assert_eq!(
        executor.block_on(service.check_ready()).checks[0].message.as_deref(),
        Some("starting")
    );
    migrations.open();
    assert_eq!(service.check_startup().status, HealthStatus::Unhealthy);
    warm_up.open();
    assert_eq!(service.check_startup().status, HealthStatus::Healthy);
    let late = service.startup_gate("late");
    assert_eq!(service.check_startup().status, HealthStatus::Healthy);
    drop(late);
    assert_eq!(service.check_startup().status, HealthStatus::Healthy);
}

#[test]
fn a_gate_that_is_dropped_unopened_stays_closed() {
    let executor = Executor::new();
    let service = service(&executor);
    drop(service.startup_gate("migrations"));
    assert_eq!(service.check_startup().status, HealthStatus::Unhealthy);
}

#[test]
fn only_a_watchdog_fails_the_live_probe() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(1));
    part.set(HealthStatus::Unhealthy);
    executor.block_on(service.add_checker(part.checker()));
    let alive = Arc::new(AtomicBool::new(true));
    let seen = alive.clone();
    service.add_watchdog("scheduler", move || seen.load(Ordering::SeqCst));
    assert_eq!(service.check_live().status, HealthStatus::Healthy);
    assert_eq!(part.runs(), 0);
    alive.store(false, Ordering::SeqCst);
    let report = service.check_live();
    assert_eq!(statuses(&report), [("scheduler", HealthStatus::Unhealthy)]);
}

#[test]
fn what_metrics_read_runs_no_check() {
    let executor = Executor::new();
    let service = service(&executor);
    let part = Part::new(&executor, "database", ms(20));
    executor.block_on(service.add_checker(part.checker()));
    assert_eq!(service.observed()[0].status, None);
    executor.block_on(service.check_health());
    let observed = &service.observed()[0];
    assert_eq!(
        (observed.name.as_str(), observed.status, observed.durations.count()),
        ("database", Some(HealthStatus::Healthy), 1)
    );
    assert_eq!(observed.durations.max(), 20_000_000);
    assert_eq!(part.runs(), 1);
}
