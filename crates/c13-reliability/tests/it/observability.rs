//! What goes out: the same numbers in Prometheus text and over OpenTelemetry, read by parsers that are not ours.
#![cfg(feature = "otel")]
#![expect(clippy::unwrap_used, reason = "tests, their helpers included, fail loudly")]

mod incidents;
mod otlp;
mod parts;
mod prometheus_server;
#[cfg(feature = "tracing")]
mod tracing;

use c13_reliability::gate::Gate;
use c13_reliability::microservices::health::HealthCheckService;
use c13_reliability::observability::catalogue;
use c13_reliability::observability::metrics::{INSTRUMENTS, ReliabilityMetrics};
use c13_reliability::observability::otel::bridge;
use c13_reliability::observability::prometheus::{self, Format};
use c13_reliability::patterns::adaptive::{AdaptiveConfig, AdaptiveLimit};
use c13_reliability::patterns::bulkhead::{Bulkhead, BulkheadConfig};
use c13_reliability::patterns::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig};
use c13_reliability::patterns::fallback::Fallback;
use c13_reliability::patterns::hedge::{Hedge, HedgeConfig, HedgeDelay};
use c13_reliability::patterns::rate_limiter::{
    KeyedConfig, KeyedRateLimiter, RateLimiterConfig, ShardedRateLimiter, TokenBucketRateLimiter,
};
use c13_reliability::patterns::retry::{RetryConfig, RetryExecutor, RetryStrategy};
use c13_reliability::patterns::timeout::{Timeout, TimeoutConfig};
use c13_reliability::snapshot::{Kind, MAX_NAMES, Observed, Registry, Source};
use c13_reliability::sync::Random;
use c13_reliability::time::Executor;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One of each pattern, called at random, and how many calls each got.
struct Service {
    registry: Registry,
    breaker: CircuitBreaker,
    limiter: TokenBucketRateLimiter,
    retry: RetryExecutor,
    timeout: Timeout,
    bulkhead: Bulkhead,
    adaptive: AdaptiveLimit,
    hedge: Hedge,
    fallback: Fallback<(), &'static str>,
    sharded: ShardedRateLimiter,
    keyed: KeyedRateLimiter<u64>,
    health: Arc<HealthCheckService>,
    calls: u64,
}

impl Service {
    fn new(executor: &Executor) -> Self {
        let clock = executor.clock();
        let service = Self {
            registry: Registry::new(),
            breaker: CircuitBreaker::with_config(
                CircuitBreakerConfig::new().consecutive_failures(3).open_for(ms(20)),
                clock.clone(),
            )
            .unwrap(),
            limiter: TokenBucketRateLimiter::with_config(RateLimiterConfig::new(500.0, 10), clock.clone()).unwrap(),
            retry: RetryExecutor::with_config(RetryConfig::new(2, RetryStrategy::FixedDelay(ms(1))), clock.clone())
                .unwrap(),
            timeout: Timeout::with_config(TimeoutConfig::new(ms(5)), clock.clone()).unwrap(),
            bulkhead: Bulkhead::with_config(BulkheadConfig::new(2).queue(1, ms(2)), clock.clone()).unwrap(),
            adaptive: AdaptiveLimit::with_config(AdaptiveConfig::default().limits(1, 1, 4), clock.clone()).unwrap(),
            hedge: Hedge::with_config(HedgeConfig::new(HedgeDelay::Fixed(ms(1))), clock.clone()).unwrap(),
            fallback: Fallback::last_good(ms(50)).with_env(clock.clone()),
            sharded: ShardedRateLimiter::with_config(RateLimiterConfig::new(500.0, 2_000), clock.clone()).unwrap(),
            keyed: KeyedRateLimiter::with_config(
                KeyedConfig::new(RateLimiterConfig::new(1.0, 2).into(), 100),
                clock.clone(),
            )
            .unwrap(),
            health: Arc::new(HealthCheckService::new("1".to_owned()).with_env(clock)),
            calls: 0,
        };
        let registry = &service.registry;
        registry.register("breaker", &service.breaker).unwrap();
        registry.register("limiter", &service.limiter).unwrap();
        registry.register("retry", &service.retry).unwrap();
        registry.register("timeout", &service.timeout).unwrap();
        registry.register("bulkhead", &service.bulkhead).unwrap();
        registry.register("adaptive", &service.adaptive).unwrap();
        registry.register("hedge", &service.hedge).unwrap();
        registry.register("fallback", &service.fallback).unwrap();
        registry.register("sharded", &service.sharded).unwrap();
        registry.register("keyed", &service.keyed).unwrap();
        registry.register("health", &service.health).unwrap();
        service
    }

    /// Calls of all kinds: good, bad, dropped halfway, too late.
    fn run(&mut self, executor: &Executor, seed: u64) {
        let random = Random::new(seed);
        let clock = executor.clock();
        for _ in 0..2_000 {
            self.calls += 1;
            let fails = random.below(3) == 0;
            executor.block_on(async {
                let wait = clock.sleep(ms(random.below(4)));
                let call = self.breaker.call(async {
                    wait.await;
                    if fails { Err("refused") } else { Ok(()) }
                });
                let _ = clock.timeout(ms(2), call).await;
                let _ = self.limiter.try_acquire(1);
                let _ = self.sharded.try_acquire(1);
                let _ = self.keyed.try_acquire(&random.below(200), 1);
                // Some end at once, some after a while, some too late, and some are dropped halfway.
                let (clock, random) = (&clock, &random);
                let work = || {
                    let (takes, fails) = (ms(random.below(4)), random.below(2) == 0);
                    async move {
                        if !takes.is_zero() {
                            clock.sleep(takes).await;
                        }
                        if fails { Err("refused") } else { Ok(()) }
                    }
                };
                let _ = clock.timeout(ms(2), self.timeout.call(work())).await;
                let _ = clock.timeout(ms(4), self.retry.execute(work)).await;
                let _ = clock.timeout(ms(2), self.hedge.execute(work)).await;
                let _ = self.fallback.call(work()).await;
                let running = self.bulkhead.try_admit();
                let waiting = clock.timeout(ms(1), self.bulkhead.call(work()));
                let _ = (running, waiting.await);
                let learning = self.adaptive.try_admit();
                let _ = (self.adaptive.call(work()).await, learning);
            });
        }
    }
}

/// For each counter of calls by result, how often a pattern is called for each call of the service.
const CALLS: [(&str, f64); 7] = [
    ("reliability_circuit_breaker_calls_total", 1.0),
    ("reliability_timeout_calls_total", 1.0),
    ("reliability_retry_calls_total", 1.0),
    ("reliability_hedge_calls_total", 1.0),
    ("reliability_fallback_calls_total", 1.0),
    ("reliability_bulkhead_calls_total", 2.0),
    ("reliability_adaptive_calls_total", 2.0),
];

/// The lines of a Prometheus text as name, labels and value.
fn samples(text: &str) -> Vec<(String, BTreeMap<String, String>, f64)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (head, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = head.split_once('{').unwrap();
            let labels = labels
                .trim_end_matches('}')
                .split("\",")
                .filter_map(|label| label.split_once("=\""))
                .map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()))
                .collect();
            (name.to_owned(), labels, value.parse().unwrap())
        })
        .collect()
}

fn sum(text: &str, name: &str) -> f64 {
    samples(text)
        .into_iter()
        .filter(|(sample, ..)| sample == name)
        .map(|(.., value)| value)
        .sum()
}

/// A provider that collects when it is told to, and what it collected.
struct Collector {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

/// A metric as it was exported: kind, unit, and its points.
type Exported = BTreeMap<String, (&'static str, String, Points)>;

/// The attributes and the value of each point.
type Points = Vec<(BTreeMap<String, String>, f64)>;

impl Collector {
    fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone())
            .with_interval(Duration::from_secs(3600))
            .build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        Self { provider, exporter }
    }

    fn meter(&self) -> Meter {
        self.provider.meter("test")
    }

    fn collect(&self) -> Exported {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let mut all = Exported::new();
        for resource in self.exporter.get_finished_metrics().unwrap() {
            for metric in resource.scope_metrics().flat_map(|scope| scope.metrics()) {
                let (kind, series) = match metric.data() {
                    AggregatedMetrics::F64(data) => series(data, |value| value),
                    AggregatedMetrics::U64(data) => series(data, |value| value as f64),
                    AggregatedMetrics::I64(data) => series(data, |value| value as f64),
                };
                let before = all.insert(metric.name().to_owned(), (kind, metric.unit().to_owned(), series));
                assert!(before.is_none(), "`{}` is registered once", metric.name());
            }
        }
        all
    }
}

fn series<T: Copy>(data: &MetricData<T>, number: fn(T) -> f64) -> (&'static str, Points) {
    let attributes = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>| -> BTreeMap<String, String> {
        attributes
            .map(|pair| (pair.key.to_string(), pair.value.to_string()))
            .collect()
    };
    match data {
        MetricData::Gauge(gauge) => (
            "gauge",
            gauge
                .data_points()
                .map(|point| (attributes(&mut point.attributes()), number(point.value())))
                .collect(),
        ),
        MetricData::Sum(sum) => (
            if sum.is_monotonic() {
                "counter"
            } else {
                "up-down counter"
            },
            sum.data_points()
                .map(|point| (attributes(&mut point.attributes()), number(point.value())))
                .collect(),
        ),
        MetricData::Histogram(histogram) => (
            "histogram",
            histogram
                .data_points()
                .map(|point| (attributes(&mut point.attributes()), point.count() as f64))
                .collect(),
        ),
        MetricData::ExponentialHistogram(_) => panic!("none is asked for"),
    }
}

#[test]
fn outcomes_add_up_to_calls_and_both_ways_out_show_the_same() {
    for seed in 1..=5 {
        let executor = Executor::seeded(seed);
        let collector = Collector::new();
        let mut service = Service::new(&executor);
        let _metrics = bridge(&collector.meter(), &service.registry);
        for round in 1..=2 {
            service.run(&executor, seed * 10 + round);
            let text = prometheus::encode(&service.registry.families(), Format::Text);
            let calls = service.calls as f64;
            let failed = format!("seed {seed}, round {round}:\n{text}");
            for (name, times) in CALLS {
                assert_eq!(sum(&text, name), times * calls, "{name}: {failed}");
            }
            let limited = ["allowed", "rejected"].map(|end| sum(&text, &format!("reliability_rate_limit_{end}_total")));
            assert_eq!(limited.iter().sum::<f64>(), 3.0 * calls, "{failed}");
            assert!(limited.iter().all(|count| *count > 0.0), "{failed}");
            let retried = service.retry.snapshot();
            assert_eq!(
                sum(&text, "reliability_retry_successes_total") + sum(&text, "reliability_retry_failures_total"),
                (retried.successes + retried.failures()) as f64,
                "{failed}"
            );

            let exported = collector.collect();
            assert_same_counters(&text, &exported, &failed);
        }
    }
}

/// Every counter shows the same in Prometheus text and over OpenTelemetry. A series that stands at zero may be missing.
fn assert_same_counters(text: &str, exported: &Exported, failed: &str) {
    for metric in catalogue().into_iter().filter(|metric| metric.kind == Kind::Counter) {
        let name = prometheus::name(metric);
        let mut ours: Points = samples(text)
            .into_iter()
            .filter(|(sample, _, value)| *sample == name && *value > 0.0)
            .map(|(_, labels, value)| (labels, value))
            .collect();
        let mut theirs = match exported.get(metric.name) {
            Some((kind, unit, series)) => {
                assert_eq!((*kind, unit.as_str()), ("counter", metric.unit), "{}", metric.name);
                series.iter().filter(|(_, value)| *value > 0.0).cloned().collect()
            }
            None => Points::new(),
        };
        ours.sort_by(|a, b| a.partial_cmp(b).unwrap());
        theirs.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(theirs, ours, "{}: {failed}", metric.name);
    }
}

#[test]
fn the_ten_instruments_have_their_promised_names_kinds_and_units() {
    let collector = Collector::new();
    let registry = Registry::new();
    let breaker = CircuitBreaker::new(1, 1, Duration::from_secs(1));
    breaker.force_open();
    registry.register("payments", &breaker).unwrap();
    let metrics = ReliabilityMetrics::with_registry(&collector.meter(), &registry);
    metrics.circuit_breaker_transitions.add(1, &[]);
    metrics.circuit_breaker_rejections.add(1, &[]);
    metrics.rate_limit_allowed.add(1, &[]);
    metrics.rate_limit_rejected.add(1, &[]);
    metrics.queue_wait_time.record(1.5, &[]);
    metrics.record_request(12.5, "success", 2);
    metrics.record_request(99.0, "error", 1);
    metrics.record_request(1.0, "success", 0);
    metrics.record_request(f64::NAN, "success", 0);
    metrics.record_request(-1.0, "success", 0);
    let exported = collector.collect();
    let wanted = [
        ("reliability.circuit_breaker.rejections", "counter", "{call}"),
        ("reliability.circuit_breaker.state", "gauge", ""),
        ("reliability.circuit_breaker.transitions", "counter", "{transition}"),
        ("reliability.queue.wait_time", "histogram", "ms"),
        ("reliability.rate_limit.allowed", "counter", "{request}"),
        ("reliability.rate_limit.rejected", "counter", "{request}"),
        ("reliability.request.duration", "histogram", "ms"),
        ("reliability.retry.attempts", "histogram", "{attempt}"),
        ("reliability.retry.failures", "counter", "{call}"),
        ("reliability.retry.successes", "counter", "{call}"),
    ];
    let found: Vec<_> = exported
        .iter()
        .map(|(name, (kind, unit, _))| (name.as_str(), *kind, unit.as_str()))
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(
        BTreeSet::from(INSTRUMENTS),
        wanted.iter().map(|(name, ..)| *name).collect::<BTreeSet<_>>()
    );
    let total = |name: &str| exported[name].2.iter().map(|(_, value)| value).sum::<f64>();
    assert_eq!(total("reliability.request.duration"), 3.0, "no number is no duration");
    assert_eq!(total("reliability.retry.attempts"), 2.0, "only what was retried");
    assert_eq!(
        (
            total("reliability.retry.successes"),
            total("reliability.retry.failures")
        ),
        (1.0, 1.0)
    );
    let status = |wanted: &str| {
        exported["reliability.request.duration"]
            .2
            .iter()
            .find(|(attributes, _)| attributes.get("status").is_some_and(|status| status == wanted))
            .map(|(_, count)| *count)
    };
    assert_eq!((status("success"), status("error")), (Some(2.0), Some(1.0)));
    // Forced open reads 3; the transition that the breaker counted joins the one that was added by hand.
    assert_eq!(total("reliability.circuit_breaker.state"), 3.0);
    assert_eq!(total("reliability.circuit_breaker.transitions"), 2.0);
}

/// A part whose source panics.
struct Broken;

impl Observed for Broken {
    fn source(&self) -> Source {
        Source::new(|| panic!("a part that panics"))
    }
}

#[test]
fn a_part_that_panics_stops_no_collection_and_hides_no_other() {
    let collector = Collector::new();
    let registry = Registry::new();
    let limiter = TokenBucketRateLimiter::new(10, 1.0);
    registry.register("broken", &Broken).unwrap();
    registry.register("limiter", &limiter).unwrap();
    let _metrics = bridge(&collector.meter(), &registry);
    for count in 1..=3 {
        limiter.try_acquire(1).unwrap();
        let exported = collector.collect();
        let (_, _, series) = &exported["reliability.rate_limit.allowed"];
        assert_eq!(
            series.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            [f64::from(count)]
        );
    }
}

#[test]
fn ten_thousand_limiters_stay_within_the_bound_on_both_ways_out() {
    let collector = Collector::new();
    let registry = Registry::new();
    let limiters: Vec<_> = (0..10_000)
        .map(|n| {
            let limiter = TokenBucketRateLimiter::new(5, 1.0);
            limiter.try_acquire(1).unwrap();
            registry.register(format!("key-{n}"), &limiter).unwrap();
            limiter
        })
        .collect();
    let _metrics = bridge(&collector.meter(), &registry);
    let text = prometheus::encode(&registry.families(), Format::Text);
    let allowed = "reliability_rate_limit_allowed_total";
    assert_eq!(
        samples(&text).iter().filter(|(name, ..)| name == allowed).count(),
        MAX_NAMES + 1
    );
    assert_eq!(sum(&text, allowed), limiters.len() as f64);
    let exported = collector.collect();
    let (_, _, series) = &exported["reliability.rate_limit.allowed"];
    assert_eq!(series.len(), MAX_NAMES + 1);
    assert_eq!(
        series.iter().map(|(_, value)| value).sum::<f64>(),
        limiters.len() as f64
    );
}

#[test]
fn ten_thousand_keys_of_one_limiter_are_one_series() {
    let registry = Registry::new();
    let limiter = KeyedRateLimiter::<u64>::new(RateLimiterConfig::new(0.01, 2), 50_000);
    registry.register("users", &limiter).unwrap();
    for key in 0..10_000 {
        for _ in 0..3 {
            let _ = limiter.try_acquire(&key, 1);
        }
    }
    let text = prometheus::encode(&registry.families(), Format::Text);
    for line in [
        "reliability_rate_limit_allowed_total{name=\"users\"} 20000\n",
        "reliability_rate_limit_rejected_total{name=\"users\"} 10000\n",
        "reliability_rate_limit_keys{name=\"users\"} 10000\n",
    ] {
        assert!(text.contains(line), "{line} in:\n{text}");
    }
    assert_eq!(samples(&text).len(), 6, "{text}");
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn the_metrics_are_served_in_the_form_that_was_asked_for() {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;
    let registry = Registry::new();
    let limiter = TokenBucketRateLimiter::new(5, 1.0);
    registry.register("limiter", &limiter).unwrap();
    let app = c13_reliability::observability::metrics_router(&registry);
    for (accept, format) in [
        ("*/*", Format::Text),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            Format::OpenMetrics,
        ),
    ] {
        let request = Request::get("/metrics")
            .header("accept", accept)
            .body(Body::empty())
            .unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], format.content_type());
        assert_eq!(head.headers["cache-control"], "no-store");
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(text, prometheus::encode(&registry.families(), format));
        assert!(text.contains("reliability_rate_limit_allowed_total{name=\"limiter\"} 0\n"));
    }
}

#[test]
fn a_part_that_is_dropped_disappears_from_both_ways_out() {
    let collector = Collector::new();
    let registry = Registry::new();
    let limiter = TokenBucketRateLimiter::new(5, 1.0);
    registry.register("limiter", &limiter).unwrap();
    let _metrics = bridge(&collector.meter(), &registry);
    let available = "reliability.rate_limit.available";
    assert_eq!(collector.collect()[available].2.len(), 1);
    drop(limiter);
    assert_eq!(prometheus::encode(&registry.families(), Format::Text), "");
    let series = collector
        .collect()
        .remove(available)
        .map_or(0, |(.., series)| series.len());
    assert_eq!(series, 0);
}

/// Runs `promtool`, the parser of Prometheus itself, and returns what it says. It exits with 1 where it cannot read, and
/// with 3 where it can but does not like what it reads.
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool is missing (Debian's package `prometheus`): {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    let readable = matches!(output.status.code(), Some(0 | 3));
    assert!(readable, "{}\nof:\n{input}", said.concat());
    said.concat()
}

#[test]
fn prometheus_itself_reads_the_text_and_dislikes_only_the_promised_unit() {
    let executor = Executor::new();
    let mut service = Service::new(&executor);
    service.run(&executor, 1);
    let odd = TokenBucketRateLimiter::new(5, 1.0);
    service.registry.register("odd \"name\" \\ with\nall", &odd).unwrap();
    let text = prometheus::encode(&service.registry.families(), Format::Text);
    assert!(text.contains("reliability_queue_wait_time_milliseconds_bucket"));
    let said = promtool(&["check", "metrics"], &text);
    let wanted = "reliability_queue_wait_time_milliseconds use base unit \"seconds\" instead of \"milliseconds\"";
    assert_eq!(said.trim(), wanted);
}

fn contrib(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every name that Prometheus would know.
fn known_names() -> BTreeSet<String> {
    catalogue()
        .into_iter()
        .flat_map(|metric| {
            let name = prometheus::name(metric);
            match metric.kind {
                Kind::Histogram { .. } => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
                _ => vec![name],
            }
        })
        .collect()
}

/// The panels of the board, each with its questions as Grafana asks them for all jobs.
fn board_questions() -> Vec<(String, Vec<String>)> {
    let board: serde_json::Value = serde_json::from_str(&contrib("grafana-board.json")).unwrap();
    let asked = |target: &serde_json::Value| {
        let question = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
        ["$job", "$instance", "$name"]
            .iter()
            .fold(question, |question, variable| {
                assert!(question.contains(variable), "{question} has no {variable}");
                question.replace(variable, ".*")
            })
    };
    let panels = board["panels"].as_array().unwrap().iter();
    panels
        .map(|panel| {
            let targets = panel["targets"].as_array().unwrap();
            (
                panel["title"].as_str().unwrap().to_owned(),
                targets.iter().map(asked).collect(),
            )
        })
        .collect()
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("reliability_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_board_and_the_alerts_name_only_metrics_that_exist() {
    let known = known_names();
    for file in ["grafana-board.json", "prometheus-alerts.yml"] {
        let named = named(&contrib(file));
        assert!(named.len() >= 5, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} names what does not exist: {unknown:?}");
    }
    let board: serde_json::Value = serde_json::from_str(&contrib("grafana-board.json")).unwrap();
    assert!(board["panels"].as_array().unwrap().len() >= 6);
}

#[test]
fn each_alert_fires_on_what_it_is_for_and_on_nothing_else() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/prometheus-alerts.test.yml");
    let said = promtool(&["test", "rules", tests.to_str().unwrap()], "");
    assert!(said.contains("SUCCESS"), "{said}");
    let cases = contrib("prometheus-alerts.test.yml");
    for alert in contrib("prometheus-alerts.yml")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let fires = format!("alertname: {alert}\n        exp_alerts:\n");
        assert!(cases.contains(&fires), "no case shows that {alert} fires");
    }
}

#[test]
fn prometheus_itself_reads_the_alerts_and_the_questions_of_the_board() {
    let alerts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/prometheus-alerts.yml");
    let said = promtool(&["check", "rules", alerts.to_str().unwrap()], "");
    assert!(said.contains("SUCCESS"), "{said}");
    let mut rules = "groups:\n- name: board\n  rules:\n".to_owned();
    for question in board_questions().into_iter().flat_map(|(_, questions)| questions) {
        rules.push_str(&format!(
            "  - record: board:question\n    expr: {}\n",
            serde_json::json!(question)
        ));
    }
    let file = std::env::temp_dir().join(format!("c13-board-{}.yml", std::process::id()));
    fs::write(&file, &rules).unwrap();
    let said = promtool(&["check", "rules", "--lint=none", file.to_str().unwrap()], "");
    fs::remove_file(&file).unwrap();
    assert!(said.contains("SUCCESS"), "{said}");
}
