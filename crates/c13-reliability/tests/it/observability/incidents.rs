//! Each alert of `contrib/` fires in its incident and in no other.
//!
//! An incident is run by the library itself in virtual time, and its metrics are written down every 15 s, as a server of
//! Prometheus would scrape them. A real Prometheus then takes all incidents in, each as a job of its own, and answers the
//! questions of the alerts and of the board.

use super::prometheus_server::Prometheus;
use c13_reliability::budget::RetryBudgetConfig;
use c13_reliability::distributed::lock::{Lock, LockConfig, MemoryBackend};
use c13_reliability::microservices::health::{ComponentHealth, HealthCheckService, HealthChecker};
use c13_reliability::observability::prometheus::{self, Format};
use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::rate_limiter::RateLimiterConfig;
use c13_reliability::patterns::retry::{Jitter, RetryConfig, RetryStrategy};
use c13_reliability::policy::file::PolicyFiles;
use c13_reliability::policy::{CRITICAL, Policy, PolicyConfig, PolicyRegistry};
use c13_reliability::realtime::scheduler::{Scheduler, TaskConfig};
use c13_reliability::realtime::supervisor::{ChildConfig, Supervisor, SupervisorConfig};
use c13_reliability::snapshot::Registry;
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Env, Executor, Tick};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// How long each incident is watched, and how often it is scraped.
const WATCHED: u32 = 40;
const SCRAPE: Duration = Duration::from_secs(15);
/// When all incidents begin, in seconds since 1970: at the start of a block of Prometheus.
const START: u64 = 1_700_006_400;
/// From this minute on the dependency of an incident is as the incident says; before, all is well.
const TROUBLE: Duration = Duration::from_secs(300);

/// What an incident is made of.
struct Stage {
    executor: Executor,
    clock: Clock,
    registry: Registry,
    random: Rc<Random>,
    /// What must live as long as the incident.
    kept: Vec<Box<dyn std::any::Any>>,
}

/// What a call of an incident does: takes a while, and succeeds or fails.
type Reply = Pin<Box<dyn Future<Output = Result<(), &'static str>>>>;

impl Stage {
    fn new() -> Self {
        let executor = Executor::seeded(1);
        Self {
            clock: executor.clock(),
            executor,
            registry: Registry::new(),
            random: Rc::new(Random::new(1)),
            kept: Vec::new(),
        }
    }

    fn is_trouble(&self) -> impl Fn() -> bool + Clone + 'static {
        let clock = self.clock.clone();
        move || clock.now() - Tick::ZERO >= TROUBLE
    }

    /// A reply after a time.
    fn reply(clock: &Clock, after: Duration, result: Result<(), &'static str>) -> Reply {
        let clock = clock.clone();
        Box::pin(async move {
            clock.sleep(after).await;
            result
        })
    }

    /// Five calls a second through a policy, until the incident is over. `reply` is given the number of the call and that of
    /// its attempt, from 1.
    fn load(&mut self, config: PolicyConfig, reply: impl Fn(&Clock, u64, u32) -> Reply + 'static) -> Policy {
        let env = Env::new(self.clock.clone()).seed(1).name("payments");
        let policy = Policy::with_config(config, env).unwrap();
        self.registry.register("payments", &policy).unwrap();
        let (clock, called, reply) = (self.clock.clone(), policy.clone(), Rc::new(reply));
        let spawner = self.executor.spawner();
        let _load = self.executor.spawn(async move {
            for number in 0.. {
                clock.sleep(SECOND / 5).await;
                let (policy, reply, clock) = (called.clone(), reply.clone(), clock.clone());
                let _call = spawner.spawn(async move {
                    let mut attempt = 0;
                    let call = policy.call(|| {
                        attempt += 1;
                        reply(&clock, number, attempt)
                    });
                    let _ = call.await;
                });
            }
        });
        policy
    }

    /// Runs the incident, and returns what each scrape finds, as a job of this name. `at_minute` is told each minute.
    fn scrapes(&self, job: &str, mut at_minute: impl FnMut(u32)) -> String {
        let mut text = String::new();
        let each_minute = (MINUTE.as_secs() / SCRAPE.as_secs()) as u32;
        for scrape in 0..WATCHED * each_minute {
            if scrape % each_minute == 0 {
                at_minute(scrape / each_minute);
            }
            let at = START + u64::from(scrape) * SCRAPE.as_secs();
            let found = prometheus::encode(&self.registry.families(), Format::OpenMetrics);
            for line in found.lines().filter(|line| !line.starts_with('#')) {
                let (name, rest) = line.split_once('{').unwrap();
                writeln!(text, "{name}{{job=\"{job}\",instance=\"a:80\",{rest} {at}").unwrap();
            }
            self.executor.run_for(SCRAPE);
        }
        text
    }
}

fn retry(max_retries: u32) -> RetryConfig {
    RetryConfig::new(max_retries, RetryStrategy::FixedDelay(SECOND / 10)).jitter(Jitter::None)
}

const MS_20: Duration = Duration::from_millis(20);

/// A check that fails once there is trouble.
struct Check(Box<dyn Fn() -> bool + Send + Sync>);

#[async_trait::async_trait]
impl HealthChecker for Check {
    async fn check(&self) -> ComponentHealth {
        if (self.0)() {
            ComponentHealth::unhealthy("database", "no connection")
        } else {
            ComponentHealth::healthy("database")
        }
    }

    fn name(&self) -> &str {
        "database"
    }
}

/// Each incident: the alerts that fire in it, and no others, and what happens.
type Incident = (&'static str, &'static [&'static str], fn(&'static str) -> String);

const INCIDENTS: &[Incident] = &[
    ("calm", &[], |job| {
        let mut stage = Stage::new();
        stage.load(CRITICAL, |clock, number, attempt| {
            // One call in fifty fails at first, as it does on a good day.
            let fails = number % 50 == 0 && attempt == 1;
            Stage::reply(clock, MS_20, if fails { Err("reset") } else { Ok(()) })
        });
        stage.scrapes(job, |_| ())
    }),
    ("the dependency hangs", &["CircuitOpen"], |job| {
        let mut stage = Stage::new();
        let trouble = stage.is_trouble();
        stage.load(CRITICAL, move |clock, _, _| {
            let time = if trouble() { 60 * MINUTE } else { MS_20 };
            Stage::reply(clock, time, Ok(()))
        });
        stage.scrapes(job, |_| ())
    }),
    ("the dependency is down", &["CircuitOpen"], |job| {
        let mut stage = Stage::new();
        let trouble = stage.is_trouble();
        stage.load(CRITICAL, move |clock, _, _| {
            Stage::reply(clock, MS_20, if trouble() { Err("refused") } else { Ok(()) })
        });
        stage.scrapes(job, |_| ())
    }),
    ("the circuit was forced", &["CircuitForced"], |job| {
        let mut stage = Stage::new();
        let policy = stage.load(CRITICAL, |clock, _, _| Stage::reply(clock, MS_20, Ok(())));
        stage.scrapes(job, |minute| {
            if minute == 5 {
                policy.circuit_breaker().unwrap().force_closed();
            }
        })
    }),
    ("the dependency comes and goes", &["CircuitFlaps"], |job| {
        let mut stage = Stage::new();
        let trouble = stage.is_trouble();
        stage.load(CRITICAL, move |clock, _, _| {
            let second = (clock.now() - Tick::ZERO).as_secs() % 60;
            let fails = trouble() && second < 20;
            Stage::reply(clock, MS_20, if fails { Err("refused") } else { Ok(()) })
        });
        stage.scrapes(job, |_| ())
    }),
    ("callers ask for too much", &["RateLimitRejects"], |job| {
        let mut stage = Stage::new();
        let config = PolicyConfig::NONE.rate_limit(RateLimiterConfig::new(3.0, 3));
        stage.load(config, |clock, _, _| Stage::reply(clock, MS_20, Ok(())));
        stage.scrapes(job, |_| ())
    }),
    ("what fails fails again", &["RetriesInVain"], |job| {
        let mut stage = Stage::new();
        let trouble = stage.is_trouble();
        stage.load(PolicyConfig::NONE.retry(retry(1)), move |clock, number, _| {
            let fails = trouble() && number % 7 == 0;
            Stage::reply(clock, MS_20, if fails { Err("a bad row") } else { Ok(()) })
        });
        stage.scrapes(job, |_| ())
    }),
    ("the retry budget is used up", &["RetryBudgetExhausted"], |job| {
        let mut stage = Stage::new();
        let trouble = stage.is_trouble();
        let small = RetryBudgetConfig::new().ratio(0.1).min_per_second(0.0);
        stage.load(
            PolicyConfig::NONE.retry(retry(1).budget(small)),
            move |clock, _, attempt| {
                let fails = trouble() && attempt == 1;
                Stage::reply(clock, MS_20, if fails { Err("reset") } else { Ok(()) })
            },
        );
        stage.scrapes(job, |_| ())
    }),
    ("retries amplify the load", &["RetriesAmplify"], |job| {
        let mut stage = Stage::new();
        let (trouble, random) = (stage.is_trouble(), stage.random.clone());
        stage.load(
            PolicyConfig::NONE.retry(retry(2).without_budget()),
            move |clock, _, attempt| {
                let fails = trouble() && attempt == 1 && random.unit() < 0.4;
                Stage::reply(clock, MS_20, if fails { Err("reset") } else { Ok(()) })
            },
        );
        stage.scrapes(job, |_| ())
    }),
    ("some calls time out", &["CallsTimeOut"], |job| {
        let mut stage = Stage::new();
        let trouble = stage.is_trouble();
        let mut config = CRITICAL;
        config.retry = None;
        stage.load(config, move |clock, number, _| {
            let hangs = trouble() && number % 5 == 0;
            Stage::reply(clock, if hangs { 60 * MINUTE } else { MS_20 }, Ok(()))
        });
        stage.scrapes(job, |_| ())
    }),
    ("the bulkhead is full", &["BulkheadFull"], |job| {
        let mut stage = Stage::new();
        let trouble = stage.is_trouble();
        stage.load(
            PolicyConfig::NONE.bulkhead(BulkheadConfig::new(2).queue(1, SECOND)),
            move |clock, _, _| Stage::reply(clock, if trouble() { SECOND } else { MS_20 }, Ok(())),
        );
        stage.scrapes(job, |_| ())
    }),
    ("a check fails", &["HealthCheckFails"], |job| {
        let stage = Stage::new();
        let service = Arc::new(HealthCheckService::new("1".to_owned()).with_env(stage.clock.clone()));
        let check = Check(Box::new(stage.is_trouble()));
        stage.executor.block_on(service.add_checker(Box::new(check)));
        stage.registry.register("health", &service).unwrap();
        let (clock, asked) = (stage.clock.clone(), service);
        let _probes = stage.executor.spawn(async move {
            loop {
                asked.check_health().await;
                clock.sleep(10 * SECOND).await;
            }
        });
        stage.scrapes(job, |_| ())
    }),
    ("a lock is lost", &["LockLost"], |job| {
        let stage = Stage::new();
        let config = LockConfig::new(60 * SECOND).max_hold(SECOND / 20);
        let lock = Lock::new(Arc::new(MemoryBackend::new()), "invoices", config);
        stage.registry.register("invoices", &lock).unwrap();
        // Locks are held in real time.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        stage.scrapes(job, |minute| {
            if minute == 5 {
                runtime.block_on(async {
                    let guard = lock.try_acquire().await.unwrap();
                    guard.lost().await;
                    while lock.snapshot().losses == 0 {
                        tokio::task::yield_now().await;
                    }
                });
            }
        })
    }),
    ("ticks are late", &["SchedulerLate"], |job| {
        let mut stage = Stage::new();
        let mut scheduler = Scheduler::new().with_env(stage.clock.clone());
        let (clock, trouble) = (stage.clock.clone(), stage.is_trouble());
        let work = move |_| {
            let time = if trouble() { SECOND * 3 / 2 } else { MS_20 };
            let clock = clock.clone();
            async move { clock.sleep(time).await }
        };
        scheduler.add("tick", TaskConfig::every(SECOND), work).unwrap();
        let (handle, run) = scheduler.start();
        let _run = stage.executor.spawn(run);
        stage.registry.register("sensors", &handle).unwrap();
        stage.kept.push(Box::new(handle));
        stage.scrapes(job, |_| ())
    }),
    ("a child fails again and again", &["ChildKeepsFailing"], |job| {
        let mut stage = Stage::new();
        let config = SupervisorConfig::new().intensity(1_000, MINUTE);
        let mut supervisor = Supervisor::with_config(config, stage.clock.clone()).unwrap();
        let (clock, trouble) = (stage.clock.clone(), stage.is_trouble());
        supervisor.task("reader", ChildConfig::new(), move |_stop| {
            let (clock, trouble) = (clock.clone(), trouble.clone());
            async move {
                loop {
                    clock.sleep(10 * SECOND).await;
                    if trouble() {
                        return Err("the connection was lost".into());
                    }
                }
            }
        });
        let (handle, run) = supervisor.start();
        let _run = stage.executor.spawn(run);
        stage.registry.register("workers", &handle).unwrap();
        stage.kept.push(Box::new(handle));
        stage.scrapes(job, |_| ())
    }),
    ("a policy file is wrong", &["PolicyFilesWrong"], |job| {
        let stage = Stage::new();
        let file = std::env::temp_dir().join(format!("c13-incident-{}.toml", std::process::id()));
        std::fs::write(&file, "[policy.search]\nextends = \"critical\"\n").unwrap();
        let policies = PolicyRegistry::open_with(PolicyFiles::new(), [&file], stage.clock.clone()).unwrap();
        policies.report_to(&stage.registry);
        let text = stage.scrapes(job, |minute| {
            if minute == 5 {
                std::fs::write(&file, "[policy.search]\nextends = \"critcal\"\n").unwrap();
                assert!(policies.reload().is_err());
            }
        });
        std::fs::remove_file(&file).unwrap();
        text
    }),
];

#[test]
fn each_alert_fires_in_its_incident_and_in_no_other() {
    let mut text = String::new();
    for (job, _, run) in INCIDENTS {
        text.push_str(&run(job));
    }
    text.push_str("# EOF\n");
    let end = START + u64::from(WATCHED) * 60;
    let server = Prometheus::over(&text, (START, end, SCRAPE.as_secs()));
    let alerts = server.alerts();
    let mut fired = BTreeSet::new();
    for alert in &alerts {
        for job in server.jobs_where(&alert.query, alert.held_for) {
            fired.insert((job, alert.name.clone()));
        }
    }
    let expected: BTreeSet<_> = INCIDENTS
        .iter()
        .flat_map(|(job, alerts, _)| alerts.iter().map(|alert| ((*job).to_owned(), (*alert).to_owned())))
        .collect();
    let matrix: Vec<_> = fired.iter().map(|(job, alert)| format!("{job}: {alert}")).collect();
    println!("{}", matrix.join("\n"));
    assert_eq!(fired, expected);
    let tested: BTreeSet<_> = expected.iter().map(|(_, alert)| alert).collect();
    for alert in &alerts {
        assert!(tested.contains(&alert.name), "no incident is for {}", alert.name);
    }

    // The panels of the board that show what these incidents have.
    for (panel, questions) in super::board_questions() {
        let shows = questions
            .iter()
            .any(|question| !server.jobs_where(question, 0).is_empty());
        let elsewhere = [
            "Hedges and fallbacks",
            "Cache hits",
            "Adaptive limits",
            "Shared rate limits",
        ];
        assert!(
            shows || elsewhere.contains(&panel.as_str()),
            "the panel `{panel}` has no data"
        );
    }
}
