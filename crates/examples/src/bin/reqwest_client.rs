//! An HTTP client behind a policy, in one line; and the same rules around a tower service of HTTP requests.

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::{any, get};
use c13_examples::serve;
use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState};
use c13_reliability::patterns::retry::{RetryConfig, RetryStrategy};
use c13_reliability::policy::{HttpLayer, Policy, PolicyConfig};
use c13_reliability::time::Clock;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tower::{ServiceBuilder, ServiceExt};

static ASKED: AtomicU32 = AtomicU32::new(0);

/// Two errors, then an answer that says how much time the caller gave it.
async fn flaky(headers: HeaderMap) -> Result<String, StatusCode> {
    // Relaxed: nothing but the number is shared.
    if ASKED.fetch_add(1, Ordering::Relaxed) % 3 < 2 {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let limit = header("x-request-timeout-ms").unwrap_or("none");
    Ok(format!("attempt {}, {limit}", header("x-attempt").unwrap_or("unknown")))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route("/", any(flaky))
        .route("/down", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let url = format!("http://{}/", serve(app.clone()).await?);
    let retry = RetryConfig::new(2, RetryStrategy::FixedDelay(Duration::from_millis(5)));
    let config = PolicyConfig::NONE
        .total_timeout(Duration::from_secs(15))
        .attempt_timeout(Duration::from_secs(3))
        .retry(retry)
        .circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(3));
    let policy = Policy::with_config(config, Clock::tokio())?;

    let prices = policy.http(reqwest::Client::new());
    let told = prices.get(&url).send().await?.text().await?;
    println!("a GET was answered: {told} ms by the header");
    assert!(told.starts_with("attempt 3, "), "{told}");

    // It may have had its effect, so it is sent once, unless the server can tell that it has had it already.
    let once = prices.post(&url).body("an order").send().await?;
    println!("a POST is not repeated: {}", once.status());
    let order = prices.post(&url).body("an order").idempotency_key("order-7");
    println!("a POST with a key is: {}", order.send().await?.text().await?);

    // The same rules for whatever sends `http::Request`: here axum's router itself, else hyper's client or tonic's channel.
    let service = ServiceBuilder::new()
        .layer(HttpLayer::new(policy.clone()).copying(body_again))
        .service(app);
    let response = service.oneshot(Request::get("/").body(Body::empty())?).await?;
    println!("layered: {}", response.status());
    assert_eq!(response.status(), StatusCode::OK);

    let down = format!("{url}down");
    println!("down: {} to the end", prices.get(&down).send().await?.status());
    let refused = prices.get(&down).send().await.expect_err("three failures in a row");
    println!("and then: {refused}");
    assert!(refused.is_circuit_open());
    let state = policy.circuit_breaker().map(|breaker| breaker.current_state());
    assert_eq!(state, Some(CircuitState::Open));
    Ok(())
}

/// The body of another attempt. Axum's may be a stream, so only an empty one can be sent again.
fn body_again(body: &Body) -> Option<Body> {
    body.is_end_stream().then(Body::empty)
}
