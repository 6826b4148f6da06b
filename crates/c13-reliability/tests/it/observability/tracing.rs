//! Events and spans: their targets and fields are promised, and no secret stands in them.

use async_trait::async_trait;
use c13_reliability::gate::Gate;
use c13_reliability::microservices::health::{ComponentHealth, HealthCheckService, HealthChecker};
use c13_reliability::observability::spanned;
use c13_reliability::patterns::bulkhead::BulkheadConfig;
use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig};
use c13_reliability::patterns::hedge::{HedgeConfig, HedgeDelay};
use c13_reliability::patterns::retry::{Jitter, RetryConfig, RetryStrategy};
use c13_reliability::policy::file::PolicyFiles;
use c13_reliability::policy::{Policy, PolicyConfig, PolicyRegistry};
use c13_reliability::realtime::supervisor::{ChildConfig, Supervisor, SupervisorConfig};
use c13_reliability::time::{Env, Executor};
use std::fmt::Debug;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Writes down all that it is told, a line each.
#[derive(Clone)]
struct Notebook {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<AtomicU64>,
    /// The names of all spans, and the numbers of those that are entered now.
    names: Arc<Mutex<Vec<&'static str>>>,
    entered: Arc<Mutex<Vec<u64>>>,
    finest: Level,
}

impl Notebook {
    fn new(finest: Level) -> Self {
        // With one dispatcher in the process, tracing asks the thread that first comes by an event whether anybody wants it, and
        // keeps that answer for all threads. With two it asks both dispatchers.
        static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
        LazyLock::force(&SECOND);
        Self {
            lines: Arc::default(),
            spans: Arc::default(),
            names: Arc::default(),
            entered: Arc::default(),
            finest,
        }
    }

    fn write(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }

    /// What was written since the last time.
    fn read(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

/// The fields of one event or span as text, without the message.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            self.0.push_str(&format!(" {}={value:?}", field.name()));
        }
    }
}

fn line(metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields)) -> String {
    let mut fields = Fields(format!("{} {}", metadata.level(), metadata.target()));
    record(&mut fields);
    fields.0
}

impl Subscriber for Notebook {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("c13::") && metadata.level() <= &self.finest
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.spans.fetch_add(1, Ordering::SeqCst) + 1;
        let fields = line(span.metadata(), |fields| span.record(fields));
        let mut names = self.names.lock().unwrap();
        names.push(span.metadata().name());
        let inside: String = (self.entered.lock().unwrap().iter())
            .map(|outer| format!("{}>", names[*outer as usize - 1]))
            .collect();
        self.write(format!("span {inside}{}: {fields}", span.metadata().name()));
        Id::from_u64(id)
    }

    fn record(&self, _span: &Id, values: &Record<'_>) {
        let mut fields = Fields("record:".to_owned());
        values.record(&mut fields);
        self.write(fields.0);
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.write(line(event.metadata(), |fields| event.record(fields)));
    }

    fn enter(&self, span: &Id) {
        self.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        assert_eq!(self.entered.lock().unwrap().pop(), Some(span.into_u64()));
    }
}

const NOTHING: [String; 0] = [];

/// A database whose errors say too much.
struct Database(Arc<AtomicBool>);

#[async_trait]
impl HealthChecker for Database {
    async fn check(&self) -> ComponentHealth {
        if self.0.load(Ordering::SeqCst) {
            ComponentHealth::healthy("database")
        } else {
            ComponentHealth::unhealthy(
                "database",
                "cannot reach postgres://app:s3cret@db/orders, password=s3cret",
            )
        }
    }

    fn name(&self) -> &str {
        "database"
    }
}

#[test]
fn changes_are_told_with_their_promised_targets_and_fields_and_without_secrets() {
    let notebook = Notebook::new(Level::INFO);
    tracing::subscriber::with_default(notebook.clone(), || {
        let executor = Executor::new();
        let config = CircuitBreakerConfig::new()
            .consecutive_failures(1)
            .success_threshold(1)
            .open_for(Duration::from_secs(1));
        let breaker = CircuitBreaker::builder(config)
            .name("payments")
            .env(executor.clock())
            .build()
            .unwrap();
        executor.block_on(async {
            let failed = breaker.call(async { Err::<(), _>("redis://:s3cret@cache refused") });
            assert!(failed.await.is_err());
            executor.clock().sleep(Duration::from_secs(1)).await;
            assert!(breaker.call(async { Ok::<_, &str>(()) }).await.is_ok());
        });
        let told = notebook.read();
        let wanted = [
            r#"WARN c13::circuit_breaker breaker="payments" from="closed" to="open" reason="consecutive_failures" bad_calls=1 open_for=1 s"#,
            r#"INFO c13::circuit_breaker breaker="payments" from="open" to="half_open" reason="open_time_over""#,
            r#"INFO c13::circuit_breaker breaker="payments" from="half_open" to="closed" reason="probes_succeeded""#,
        ];
        assert_eq!(told, wanted);

        let works = Arc::new(AtomicBool::new(true));
        let service = HealthCheckService::new("1".to_owned()).with_env(executor.clock());
        executor.block_on(async {
            service.add_checker(Box::new(Database(works.clone()))).await;
            service.check_health().await;
            assert_eq!(notebook.read(), NOTHING, "no change, no word");
            for now in [false, true] {
                works.store(now, Ordering::SeqCst);
                executor.clock().sleep(Duration::from_secs(1)).await;
                service.check_health().await;
            }
            service.drain();
            service.drain();
        });
        let told = notebook.read();
        let wanted = [
            r#"WARN c13::health check="database" from="Healthy" to="Unhealthy" cause="cannot reach postgres://[hidden] password=[hidden]""#,
            r#"INFO c13::health check="database" from="Unhealthy" to="Healthy" cause="""#,
            "INFO c13::health",
        ];
        assert_eq!(told, wanted);
    });
}

#[test]
fn each_retry_timeout_hedge_and_refusal_of_a_policy_is_one_event_with_its_reason() {
    let notebook = Notebook::new(Level::DEBUG);
    let executor = Executor::new();
    let clock = executor.clock();
    let ms = Duration::from_millis;
    let named = |name: &str, config| Policy::with_config(config, Env::new(clock.clone()).name(name)).unwrap();
    let retry = RetryConfig::new(1, RetryStrategy::FixedDelay(ms(50)))
        .jitter(Jitter::None)
        .without_budget();
    let breaker = CircuitBreakerConfig::new().consecutive_failures(2).open_for(ms(1_000));
    let config = PolicyConfig::NONE
        .retry(retry)
        .circuit_breaker(breaker)
        .attempt_timeout(ms(400));
    let payments = named("payments", config);
    let hedged = named(
        "search",
        PolicyConfig::NONE.hedge(HedgeConfig::new(HedgeDelay::Fixed(ms(20))).without_budget()),
    );
    let full = named("full", PolicyConfig::NONE.bulkhead(BulkheadConfig::new(1)));
    tracing::subscriber::with_default(notebook.clone(), || {
        executor.block_on(async {
            let hang = || async {
                clock.sleep(ms(9_000)).await;
                Ok::<_, std::io::Error>(())
            };
            assert!(payments.call(hang).await.is_err());
            assert!(payments.call(hang).await.is_err());
            let slow = || async {
                clock.sleep(ms(30)).await;
                Ok::<_, std::io::Error>(())
            };
            assert!(hedged.call(slow).await.is_ok());
        });
        let mut told = notebook.read();
        told.retain(|line| line.starts_with("DEBUG c13::call"));
        let opening = "2 failures in a row, the last: timed out after 400 ms";
        let wanted = [
            r#"DEBUG c13::call policy="payments" layer="attempt_timeout" attempts=1 delay=400 ms reason="limit""#
                .to_owned(),
            r#"DEBUG c13::call policy="payments" layer="retry" attempts=1 delay=50 ms reason=timed out after 400 ms"#
                .to_owned(),
            r#"DEBUG c13::call policy="payments" layer="attempt_timeout" attempts=2 delay=400 ms reason="limit""#
                .to_owned(),
            format!(
                r#"DEBUG c13::call policy="payments" layer="circuit_breaker" attempts=0 delay=1 s reason={opening}"#
            ),
            r#"DEBUG c13::call policy="search" layer="hedge" attempts=2 delay=20 ms reason="an attempt is late""#
                .to_owned(),
        ];
        assert_eq!(told, wanted);

        let held = full.bulkhead().unwrap();
        let _permit = held.try_admit().unwrap();
        for _ in 0..1_000 {
            assert!(
                executor
                    .block_on(full.call(async || Ok::<_, std::io::Error>(())))
                    .is_err()
            );
        }
        let mut warned = notebook.read();
        warned.retain(|line| line.starts_with("WARN"));
        assert_eq!(warned, [r#"WARN c13::call policy="full" layer="bulkhead" refused=200"#]);
    });
}

#[test]
fn settings_that_are_read_again_are_told_leaf_by_leaf_and_policies_that_come_or_go_in_a_line() {
    let notebook = Notebook::new(Level::INFO);
    let folder = std::env::temp_dir().join(format!("c13-told-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("a.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    tracing::subscriber::with_default(notebook.clone(), || {
        write("[policy.a]\ntimeout.total = \"1s\"\n[policy.b]\nextends = \"critical\"\n");
        let registry = PolicyRegistry::open(PolicyFiles::new(), [&file]).unwrap();
        assert_eq!(notebook.read(), NOTHING);
        let good =
            "[policy.a]\ntimeout.total = \"2s\"\nbulkhead.max_concurrent = 3\n[policy.c]\nextends = \"critical\"\n";
        write(good);
        registry.reload().unwrap();
        let wanted = [
            r#"WARN c13::policy policy="b""#,
            r#"INFO c13::policy policy="c""#,
            r#"INFO c13::policy setting=policy.a.timeout.total before="1s" after="2s""#,
            r#"INFO c13::policy setting=policy.a.bulkhead.max_concurrent before="not set" after="3""#,
        ];
        let mut told = notebook.read();
        told.retain(|line| wanted.contains(&&**line) || !line.contains("policy.a.bulkhead"));
        assert_eq!(told, wanted);
        write("[policy.a]\ntimeout.total = 2\n");
        for _ in 0..2 {
            assert!(registry.reload().is_err());
        }
        let told = notebook.read();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("ERROR c13::policy error=") && told[0].contains("a.toml:2:17"),
            "{told:?}"
        );
        write(good);
        registry.reload().unwrap();
        assert_eq!(notebook.read(), ["INFO c13::policy changes=0"]);
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_failed_child_is_told_of_without_its_words() {
    let notebook = Notebook::new(Level::INFO);
    tracing::subscriber::with_default(notebook.clone(), || {
        let executor = Executor::new();
        let config = SupervisorConfig::new().intensity(1, Duration::from_secs(60));
        let mut supervisor = Supervisor::with_config(config, executor.clock()).unwrap();
        supervisor.task("feed", ChildConfig::new(), |_stop| async {
            Err("password=s3cret".into())
        });
        let (_handle, run) = supervisor.start();
        assert!(executor.block_on(run).is_err());
    });
    let failed = r#"WARN c13::supervisor child="feed" exit="failed""#;
    let gives_up = r#"ERROR c13::supervisor child="feed""#;
    assert_eq!(notebook.read(), [failed, failed, gives_up]);
}

#[test]
fn spans_say_how_calls_and_checks_ended_and_only_to_those_who_ask() {
    let run = |notebook: &Notebook| {
        tracing::subscriber::with_default(notebook.clone(), || {
            let executor = Executor::new();
            executor.block_on(async {
                assert!(spanned("quotes", async { Ok::<_, &str>(()) }).await.is_ok());
                assert!(
                    spanned("quotes", async { Err::<(), _>("password=s3cret") })
                        .await
                        .is_err()
                );
                let never = spanned("quotes", pending::<Result<(), &str>>());
                assert!(executor.clock().timeout(Duration::from_secs(1), never).await.is_err());
            });
            let panics = async {
                if true {
                    panic!("a call that panics")
                } else {
                    Ok::<(), &str>(())
                }
            };
            let call = AssertUnwindSafe(|| Executor::new().block_on(spanned("quotes", panics)));
            assert!(catch_unwind(call).is_err());
            let service = HealthCheckService::new("1".to_owned()).with_env(executor.clock());
            executor.block_on(async {
                service.add_checker(Box::new(Database(Arc::default()))).await;
                service.check_health().await;
            });
        });
        notebook.read()
    };
    let call = |outcome: &str| {
        [
            r#"span call: DEBUG c13::call name="quotes""#.to_owned(),
            format!("record: outcome=\"{outcome}\""),
        ]
    };
    let mut wanted = ["success", "failure", "abandoned", "failure"].map(call).concat();
    wanted.push(r#"span check: DEBUG c13::health check="database""#.to_owned());
    wanted.push(r#"record: status="Unhealthy""#.to_owned());
    assert_eq!(run(&Notebook::new(Level::DEBUG)), wanted);
    assert_eq!(
        run(&Notebook::new(Level::INFO)),
        NOTHING,
        "who does not ask is told nothing"
    );
}

#[test]
fn a_call_through_a_policy_is_a_span_and_each_attempt_is_one_in_it() {
    let ms = Duration::from_millis;
    let run = |notebook: &Notebook| {
        tracing::subscriber::with_default(notebook.clone(), || {
            let executor = Executor::new();
            let clock = executor.clock();
            let retry = RetryConfig::new(1, RetryStrategy::FixedDelay(ms(50))).jitter(Jitter::None);
            let config = PolicyConfig::NONE
                .bulkhead(BulkheadConfig::new(1))
                .retry(retry.without_budget())
                .attempt_timeout(ms(400));
            let policy = Policy::with_config(config, Env::new(clock.clone()).name("payments")).unwrap();
            executor.block_on(async {
                assert!(policy.call(async || Ok::<_, &str>(())).await.is_ok());
                let mut answers = [Err("password=s3cret"), Ok(())].into_iter();
                let answer = || {
                    let (clock, answer) = (clock.clone(), answers.next().unwrap());
                    async move {
                        clock.sleep(ms(1)).await;
                        answer
                    }
                };
                assert!(policy.call(answer).await.is_ok());
                let hang = async || pending::<Result<(), &str>>().await;
                assert!(policy.call(hang).await.is_err());
                assert!(clock.timeout(ms(1), policy.call(hang)).await.is_err());
                let permit = policy.bulkhead().unwrap();
                let _permit = permit.try_admit().unwrap();
                assert!(policy.call(async || Ok::<_, &str>(())).await.is_err());
            });
            assert!(policy.call_sync(|| Ok::<_, &str>(())).is_ok());
        });
        let mut told = notebook.read();
        told.retain(|line| !line.starts_with("DEBUG"));
        told
    };
    let call = r#"span call: DEBUG c13::call policy="payments""#.to_owned();
    let attempt = |number| format!("span call>attempt: DEBUG c13::call attempt={number}");
    let ended = |outcome| format!("record: outcome={outcome:?}");
    let wanted = [
        vec![call.clone(), attempt(1), ended("success"), ended("success")],
        vec![
            call.clone(),
            attempt(1),
            ended("failure"),
            attempt(2),
            ended("success"),
            ended("success"),
        ],
        vec![
            call.clone(),
            attempt(1),
            ended("abandoned"),
            attempt(2),
            ended("abandoned"),
            ended("timed_out"),
        ],
        vec![call.clone(), attempt(1), ended("abandoned"), ended("abandoned")],
        vec![call.clone(), ended("rejected")],
        vec![call, ended("success")],
    ];
    assert_eq!(run(&Notebook::new(Level::DEBUG)), wanted.concat());
    assert_eq!(
        run(&Notebook::new(Level::INFO)),
        NOTHING,
        "who does not ask is told nothing"
    );
}

#[cfg(feature = "axum")]
#[test]
fn requests_without_a_key_are_told_of_at_most_once_a_minute() {
    use axum::{Router, body::Body, http::Request, routing::get};
    use c13_reliability::patterns::rate_limiter::{
        ClientAddress, KeyedConfig, KeyedRateLimitLayer, KeyedRateLimiter, RateLimiterConfig, WithoutKey,
    };
    use tower::ServiceExt;

    for (choice, wanted) in [
        (WithoutKey::Share, "WARN"),
        (WithoutKey::Refuse, "ERROR"),
        (WithoutKey::Allow, "DEBUG"),
    ] {
        let notebook = Notebook::new(Level::DEBUG);
        tracing::subscriber::with_default(notebook.clone(), || {
            let executor = Executor::new();
            let config = KeyedConfig::new(RateLimiterConfig::new(1.0, 5).into(), 10);
            let limiter = KeyedRateLimiter::<ClientAddress>::with_config(config, executor.clock()).unwrap();
            let layer = KeyedRateLimitLayer::by_client(limiter).without_key(choice);
            let app = Router::new().route("/", get(|| async {})).layer(layer);
            for _ in 0..120 {
                let request = Request::get("/").body(Body::empty()).unwrap();
                executor.block_on(app.clone().oneshot(request)).unwrap();
                executor.run_for(Duration::from_secs(1));
            }
        });
        let event = |requests: u32| format!("{wanted} c13::rate_limiter policy=\"default\" requests={requests}");
        assert_eq!(notebook.read(), [event(1), event(61)], "{choice:?}");
    }
}

#[cfg(all(feature = "http", feature = "tower"))]
#[test]
fn a_request_that_is_sent_once_although_its_policy_has_retries_says_so() {
    use c13_reliability::policy::{HttpLayer, Policy, Profile};
    use c13_reliability::time::Env;
    use http::{Request, Response};
    use tower::{Layer as _, ServiceExt as _, service_fn};

    let notebook = Notebook::new(Level::DEBUG);
    tracing::subscriber::with_default(notebook.clone(), || {
        let executor = Executor::new();
        let env = Env::new(executor.clock()).name("orders");
        let policy = Policy::with_config(Profile::Critical.config(), env).unwrap();
        let respond = |_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) };
        let send = |again: fn(&String) -> Option<String>| -> Vec<String> {
            let client = HttpLayer::new(policy.clone()).copying(again).layer(service_fn(respond));
            let request = Request::put("http://orders/7").body("a pen".to_owned()).unwrap();
            assert!(executor.block_on(client.oneshot(request)).is_ok());
            let told = notebook.read().into_iter();
            told.filter(|line| line.contains("method=")).collect()
        };
        assert_eq!(send(|body| Some(body.clone())), NOTHING);
        assert_eq!(send(|_| None), [r#"DEBUG c13::policy policy="orders" method=PUT"#]);
    });
}
