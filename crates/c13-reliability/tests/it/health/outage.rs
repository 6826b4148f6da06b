//! A service whose dependency goes away and comes back, asked over its endpoints.

use axum::Router;
use c13_reliability::microservices::health::{
    CheckSettings, HealthCheck, HealthCheckService, HealthChecker, HealthStatus,
};
use c13_reliability::time::Clock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How often the dependency is looked at.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);
/// How long a look may take.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

/// How long a busy machine may stand still meanwhile.
const BUSY: Duration = Duration::from_secs(2);

const TOKEN: &str = "correct-horse-battery";

/// A service with one critical check, looked at in the background.
pub(crate) struct Observed {
    pub(crate) clock: Clock,
    pub(crate) service: Arc<HealthCheckService>,
    address: SocketAddr,
}

/// What the endpoints answer.
#[derive(Debug)]
struct Answers {
    ready: u16,
    live: u16,
    health: u16,
    report: HealthCheck,
}

impl Observed {
    pub(crate) async fn start(checker: impl HealthChecker + Send + Sync + 'static) -> Self {
        let clock = Clock::system();
        let service = Arc::new(HealthCheckService::new("1".to_owned()));
        service.show_messages_to(TOKEN).unwrap();
        let settings = CheckSettings::new().every(INTERVAL).timeout(TIMEOUT);
        service.add(Box::new(checker), settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app: Router = service.clone().router();
        tokio::spawn(async move { axum::serve(listener, app).await });
        tokio::spawn(service.clone().run());
        Self {
            clock,
            service,
            address,
        }
    }

    async fn ask(&self, path: &str) -> (u16, HealthCheck) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    async fn answers(&self) -> Answers {
        let (health, report) = self.ask("/health").await;
        Answers {
            ready: self.ask("/ready").await.0,
            live: self.ask("/live").await.0,
            health,
            report,
        }
    }

    /// Waits until the service is well, or is not; gives how long that took, and what `/health` then reports.
    ///
    /// Being alive is asked for all the while.
    pub(crate) async fn until(&self, status: HealthStatus, at_most: Duration) -> (Duration, HealthCheck) {
        let start = self.clock.now();
        let code = if status == HealthStatus::Healthy { 200 } else { 503 };
        loop {
            let now = self.answers().await;
            let took = self.clock.now() - start;
            assert_eq!(now.live, 200, "a dependency never fails /live: {now:?}");
            if (now.ready, now.health, now.report.checks[0].status) == (code, code, status) {
                return (took, now.report);
            }
            assert!(took <= at_most + BUSY, "after {took:?}: {now:?}, not {status}");
            self.clock.sleep(Duration::from_millis(10)).await;
        }
    }

    /// Watches for a while how the service fares with a dependency that hangs: probes only read, looks come one at a
    /// time, each for its time limit, and none leaves a task behind.
    pub(crate) async fn bear_a_hang(&self, tasks_before: usize) {
        let runs = || self.service.observed()[0].durations.count();
        let (runs_before, start) = (runs(), self.clock.now());
        let mut slow = 0;
        for _ in 0..200 {
            let probed = self.clock.now();
            assert_eq!(self.service.check_ready().await.status, HealthStatus::Unhealthy);
            slow += u32::from(self.clock.now() - probed >= TIMEOUT / 2);
            self.clock.sleep(Duration::from_millis(10)).await;
        }
        assert!(slow <= 20, "a probe only reads, but {slow} of 200 took long");
        let (more, took) = (runs() - runs_before, self.clock.now() - start);
        assert!(
            more <= took.div_duration_f64(TIMEOUT) as u64 + 1,
            "{more} runs in {took:?}"
        );
        let tasks = tasks();
        assert!(tasks <= tasks_before + 2, "{tasks_before} tasks before, {tasks} now");
        println!("a hang: {more} runs in {took:?}; {tasks_before} tasks before, {tasks} meanwhile");
    }
}

/// How many tasks the runtime has.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// The message of the only check, which never shows a password.
pub(crate) fn message(report: &HealthCheck) -> &str {
    let message = report.checks[0].message.as_deref().unwrap_or_default();
    assert!(!message.contains("s3cret"), "{message}");
    message
}
