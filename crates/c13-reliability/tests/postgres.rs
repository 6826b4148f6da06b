//! The health of a service whose Postgres is killed, stopped and started again. The tests start a server of their own
//! with the programs of C13_TEST_POSTGRES_BIN, because a server that others share cannot be killed.
#![cfg(all(feature = "axum", feature = "postgres"))]
#![expect(clippy::unwrap_used, reason = "tests, their helpers included, fail loudly")]

use c13_reliability::microservices::health::{
    CheckSettings, DatabaseHealthChecker, HealthCheck, HealthCheckService, HealthChecker, HealthStatus, HttpChecker,
};
use c13_reliability::time::Clock;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_millis(300);

/// The folder with the programs of Postgres.
fn programs() -> PathBuf {
    std::env::var_os("C13_TEST_POSTGRES_BIN").map(PathBuf::from).expect(
        "C13_TEST_POSTGRES_BIN is not set: it is the folder with the programs `postgres` and `initdb`; ./test sets it",
    )
}

/// A server of the test's own.
struct Server {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Server {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("c13-postgres-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if is_root() {
            // Postgres refuses to run as root.
            assert!(
                Command::new("chown")
                    .arg("nobody")
                    .arg(&folder)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        let made = as_nobody(&programs().join("initdb"))
            .args(["--username=app", "--auth=trust", "--no-sync", "-D"])
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        let child = Self::start(&folder, port);
        Self { folder, port, child }
    }

    fn start(folder: &Path, port: u16) -> Child {
        as_nobody(&programs().join("postgres"))
            .arg("-D")
            .arg(folder.join("data"))
            .args([
                "-p",
                &port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
            ])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", folder.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Sends a signal to the server and all its processes, that of each connection included.
    fn signal(&self, signal: &str) {
        let parent = self.child.id().to_string();
        let _ = Command::new("pkill")
            .args([&format!("-{signal}"), "-P", &parent])
            .status();
        assert!(
            Command::new("kill")
                .args([&format!("-{signal}"), &parent])
                .status()
                .unwrap()
                .success()
        );
    }

    fn kill(&mut self) {
        self.signal("KILL");
        self.child.wait().unwrap();
        let _ = fs::remove_file(self.folder.join("data/postmaster.pid"));
    }

    fn restart(&mut self) {
        self.child = Self::start(&self.folder, self.port);
    }

    fn pool(&self) -> PgPool {
        let options = PgConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("app")
            .password("s3cret")
            .database("postgres");
        PgPoolOptions::new().max_connections(3).connect_lazy_with(options)
    }

    /// Waits until it answers.
    async fn ready(&self, clock: &Clock) {
        for _ in 0..200 {
            if self.pool().acquire().await.is_ok() {
                return;
            }
            clock.sleep(Duration::from_millis(50)).await;
        }
        panic!("Postgres did not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("pkill")
            .args(["-KILL", "-P", &self.child.id().to_string()])
            .status();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

fn as_nobody(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
        .arg(program)
        .env("LC_ALL", "C");
    command
}

async fn start(service: &Arc<HealthCheckService>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = service.clone().router();
    tokio::spawn(async move { axum::serve(listener, app).await });
    tokio::spawn(service.clone().run());
    address
}

/// The statuses of /ready, /health and /live.
async fn statuses(address: SocketAddr) -> [String; 3] {
    let mut all = [const { String::new() }; 3];
    for (status, path) in all.iter_mut().zip(["ready", "health", "live"]) {
        let probe = HttpChecker::new(path, format!("http://{address}/{path}").parse().unwrap());
        *status = probe.check().await.message.unwrap_or_else(|| "answered 200".to_owned());
    }
    all
}

const WELL: [&str; 3] = ["answered 200"; 3];
const DOWN: [&str; 3] = ["answered 503", "answered 503", "answered 200"];

/// How long it takes until the statuses are these.
async fn until(clock: &Clock, address: SocketAddr, wanted: [&str; 3], at_most: Duration) -> Duration {
    let start = clock.now();
    loop {
        let now = statuses(address).await;
        let took = clock.now() - start;
        if now == wanted {
            return took;
        }
        assert!(took <= at_most, "after {took:?}: {now:?}, not {wanted:?}");
        clock.sleep(Duration::from_millis(10)).await;
    }
}

fn message(report: &HealthCheck) -> &str {
    report.checks[0].message.as_deref().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_is_named_within_its_interval_and_back_within_a_second() {
    let clock = Clock::system();
    let mut server = Server::new("killed");
    server.ready(&clock).await;
    let service = Arc::new(HealthCheckService::new("1".to_owned()));
    let checker = Box::new(DatabaseHealthChecker::new(server.pool()));
    let settings = CheckSettings::new().every(INTERVAL).timeout(TIMEOUT);
    service.add(checker, settings).unwrap();
    let address = start(&service).await;
    until(&clock, address, WELL, Duration::from_secs(2)).await;

    server.kill();
    // The next run begins within the interval and ends at its limit; the rest is for a machine that is busy.
    let down = until(&clock, address, DOWN, INTERVAL + 2 * TIMEOUT).await;
    let report = service.check_health().await;
    assert_eq!(
        (report.checks[0].name.as_str(), report.status),
        ("database", HealthStatus::Unhealthy)
    );
    assert!(
        !message(&report).is_empty() && !message(&report).contains("s3cret"),
        "{report:?}"
    );

    server.restart();
    server.ready(&clock).await;
    let back = until(&clock, address, WELL, Duration::from_secs(1)).await;
    println!("Postgres killed: not ready after {down:?}, ready {back:?} after it answered again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_hangs_costs_one_timeout_at_a_time_and_no_pile_of_tasks() {
    let clock = Clock::system();
    let server = Server::new("stopped");
    server.ready(&clock).await;
    let service = Arc::new(HealthCheckService::new("1".to_owned()));
    let pool = server.pool();
    let checker = Box::new(DatabaseHealthChecker::new(pool.clone()));
    let settings = CheckSettings::new().every(INTERVAL).timeout(TIMEOUT);
    service.add(checker, settings).unwrap();
    let address = start(&service).await;
    until(&clock, address, WELL, Duration::from_secs(2)).await;
    let runtime = tokio::runtime::Handle::current();
    let before = runtime.metrics().num_alive_tasks();

    server.signal("STOP");
    until(&clock, address, DOWN, INTERVAL + 2 * TIMEOUT).await;
    let report = service.check_health().await;
    assert_eq!(message(&report), "no answer within 300ms");
    let runs = || service.observed()[0].durations.count();
    let (runs_before, start_at) = (runs(), clock.now());
    for _ in 0..300 {
        let probed = clock.now();
        assert_eq!(service.check_ready().await.status, HealthStatus::Unhealthy);
        assert!(clock.now() - probed < TIMEOUT / 2, "a probe only reads");
        clock.sleep(Duration::from_millis(10)).await;
    }
    let (more, took) = (runs() - runs_before, clock.now() - start_at);
    assert!(
        more <= took.div_duration_f64(TIMEOUT) as u64 + 1,
        "{more} runs in {took:?}"
    );
    let after = runtime.metrics().num_alive_tasks();
    assert!(after <= before + 2, "{before} tasks before, {after} while it hangs");
    assert!(pool.size() <= 3);

    server.signal("CONT");
    let back = until(&clock, address, WELL, Duration::from_secs(1)).await;
    println!(
        "Postgres stopped: {more} runs in {took:?}, {before} tasks before and {after} during; ready {back:?} after it went on"
    );
}
