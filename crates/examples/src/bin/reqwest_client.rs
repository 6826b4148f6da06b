//! An HTTP client behind a policy, two ways: as a layer around reqwest's client, and as a wrapper of a few lines.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use c13_examples::{serve, with_deadline};
use c13_reliability::gate::Outcome;
use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState};
use c13_reliability::patterns::retry::{RetryConfig, RetryStrategy, Verdict};
use c13_reliability::policy::{Policy, PolicyConfig, PolicyError, PolicyLayer, TypedPolicy};
use c13_reliability::time::Clock;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tower::{ServiceBuilder, ServiceExt, service_fn};

static ASKED: AtomicU32 = AtomicU32::new(0);

/// Two errors, then an answer that says how much time the caller gave it.
async fn flaky(headers: HeaderMap) -> Result<String, StatusCode> {
    // Relaxed: nothing but the number is shared.
    if ASKED.fetch_add(1, Ordering::Relaxed) % 3 < 2 {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let limit = headers
        .get("x-request-timeout-ms")
        .and_then(|limit| limit.to_str().ok());
    Ok(limit.unwrap_or("none").to_owned())
}

/// A client whose every request goes through one policy.
struct Client {
    http: reqwest::Client,
    policy: TypedPolicy<reqwest::Response, reqwest::Error>,
}

impl Client {
    async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, PolicyError<reqwest::Error>> {
        // A body that is a stream can be sent once only.
        if request.try_clone().is_none() {
            return self.policy.call_once(self.http.execute(request)).await;
        }
        let attempt = || {
            let copy = request.try_clone().expect("it could be cloned before");
            let http = &self.http;
            // In the future, which sees the attempt's own deadline.
            async move { http.execute(with_deadline(copy)).await }
        };
        self.policy.call(attempt).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route("/", get(flaky))
        .route("/down", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let url = format!("http://{}/", serve(app).await?);
    let retry = RetryConfig::new(2, RetryStrategy::FixedDelay(Duration::from_millis(5)));
    let config = PolicyConfig::NONE
        .total_timeout(Duration::from_secs(15))
        .attempt_timeout(Duration::from_secs(3))
        .retry(retry)
        .circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(3));
    let policy = Policy::with_config(config, Clock::tokio())?;
    let typed = policy
        .typed()
        .classify(Outcome::of_reqwest)
        .verdict(Verdict::of_reqwest);
    let http = reqwest::Client::new();

    let client = Client {
        http: http.clone(),
        policy: typed.clone(),
    };
    let response = client.send(http.get(&url).build()?).await?;
    let told: u64 = response.text().await?.parse()?;
    println!("wrapped: the third attempt was answered; it had {told} ms by its header");
    assert!((1..=3_000).contains(&told));

    // The same as a layer: whatever else of tower's there is can stand before and behind it.
    let service = ServiceBuilder::new()
        .layer(PolicyLayer::cloning(typed, reqwest::Request::try_clone))
        .service(service_fn(move |request| {
            let http = http.clone();
            async move { http.execute(with_deadline(request)).await }
        }));
    let request = reqwest::Request::new(reqwest::Method::GET, url.parse()?);
    let response = service.clone().oneshot(request).await?;
    println!("layered: {}", response.status());
    assert_eq!(response.status(), StatusCode::OK);

    let down = reqwest::Request::new(reqwest::Method::GET, format!("{url}down").parse()?);
    let status = service
        .clone()
        .oneshot(down.try_clone().expect("it has no body"))
        .await?
        .status();
    println!("down: {status} to the end");
    let refused = service.oneshot(down).await.expect_err("three failures in a row");
    println!("and then: {refused}");
    assert!(refused.is_circuit_open());
    let state = policy.circuit_breaker().map(|breaker| breaker.current_state());
    assert_eq!(state, Some(CircuitState::Open));
    Ok(())
}
