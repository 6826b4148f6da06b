//! The whole: an axum service with three dependencies under one policy file, `service.toml`, that is changed while it runs.
//!
//! `GET /order` charges a payment, looks at the stock and makes suggestions. Payments are needed: while they are down, the
//! order is refused with 503 and `Retry-After`. Stock is slow now and then: another attempt stands beside a late one.
//! Suggestions are read through a cache, and where there are none an empty list does.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use c13_examples::{serve, with_deadline};
use c13_reliability::patterns::cache::{Cache, CacheConfig};
use c13_reliability::patterns::fallback::Fallback;
use c13_reliability::policy::file::PolicyFiles;
use c13_reliability::policy::{
    CachedPolicy, HttpClient, InboundLayer, LimitLayer, PolicyError, PolicyRegistry, RequestLimit, TypedPolicy,
};
use c13_reliability::time::Clock;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// The dependencies, and what goes wrong with them: servers of the example's own.
#[derive(Default)]
struct Dependencies {
    payments_down: AtomicBool,
    suggestions_down: AtomicBool,
    stock_calls: AtomicU32,
    suggestion_calls: AtomicU32,
}

fn dependencies(state: Arc<Dependencies>) -> Router {
    let charge = |State(state): State<Arc<Dependencies>>| async move {
        // Relaxed: a switch that stands for itself.
        match state.payments_down.load(Ordering::Relaxed) {
            true => Err(StatusCode::INTERNAL_SERVER_ERROR),
            false => Ok("paid"),
        }
    };
    let stock = |State(state): State<Arc<Dependencies>>| async move {
        // Relaxed: nothing but the number is shared. The first is answered late.
        if state.stock_calls.fetch_add(1, Ordering::Relaxed) == 0 {
            Clock::tokio().sleep(Duration::from_secs(10)).await;
        }
        "3 left"
    };
    let suggest = |State(state): State<Arc<Dependencies>>| async move {
        // Relaxed: as above, both.
        state.suggestion_calls.fetch_add(1, Ordering::Relaxed);
        match state.suggestions_down.load(Ordering::Relaxed) {
            true => Err(StatusCode::INTERNAL_SERVER_ERROR),
            false => Ok("a pen, a pencil"),
        }
    };
    Router::new()
        .route("/charge", post(charge))
        .route("/stock", get(stock))
        .route("/suggestions/{user}", get(suggest))
        .with_state(state)
}

type Suggestions = CachedPolicy<Cache<u64, String>, TypedPolicy<String, StatusCode>>;

/// The service: a client, and a policy for each dependency.
#[derive(Clone)]
struct Service {
    http: reqwest::Client,
    upstream: SocketAddr,
    payments: HttpClient,
    stock: HttpClient,
    suggestions: Suggestions,
}

impl Service {
    fn new(registry: &PolicyRegistry, upstream: SocketAddr) -> Self {
        let policy = |name| registry.policy(name).expect("service.toml names it");
        let none: Fallback<String, PolicyError<StatusCode>> = Fallback::value(String::new());
        let http = reqwest::Client::new();
        Self {
            upstream,
            payments: policy("payments").http(http.clone()),
            stock: policy("stock").http(http.clone()),
            http,
            suggestions: policy("suggestions").typed().fallback(none).cached(Cache::new(
                CacheConfig::new().capacity(10_000).ttl(Duration::from_secs(60)),
            )),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.upstream)
    }

    async fn order(&self, user: u64) -> Response {
        // With a key of its own, so that a charge that is repeated is made once.
        let charge = self.payments.post(self.url("/charge"));
        match charge.idempotency_key(user.to_string()).send().await {
            Ok(paid) if paid.status().is_success() => {}
            Ok(_) => return StatusCode::BAD_GATEWAY.into_response(),
            Err(error) => return error.into_response(),
        }
        let stock = match self.stock.get(self.url("/stock")).send().await {
            Ok(stock) => stock.text().await.unwrap_or_default(),
            Err(error) => return error.into_response(),
        };
        let suggestions = self.suggest(user).await;
        format!("paid; {stock}; you may like: {suggestions}").into_response()
    }

    async fn suggest(&self, user: u64) -> String {
        let request = self.http.get(self.url(&format!("/suggestions/{user}")));
        let (http, request) = (
            self.http.clone(),
            request.build().expect("an address and a path make a URL"),
        );
        let load = move || {
            let again = request.try_clone().expect("it has no body");
            let http = http.clone();
            async move {
                let response = http.execute(with_deadline(again)).await;
                let response = response.map_err(|_| StatusCode::BAD_GATEWAY)?;
                let status = response.status();
                match response.text().await {
                    Ok(text) if status.is_success() => Ok(text),
                    _ => Err(status),
                }
            }
        };
        // The fallback answers for whatever the policy refuses.
        self.suggestions.call(&user, load).await.unwrap_or_default()
    }
}

fn app(registry: &PolicyRegistry, service: Service, clients: &RequestLimit) -> Router {
    let inbound = registry.policy("inbound").expect("service.toml names it");
    let order = |State(service): State<Service>| async move { service.order(7).await };
    let slow = || async { Clock::tokio().sleep(Duration::from_secs(60)).await };
    Router::new()
        .route("/order", get(order))
        .route("/slow", get(slow))
        .with_state(service)
        .layer(InboundLayer::new(inbound))
        .layer(LimitLayer::new([clients.clone()]))
}

/// A copy of the policy file to change, gone afterwards.
struct PolicyFile(PathBuf);

impl PolicyFile {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("c13-service-{}.toml", std::process::id()));
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("service.toml"), &path)?;
        Ok(Self(path))
    }

    fn replace(&self, from: &str, to: &str) -> std::io::Result<()> {
        let text = std::fs::read_to_string(&self.0)?;
        assert!(text.contains(from), "the file has no {from:?}");
        std::fs::write(&self.0, text.replace(from, to))
    }
}

impl Drop for PolicyFile {
    fn drop(&mut self) {
        // A file that is left over is no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What somebody outside sees.
async fn ask(url: &str, headers: &[(&str, &str)]) -> reqwest::Result<(u16, Option<String>, String)> {
    let request = reqwest::Client::new().get(url);
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok((status, retry_after, response.text().await?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = PolicyFile::new()?;
    let registry = PolicyRegistry::open_with(PolicyFiles::new().environment(), [&file.0], Clock::tokio())?;
    tokio::spawn(registry.watch(Duration::from_secs(1)));
    tokio::spawn(registry.reload_on_hangup());
    let state = Arc::new(Dependencies::default());
    let upstream = serve(dependencies(state.clone())).await?;
    let clients = registry.limit("clients")?;
    let address = serve(app(&registry, Service::new(&registry, upstream), &clients)).await?;
    let order = format!("http://{address}/order");

    let (status, _, text) = ask(&order, &[]).await?;
    println!("all is well: {status} {text}");
    // Relaxed: as above.
    let hedged = state.stock_calls.load(Ordering::Relaxed);
    println!("stock was late, so it was asked {hedged} times");

    // Relaxed: a switch that stands for itself.
    state.suggestions_down.store(true, Ordering::Relaxed);
    let (status, _, text) = ask(&order, &[]).await?;
    println!("suggestions are down, and cached: {status} {text}");
    // Relaxed: nothing but the number is shared.
    let asked = state.suggestion_calls.load(Ordering::Relaxed);
    println!("for two orders they were asked {asked} time(s)");

    let (status, _, _) = ask(&format!("http://{address}/slow"), &[("x-request-timeout-ms", "150")]).await?;
    println!("a caller with 150 ms: {status}");

    // Relaxed: a switch that stands for itself.
    state.payments_down.store(true, Ordering::Relaxed);
    let mut last = ask(&order, &[]).await?;
    println!("payments are down: {}", last.0);
    for _ in 0..2 {
        last = ask(&order, &[]).await?;
    }
    println!("and then left alone: {}, retry after {:?} s", last.0, last.1);

    println!("requests whose client is not known: {}", clients.keyless());

    // On call, somebody turns the rate down. Nothing restarts, and the open circuit stays open.
    file.replace("rate = \"100/s\", burst = 20", "rate = \"1/s\", burst = 1")?;
    let clock = Clock::tokio();
    let limit = clock.now() + Duration::from_secs(60);
    while registry.status().applied == 0 {
        assert!(clock.now() < limit, "the change was not seen");
        clock.sleep(Duration::from_millis(10)).await;
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(ask(&order, &[]).await?.0);
    }
    println!("one a second now: {seen:?}");
    let breaker = registry.policy("payments").and_then(|policy| policy.circuit_breaker());
    println!(
        "the circuit of payments is still {:?}",
        breaker.map(|breaker| breaker.current_state())
    );
    Ok(())
}
