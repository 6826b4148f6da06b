//! A service that answers /health, /ready, /live and /startup, loses its database, gets it back, and ends without failing
//! a request. Run it with `cargo run --example health_example --features axum`.

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use c13_reliability::microservices::health::{
    CheckSettings, ComponentHealth, EventLoopChecker, HealthCheckService, HealthChecker, ProbeUrl, ServeSettings,
    serve_until,
};
use c13_reliability::time::Clock;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A database that the example switches off and on.
struct Database(Arc<AtomicBool>);

#[async_trait]
impl HealthChecker for Database {
    async fn check(&self) -> ComponentHealth {
        if self.0.load(Ordering::SeqCst) {
            ComponentHealth::healthy(self.name())
        } else {
            ComponentHealth::unhealthy(self.name(), "cannot reach postgres://app:hunter2@db/orders: refused")
        }
    }

    fn name(&self) -> &str {
        "database"
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::system();
    let works = Arc::new(AtomicBool::new(true));

    let health = Arc::new(HealthCheckService::new("1.4.0".to_owned()));
    health.show_messages_to("an-operator's-own-token")?;
    let settings = CheckSettings::new().every(Duration::from_millis(50));
    health.add(Box::new(Database(works.clone())), settings)?;
    let heart = EventLoopChecker::new(Duration::from_millis(500)).with_env(clock.clone());
    tokio::spawn(heart.clone().beat());
    health.add_watchdog("event loop", move || heart.is_alive());
    let migrations = health.startup_gate("migrations");
    tokio::spawn(health.clone().run());

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .merge(health.clone().router());
    // A real service calls `serve`, which ends on SIGTERM; here the example gives the signal.
    let signal = Arc::new(Notify::new());
    let next = signal.clone();
    let drain = ServeSettings::new().keep_serving(Duration::from_secs(2));
    let server = tokio::spawn(serve_until(listener, app, health.clone(), drain, move || {
        let next = next.clone();
        async move { next.notified().await }
    }));

    let show = async |when: &str| -> Result<(), Box<dyn Error>> {
        let mut line = format!("{when:<22}");
        for path in ["/startup", "/live", "/ready", "/health", "/"] {
            line.push_str(&format!(
                "{path} {}   ",
                status(&format!("http://{address}{path}")).await?
            ));
        }
        println!("{line}");
        Ok(())
    };
    show("starting").await?;
    migrations.open();
    show("started").await?;
    works.store(false, Ordering::SeqCst);
    clock.sleep(Duration::from_millis(100)).await;
    show("the database is gone").await?;
    let report = health.check_health().await;
    println!(
        "  {}: {}",
        report.checks[0].name,
        report.checks[0].message.as_deref().unwrap_or_default()
    );
    works.store(true, Ordering::SeqCst);
    clock.sleep(Duration::from_millis(100)).await;
    show("the database is back").await?;
    signal.notify_one();
    clock.sleep(Duration::from_millis(50)).await;
    show("draining").await?;
    println!("the server ended: {:?}", server.await??);
    Ok(())
}

/// The status of what an address answers.
async fn status(address: &str) -> Result<u16, Box<dyn Error>> {
    let url: ProbeUrl = address.parse()?;
    let mut stream = TcpStream::connect((url.host(), url.port())).await?;
    stream.write_all(url.request().as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(ProbeUrl::status(&answer)?.ok_or("no answer")?)
}
