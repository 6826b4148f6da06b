//! The health endpoints over real connections, and the end of a server under load.
#![cfg(feature = "axum")]
#![expect(clippy::unwrap_used, reason = "tests, their helpers included, fail loudly")]

mod strangers;

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use c13_reliability::microservices::health::{
    CheckSettings, ComponentHealth, HealthCheck, HealthCheckService, HealthChecker, HealthStatus, HttpChecker,
    ServeSettings, Shutdown, serve, serve_until,
};
use c13_reliability::time::Clock;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const TOKEN: &str = "correct-horse-battery";
const SECRET: &str = "s3cret";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A dependency whose state the test decides.
#[derive(Clone)]
struct Part {
    name: &'static str,
    status: Arc<Mutex<HealthStatus>>,
    runs: Arc<AtomicU64>,
}

impl Part {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            status: Arc::new(Mutex::new(HealthStatus::Healthy)),
            runs: Arc::default(),
        }
    }

    fn set(&self, status: HealthStatus) {
        *self.status.lock().unwrap() = status;
    }
}

#[async_trait]
impl HealthChecker for Part {
    async fn check(&self) -> ComponentHealth {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let status = *self.status.lock().unwrap();
        ComponentHealth {
            name: self.name.to_owned(),
            status,
            message: (status != HealthStatus::Healthy)
                .then(|| format!("cannot reach postgres://app:{SECRET}@db/orders: refused")),
        }
    }

    fn name(&self) -> &str {
        self.name
    }
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Answer {
    fn report(&self) -> HealthCheck {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends one request on an open connection and reads its answer whole.
async fn exchange(stream: &mut TcpStream, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes()).await?;
    let mut text = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&part[..read]);
        let seen = String::from_utf8_lossy(&text);
        let Some((head, body)) = seen.split_once("\r\n\r\n") else {
            continue;
        };
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        if request.starts_with("HEAD") || body.len() >= length {
            return Ok(Answer {
                status,
                headers,
                body: body.to_owned(),
            });
        }
    }
}

async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    exchange(&mut stream, &request).await.unwrap()
}

async fn start(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn service() -> Arc<HealthCheckService> {
    let service = HealthCheckService::new("1.2.3".to_owned());
    service.show_messages_to(TOKEN).unwrap();
    Arc::new(service)
}

#[tokio::test]
async fn each_endpoint_says_what_it_is_asked() {
    let service = service();
    let (database, cache) = (Part::new("database"), Part::new("cache"));
    let settings = CheckSettings::new().cache_for(Duration::ZERO);
    service
        .add(Box::new(database.clone()), settings.groups(&["reports"]))
        .unwrap();
    service.add(Box::new(cache.clone()), settings.optional()).unwrap();
    let gate = service.startup_gate("migrations");
    let address = start(service.clone().router()).await;
    let statuses = async || {
        let mut all = Vec::new();
        for path in ["/health", "/health/reports", "/ready", "/live", "/startup"] {
            let answer = ask(address, "GET", path, "").await;
            let head = ask(address, "HEAD", path, "").await;
            assert_eq!((head.status, head.body.as_str()), (answer.status, ""), "HEAD {path}");
            assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
            assert_eq!(answer.headers["content-type"], "application/json", "{path}");
            assert_eq!(
                answer.headers.contains_key("retry-after"),
                answer.status == 503,
                "{path}"
            );
            all.push(answer.status);
        }
        all
    };
    assert_eq!(statuses().await, [200, 200, 503, 200, 503], "starting");
    gate.open();
    assert_eq!(statuses().await, [200, 200, 200, 200, 200], "well");
    cache.set(HealthStatus::Unhealthy);
    assert_eq!(statuses().await, [200, 200, 200, 200, 200], "an optional check fails");
    database.set(HealthStatus::Degraded);
    assert_eq!(
        statuses().await,
        [200, 200, 503, 200, 200],
        "a critical check is degraded"
    );
    database.set(HealthStatus::Unhealthy);
    assert_eq!(statuses().await, [503, 503, 503, 200, 200], "a critical check fails");
    database.set(HealthStatus::Healthy);
    assert_eq!(statuses().await, [200, 200, 200, 200, 200], "well again");
    service.drain();
    assert_eq!(statuses().await, [200, 200, 503, 200, 200], "draining");
    assert_eq!(ask(address, "GET", "/health/nothing", "").await.status, 404);
    assert_eq!(ask(address, "POST", "/health", "").await.status, 405);
}

#[tokio::test]
async fn messages_are_for_the_authorised_and_connection_strings_for_nobody() {
    let service = service();
    let database = Part::new("database");
    database.set(HealthStatus::Unhealthy);
    service.add_checker(Box::new(database)).await;
    let address = start(service.router()).await;
    for path in ["/health", "/ready"] {
        for headers in [
            "",
            "Authorization: Bearer wrong-horse-battery\r\n",
            "Authorization: Bearer \r\n",
        ] {
            let answer = ask(address, "GET", path, headers).await;
            assert!(!answer.body.contains("message"), "{path} {headers}: {}", answer.body);
            assert_eq!(
                answer.report().checks,
                [ComponentHealth {
                    name: "database".to_owned(),
                    status: HealthStatus::Unhealthy,
                    message: None
                }]
            );
        }
        let answer = ask(address, "GET", path, &format!("Authorization: Bearer {TOKEN}\r\n")).await;
        assert_eq!(
            answer.report().checks[0].message.as_deref(),
            Some("cannot reach postgres://[hidden] refused")
        );
        assert!(!answer.body.contains(SECRET));
    }
    let accept = format!("Accept: application/health+json\r\nAuthorization: Bearer {TOKEN}\r\n");
    let answer = ask(address, "GET", "/health", &accept).await;
    assert_eq!(answer.headers["content-type"], "application/health+json");
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((&body["status"], &body["version"]), (&"fail".into(), &"1.2.3".into()));
    assert_eq!(
        body["checks"]["database"][0]["output"],
        "cannot reach postgres://[hidden] refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_probes_over_connections_cost_one_run() {
    let service = service();
    let part = Part::new("database");
    let settings = CheckSettings::new().cache_for(Duration::from_secs(60));
    service.add(Box::new(part.clone()), settings).unwrap();
    let address = start(service.router()).await;
    let probes: Vec<_> = (0..1_000)
        .map(|n| {
            let path = if n % 2 == 0 { "/health" } else { "/ready" };
            tokio::spawn(async move { ask(address, "GET", path, "").await.status })
        })
        .collect();
    for probe in probes {
        assert_eq!(probe.await.unwrap(), 200);
    }
    assert_eq!(part.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_http_checker_follows_the_answer() {
    let service = service();
    let part = Part::new("database");
    let settings = CheckSettings::new().cache_for(Duration::ZERO);
    service.add(Box::new(part.clone()), settings).unwrap();
    let address = start(service.router()).await;
    let checker = HttpChecker::new("upstream", format!("http://{address}/ready").parse().unwrap());
    assert_eq!(checker.check().await, ComponentHealth::healthy("upstream"));
    part.set(HealthStatus::Unhealthy);
    assert_eq!(
        checker.check().await,
        ComponentHealth::unhealthy("upstream", "answered 503")
    );
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = HttpChecker::new(
        "upstream",
        format!("http://{}/", closed.local_addr().unwrap()).parse().unwrap(),
    );
    drop(closed);
    let answer = nobody.check().await;
    assert_eq!(answer.status, HealthStatus::Unhealthy);
    assert!(answer.message.unwrap().starts_with("cannot connect: "));
}

/// A check that panics, is never done, or says so when it is dropped.
struct Odd {
    panics: bool,
    begun: Arc<Notify>,
    dropped: Arc<Notify>,
}

#[async_trait]
impl HealthChecker for Odd {
    async fn check(&self) -> ComponentHealth {
        struct Says(Arc<Notify>);
        impl Drop for Says {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        assert!(!self.panics, "a check that panics");
        let _says = Says(self.dropped.clone());
        self.begun.notify_one();
        std::future::pending().await
    }

    fn name(&self) -> &str {
        "odd"
    }
}

#[tokio::test]
async fn a_check_that_panics_is_503_by_its_name_and_stays_in_its_group() {
    let service = service();
    let odd = Odd {
        panics: true,
        begun: Arc::default(),
        dropped: Arc::default(),
    };
    let settings = CheckSettings::new().groups(&["reports"]);
    service.add(Box::new(odd), settings).unwrap();
    let address = start(service.router()).await;
    for path in ["/health", "/health/reports", "/ready"] {
        let answer = ask(address, "GET", path, "").await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.report().checks[0].name, "odd");
    }
    assert_eq!(ask(address, "GET", "/live", "").await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_check_with_it() {
    let service = service();
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let odd = Odd {
        panics: false,
        begun: begun.clone(),
        dropped: dropped.clone(),
    };
    let settings = CheckSettings::new().timeout(Duration::from_secs(3600));
    service.add(Box::new(odd), settings).unwrap();
    let address = start(service.router()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    begun.notified().await;
    drop(client);
    let gone = Clock::system().timeout(Duration::from_secs(20), dropped.notified());
    assert!(gone.await.is_ok(), "the check still runs");
}

/// What the load saw: requests answered, and what went wrong.
#[derive(Default)]
struct Load {
    answered: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Load {
    /// One client that keeps its connection, as a load balancer would hold it: it connects anew when it is asked to
    /// close, and goes away once `/ready` says no.
    async fn client(self: Arc<Self>, address: SocketAddr) {
        let request = "GET /work HTTP/1.1\r\nHost: a\r\n\r\n";
        loop {
            let ready = "GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let probe = async { exchange(&mut TcpStream::connect(address).await?, ready).await };
            match probe.await {
                Ok(answer) if answer.status == 200 => {}
                Ok(_) => return,
                Err(error) => return self.failed.lock().unwrap().push(format!("probe: {error}")),
            }
            let mut stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => return self.failed.lock().unwrap().push(format!("connect: {error}")),
            };
            loop {
                match exchange(&mut stream, request).await {
                    Ok(answer) if answer.status == 200 => {
                        self.answered.fetch_add(1, Ordering::SeqCst);
                        if answer.headers.get("connection").is_some_and(|value| value == "close") {
                            break;
                        }
                    }
                    Ok(answer) => self.failed.lock().unwrap().push(format!("answered {}", answer.status)),
                    Err(error) => return self.failed.lock().unwrap().push(format!("request: {error}")),
                }
            }
        }
    }
}

/// Taken by the tests that send SIGTERM to their own process, which all its servers get.
static SIGTERM: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Sends SIGTERM to this process.
fn terminate() {
    let pid = std::process::id().to_string();
    let kill = std::process::Command::new("kill").args(["-TERM", &pid]).status();
    assert!(kill.unwrap().success());
}

/// Waits until the signal has arrived.
async fn drains(health: &HealthCheckService, clock: &Clock) {
    for _ in 0..10_000 {
        if health.is_draining() {
            return;
        }
        clock.sleep(ms(1)).await;
    }
    panic!("the signal does not arrive");
}

fn working_app(health: &Arc<HealthCheckService>, clock: &Clock) -> Router {
    let (work, slow) = (clock.clone(), clock.clone());
    Router::new()
        .route(
            "/work",
            get(move || async move {
                work.sleep(ms(1)).await;
                "done"
            }),
        )
        .route(
            "/slow",
            get(move || async move {
                slow.sleep(ms(3_000)).await;
                "done"
            }),
        )
        .merge(health.clone().router())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_under_load_that_gets_sigterm_fails_no_request() {
    let _alone = SIGTERM.lock().await;
    let health = service();
    let clock = Clock::system();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = ServeSettings::new().keep_serving(ms(2_000)).finish_within(ms(20_000));
    let app = working_app(&health, &clock);
    let server = tokio::spawn(serve(listener, app, health.clone(), settings));
    // The signal's handler stands once a request is answered.
    assert_eq!(ask(address, "GET", "/work", "").await.status, 200);

    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..50).map(|_| tokio::spawn(load.clone().client(address))).collect();
    while load.answered.load(Ordering::SeqCst) <= 100 {
        clock.sleep(ms(1)).await;
    }
    terminate();

    drains(&health, &clock).await;
    assert_eq!(ask(address, "GET", "/ready", "").await.status, 503, "not ready");
    assert_eq!(ask(address, "GET", "/live", "").await.status, 200, "but alive");
    // In flight when the server stops accepting, and finished all the same.
    let slow = ask(address, "GET", "/slow", "").await;
    assert_eq!((slow.status, slow.headers["connection"].as_str()), (200, "close"));
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(server.await.unwrap().unwrap(), Shutdown::Finished);
    assert_eq!(*load.failed.lock().unwrap(), Vec::<String>::new());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

/// Runs `wrk` against a path for so many seconds with 50 connections; what it says.
fn wrk(address: SocketAddr, path: &str, seconds: u32) -> String {
    let output = std::process::Command::new("wrk")
        .args([
            "-t2",
            "-c50",
            &format!("-d{seconds}s"),
            &format!("http://{address}{path}"),
        ])
        .output()
        .unwrap_or_else(|error| panic!("wrk is missing (Debian's package `wrk`): {error}"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrk_sees_no_error_while_a_server_that_got_sigterm_drains() {
    let _alone = SIGTERM.lock().await;
    let health = service();
    let clock = Clock::system();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // As long as a load balancer takes to notice; wrk stands for one that goes on until then.
    let settings = ServeSettings::new().keep_serving(ms(3_000)).finish_within(ms(5_000));
    let server = tokio::spawn(serve(listener, working_app(&health, &clock), health.clone(), settings));
    assert_eq!(ask(address, "GET", "/work", "").await.status, 200);

    let load = tokio::task::spawn_blocking(move || wrk(address, "/work", 2));
    clock.sleep(ms(700)).await;
    terminate();
    drains(&health, &clock).await;
    assert_eq!(ask(address, "GET", "/ready", "").await.status, 503, "not ready");
    let said = load.await.unwrap();
    assert_eq!(server.await.unwrap().unwrap(), Shutdown::Finished);
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    let requests: u64 = said
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .unwrap_or_else(|| panic!("no number of requests: {said}"));
    assert!(requests > 1_000, "there was load: {said}");
    println!("{said}");
}

#[tokio::test]
async fn the_end_comes_at_the_limit_or_at_the_second_signal() {
    for (signals, wanted) in [(1, Shutdown::TimedOut), (2, Shutdown::Hurried)] {
        let health = service();
        let clock = Clock::system();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = ServeSettings::new()
            .keep_serving(Duration::ZERO)
            .finish_within(if signals == 1 {
                ms(50)
            } else {
                Duration::from_secs(3600)
            });
        let signal = Arc::new(Notify::new());
        let next = signal.clone();
        let begun = Arc::new(Notify::new());
        let says = begun.clone();
        let endless = get(async move || {
            says.notify_one();
            std::future::pending::<&str>().await
        });
        let app = Router::new().route("/endless", endless);
        let server = serve_until(listener, app, health.clone(), settings, move || {
            let next = next.clone();
            async move { next.notified().await }
        });
        let server = tokio::spawn(server);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        begun.notified().await;
        signal.notify_one();
        if signals == 2 {
            drains(&health, &clock).await;
            signal.notify_one();
        }
        assert_eq!(server.await.unwrap().unwrap(), wanted);
    }
}

#[tokio::test]
async fn no_time_to_finish_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = ServeSettings::new().finish_within(Duration::ZERO);
    let refused = serve(listener, Router::new(), service(), settings).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "serve: `finish_within` is 0ns, but it must be more than zero"
    );
}
