//! Refused requests get the right status and the time to try again, over HTTP and over gRPC.

use super::*;
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::CircuitBreakerConfig;
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::policy::{LimitConfig, LimitKey, LimitRefused, Policy, PolicyConfig, PolicyError, RequestLimit};
use crate::time::{Deadline, Env, Executor, Tick};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn app(executor: &Executor, config: PolicyConfig) -> InboundService<Router> {
    let clock = executor.clock();
    let sleeper = clock.clone();
    let router = Router::new()
        .route("/well", get(|| async { "well" }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route(
            "/slow",
            get(move || async move {
                sleeper.sleep(10 * SECOND).await;
            }),
        )
        .route(
            "/deadline",
            get(move || async move {
                let left = Deadline::current(&clock).map(|deadline| deadline.remaining(&clock));
                format!("{left:?}")
            }),
        );
    let policy = Policy::with_config(config, Env::new(executor.clock()).seed(7)).expect("the settings make sense");
    InboundLayer::new(policy).layer(router)
}

fn ask(app: &mut InboundService<Router>, path: &str, headers: &[(&str, &str)]) -> InboundFuture {
    let request = headers
        .iter()
        .fold(Request::builder().uri(path), |request, (name, value)| {
            request.header(*name, *value)
        });
    app.call(request.body(Body::empty()).expect("the test's request is well-formed"))
}

/// The status, and the value of one header.
fn told(response: &Response, header: &str) -> (u16, Option<String>) {
    let value = response.headers().get(header);
    let text = value.map(|value| value.to_str().expect("it is text").to_owned());
    (response.status().as_u16(), text)
}

fn get_it(executor: &Executor, app: &mut InboundService<Router>, path: &str, headers: &[(&str, &str)]) -> Response {
    match executor.block_on(ask(app, path, headers)) {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[test]
fn a_request_beyond_the_rate_gets_the_time_to_try_again() {
    let executor = Executor::new();
    let mut app = app(&executor, PolicyConfig::NONE.rate_limit(RateLimiterConfig::new(0.4, 1)));
    assert_eq!(get_it(&executor, &mut app, "/well", &[]).status(), StatusCode::OK);
    let refused = get_it(&executor, &mut app, "/well", &[]);
    assert_eq!(
        told(&refused, "retry-after"),
        (429, Some("3".to_owned())),
        "2.5 s, rounded up"
    );
    let grpc = get_it(
        &executor,
        &mut app,
        "/well",
        &[("content-type", "application/grpc+proto")],
    );
    assert_eq!(told(&grpc, "grpc-status"), (200, Some("8".to_owned())));
    assert_eq!(told(&grpc, "grpc-retry-pushback-ms").1.as_deref(), Some("2500"));
}

#[test]
fn a_request_without_a_permit_and_one_at_an_open_circuit_are_unavailable() {
    let executor = Executor::new();
    let breaker = CircuitBreakerConfig::new().consecutive_failures(1).open_for(9 * SECOND);
    let config = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(1))
        .circuit_breaker(breaker);
    let mut app = app(&executor, config);
    let slow = executor.spawn(ask(&mut app, "/slow", &[]));
    executor.run_for(SECOND);
    let full = get_it(&executor, &mut app, "/well", &[]);
    let soon = Some("1".to_owned());
    assert_eq!(told(&full, "retry-after"), (503, soon), "nobody knows when");
    executor.run_for(10 * SECOND);
    drop(slow);
    assert_eq!(
        get_it(&executor, &mut app, "/broken", &[]).status().as_u16(),
        500,
        "as it is"
    );
    let open = get_it(&executor, &mut app, "/well", &[]);
    assert_eq!(told(&open, "retry-after"), (503, Some("9".to_owned())));
    let grpc = get_it(&executor, &mut app, "/well", &[("content-type", "application/grpc")]);
    assert_eq!(told(&grpc, "grpc-status"), (200, Some("14".to_owned())));
}

#[test]
fn a_request_ends_at_its_callers_deadline_or_at_the_time_limit() {
    for (headers, seconds) in [
        (&[][..], 5),
        (&[("x-request-timeout-ms", "2000")], 2),
        (&[("grpc-timeout", "3S")], 3),
    ] {
        let executor = Executor::new();
        let mut app = app(&executor, PolicyConfig::NONE.total_timeout(5 * SECOND));
        let late = get_it(&executor, &mut app, "/slow", headers);
        assert_eq!(told(&late, "retry-after"), (504, Some("1".to_owned())), "{headers:?}");
        assert_eq!(executor.time().now(), Tick::ZERO + seconds * SECOND, "{headers:?}");
    }
}

#[test]
fn what_runs_sees_the_deadline_of_the_header() {
    let executor = Executor::new();
    let mut app = app(&executor, PolicyConfig::NONE);
    for (headers, expected) in [(&[][..], "None"), (&[("x-request-timeout-ms", "1500")], "Some(1.5s)")] {
        let response = get_it(&executor, &mut app, "/deadline", headers);
        let body = executor.block_on(axum::body::to_bytes(response.into_body(), 100));
        assert_eq!(body.expect("it is short"), expected);
    }
}

#[test]
fn requests_with_short_deadlines_cause_no_refusal_of_others() {
    let breaker = CircuitBreakerConfig::new().consecutive_failures(5);
    let config = PolicyConfig::NONE.circuit_breaker(breaker);
    for config in [
        config,
        config.total_timeout(60 * SECOND),
        config.attempt_timeout(60 * SECOND),
    ] {
        for headers in [[("x-request-timeout-ms", "5")], [("grpc-timeout", "5m")]] {
            let executor = Executor::new();
            let mut app = app(&executor, config);
            for _ in 0..20 {
                let late = get_it(&executor, &mut app, "/slow", &headers);
                assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
            }
            assert_eq!(
                get_it(&executor, &mut app, "/well", &[]).status(),
                StatusCode::OK,
                "{headers:?}"
            );
        }
    }
}

#[test]
fn requests_that_had_their_share_of_the_time_count() {
    let breaker = CircuitBreakerConfig::new().consecutive_failures(2);
    let executor = Executor::new();
    let mut app = app(
        &executor,
        PolicyConfig::NONE.circuit_breaker(breaker).total_timeout(2 * SECOND),
    );
    for status in [504, 504, 503] {
        let answer = get_it(&executor, &mut app, "/slow", &[("x-request-timeout-ms", "1000")]);
        assert_eq!(answer.status().as_u16(), status);
    }
}

#[test]
fn a_deadline_below_the_floor_is_refused_before_anything_is_done() {
    let ms = Duration::from_millis(1);
    for (floor, header, answered) in [
        (None, ("x-request-timeout-ms", "0"), false),
        (None, ("x-request-timeout-ms", "1"), true),
        (None, ("grpc-timeout", "999u"), false),
        (None, ("grpc-timeout", "1m"), true),
        (Some(50 * ms), ("x-request-timeout-ms", "49"), false),
        (Some(50 * ms), ("x-request-timeout-ms", "50"), true),
        (Some(Duration::ZERO), ("grpc-timeout", "1n"), true),
    ] {
        let executor = Executor::new();
        let limiter = RateLimiterConfig::new(1.0, 1);
        let policy = Policy::with_config(
            PolicyConfig::NONE.rate_limit(limiter),
            Env::new(executor.clock()).seed(7),
        );
        let mut layer = InboundLayer::new(policy.expect("the settings make sense"));
        if let Some(floor) = floor {
            layer = layer.deadline_floor(floor);
        }
        let mut app = layer.layer(Router::new().route("/well", get(|| async { "well" })));
        let status = if answered { 200 } else { 504 };
        let answer = get_it(&executor, &mut app, "/well", &[header]);
        assert_eq!(answer.status().as_u16(), status, "{header:?} over {floor:?}");
        let status = if answered { 429 } else { 200 };
        let next = get_it(&executor, &mut app, "/well", &[]);
        assert_eq!(next.status().as_u16(), status, "{header:?} over {floor:?}: the token");
    }
    let executor = Executor::new();
    let mut app = app(&executor, PolicyConfig::NONE);
    let headers = [("content-type", "application/grpc"), ("grpc-timeout", "1u")];
    let refused = get_it(&executor, &mut app, "/well", &headers);
    assert_eq!(told(&refused, "grpc-status"), (200, Some("4".to_owned())));
}

#[test]
fn a_request_gets_no_more_time_than_the_ceiling() {
    let minute = 60 * SECOND;
    for (ceiling, header, seen) in [
        (None, ("grpc-timeout", "99999999H"), "Some(3600s)"),
        (None, ("x-request-timeout-ms", "1500"), "Some(1.5s)"),
        (Some(minute), ("x-request-timeout-ms", "60001"), "Some(60s)"),
        (Some(minute), ("x-request-timeout-ms", "60000"), "Some(60s)"),
        (Some(minute), ("x-request-timeout-ms", "59999"), "Some(59.999s)"),
    ] {
        let executor = Executor::new();
        let mut app = app(&executor, PolicyConfig::NONE);
        if let Some(ceiling) = ceiling {
            app.layer = app.layer.deadline_ceiling(ceiling);
        }
        let response = get_it(&executor, &mut app, "/deadline", &[header]);
        let body = executor.block_on(axum::body::to_bytes(response.into_body(), 100));
        assert_eq!(body.expect("it is short"), seen, "{header:?} under {ceiling:?}");
    }
}

#[test]
fn strangers_with_short_deadlines_do_not_open_the_circuit_of_a_dependency() {
    let breaker = CircuitBreakerConfig::new().consecutive_failures(2);
    let config = PolicyConfig::NONE.circuit_breaker(breaker);
    for outbound in [config, config.attempt_timeout(SECOND), config.total_timeout(SECOND)] {
        let executor = Executor::new();
        let clock = executor.clock();
        let outbound = Policy::with_config(outbound, Env::new(clock.clone()).seed(7)).expect("the settings make sense");
        let (dependency, sleeper) = (outbound.clone(), clock.clone());
        let order = move || async move {
            let answer = async || {
                sleeper.sleep(Duration::from_millis(100)).await;
                Ok::<_, std::io::Error>("paid")
            };
            dependency.call(answer).await.map_err(IntoResponse::into_response)
        };
        let inbound = Policy::with_config(PolicyConfig::NONE, clock).expect("the settings make sense");
        let mut app = InboundLayer::new(inbound).layer(Router::new().route("/order", get(order)));
        for left in ["1", "5", "99"] {
            for _ in 0..10 {
                let late = get_it(&executor, &mut app, "/order", &[("x-request-timeout-ms", left)]);
                assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
            }
        }
        assert_eq!(get_it(&executor, &mut app, "/order", &[]).status(), StatusCode::OK);
        let counts = outbound.circuit_breaker().expect("it has one").metrics();
        assert_eq!(
            (counts.failure_count, counts.state_transitions),
            (0, 0),
            "{:?}",
            outbound.config()
        );
    }
}

#[test]
fn a_header_that_says_no_time_is_refused_with_its_rule() {
    let executor = Executor::new();
    let mut app = app(&executor, PolicyConfig::NONE);
    let refused = get_it(&executor, &mut app, "/well", &[("x-request-timeout-ms", "soon")]);
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let headers = [("content-type", "application/grpc"), ("grpc-timeout", "1")];
    let refused = get_it(&executor, &mut app, "/well", &headers);
    assert_eq!(told(&refused, "grpc-status"), (200, Some("3".to_owned())));
}

#[test]
fn the_error_of_a_call_to_a_dependency_is_an_answer_too() {
    let failed: PolicyError<&str> = PolicyError::Failed {
        policy: None,
        error: "secret",
        attempts: 1,
        gave_up: None,
    };
    assert_eq!(failed.grpc_code(), 14);
    assert_eq!(told(&failed.into_response(), "retry-after"), (502, None));
    let refused: PolicyError<&str> = PolicyError::Rejected {
        policy: None,
        opening: None,
        layer: crate::error::Layer::CircuitBreaker,
        retry_after: Some(SECOND),
        attempts: 0,
        last_error: None,
    };
    assert_eq!(
        told(&refused.into_response(), "retry-after"),
        (503, Some("1".to_owned()))
    );
}

/// A body whose parts are sent by the test, and its sender.
fn stream() -> (
    Body,
    tokio::sync::mpsc::UnboundedSender<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>,
) {
    struct Parts(tokio::sync::mpsc::UnboundedReceiver<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>);
    impl http_body::Body for Parts {
        type Data = bytes::Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
            self.0.poll_recv(cx)
        }
    }
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (Body::new(Parts(receiver)), sender)
}

#[test]
fn permits_end_with_the_body_and_a_body_that_fails_is_a_failure() {
    use http_body::Frame;
    let trailers = |status: &'static str| {
        let mut trailers = axum::http::HeaderMap::new();
        trailers.insert("grpc-status", status.parse().expect("it is a number"));
        Frame::trailers(trailers)
    };
    let broken = || Err(std::io::Error::other("the line is cut"));
    // What ends the body, and whether the circuit counts a failure.
    for (end, failed) in [
        (None, false),
        (Some(Ok(trailers("0"))), false),
        (Some(Ok(trailers("14"))), true),
        (Some(broken()), true),
    ] {
        let executor = Executor::new();
        let config = PolicyConfig::NONE
            .bulkhead(BulkheadConfig::new(1))
            .total_timeout(SECOND)
            .circuit_breaker(CircuitBreakerConfig::new().consecutive_failures(9));
        let policy = Policy::with_config(config, Env::new(executor.clock()).seed(7)).expect("the settings make sense");
        let (bulkhead, breaker) = (
            policy.bulkhead().expect("it has one"),
            policy.circuit_breaker().expect("it has one"),
        );
        let (body, sender) = stream();
        let body = std::sync::Mutex::new(Some(body));
        let body = std::sync::Arc::new(body);
        let events = get(move || async move { body.lock().expect("nobody panics").take().expect("asked once") });
        let mut app = InboundLayer::new(policy).layer(Router::new().route("/events", events));
        let response = get_it(&executor, &mut app, "/events", &[]);
        // The time limit is for the head.
        executor.run_for(10 * SECOND);
        assert_eq!(bulkhead.in_flight(), 1);
        assert_eq!(get_it(&executor, &mut app, "/events", &[]).status().as_u16(), 503);
        sender.send(Ok(Frame::data("event".into()))).expect("it is read");
        if let Some(end) = end {
            sender.send(end).expect("it is read");
        }
        drop(sender);
        let _ended = executor.block_on(axum::body::to_bytes(response.into_body(), 100));
        assert_eq!(bulkhead.in_flight(), 0);
        assert_eq!(breaker.metrics().failure_count, u64::from(failed));
    }
}

#[test]
fn limits_of_a_file_refuse_with_the_name_of_the_tightest() {
    use axum::extract::ConnectInfo;
    use axum::http::HeaderValue;

    let executor = Executor::new();
    let proxies = crate::patterns::rate_limiter::Networks::parse(["10.0.0.0/8"]).expect("it is a network");
    let limit = |name: &str, config: LimitConfig| {
        RequestLimit::with_config(config, Env::new(executor.clock()).name(name)).expect("the settings make sense")
    };
    let clients = limit("clients", LimitConfig::new(1.0, 3, LimitKey::Client).proxies(proxies));
    let users = LimitKey::header("x-user").expect("it is a name");
    let users = limit("users", LimitConfig::new(0.1, 2, users));
    let layer = LimitLayer::new([clients.clone(), users]);
    let mut app = layer.layer(Router::new().route("/", get(|| async { "hello" })));
    let mut call = |client: Option<&str>, user: &'static str, grpc: bool| {
        let mut request = Request::builder()
            .uri("/")
            .body(Body::empty())
            .expect("it is well-formed");
        request.headers_mut().insert("x-user", HeaderValue::from_static(user));
        if grpc {
            let kind = HeaderValue::from_static("application/grpc");
            request.headers_mut().insert("content-type", kind);
        }
        if let Some(client) = client {
            let client = HeaderValue::from_str(client).expect("it is text");
            request.headers_mut().insert("x-forwarded-for", client);
            let proxy: std::net::SocketAddr = "10.0.0.1:80".parse().expect("it is an address");
            request.extensions_mut().insert(ConnectInfo(proxy));
        }
        let Ok(response) = executor.block_on(app.call(request));
        response
    };
    for left in ["2", "1"] {
        let passed = call(Some("192.0.2.1"), "ann", false);
        let fields: Vec<&str> = passed
            .headers()
            .get_all("ratelimit")
            .iter()
            .flat_map(HeaderValue::to_str)
            .collect();
        assert_eq!(passed.status().as_u16(), 200);
        assert!(
            fields
                .iter()
                .any(|field| field.starts_with(&format!("\"clients\";r={left};"))),
            "{fields:?}"
        );
    }
    let refused = call(Some("192.0.2.1"), "ann", false);
    assert_eq!(told(&refused, "retry-after"), (429, Some("10".to_owned())));
    let (_, field) = told(&refused, "ratelimit");
    assert!(field.is_some_and(|field| field.starts_with("\"users\";r=0;")));
    let why = refused.extensions().get::<LimitRefused>().expect("for whoever logs it");
    assert_eq!(why.limit, "users");
    assert_eq!(
        call(Some("192.0.2.1"), "bob", false).status().as_u16(),
        200,
        "the client has one left"
    );
    let (_, field) = told(&call(Some("192.0.2.1"), "bob", false), "ratelimit");
    assert!(field.is_some_and(|field| field.starts_with("\"clients\";r=0;")));
    let grpc = call(Some("192.0.2.1"), "carol", true);
    assert_eq!(told(&grpc, "grpc-status"), (200, Some("8".to_owned())));
    assert_eq!(
        call(Some("192.0.2.2"), "carol", false).status().as_u16(),
        200,
        "another client of the proxy"
    );
    assert_eq!(told(&call(None, "carol", false), "retry-after"), (500, None));
    assert_eq!(clients.keyless(), 1);
}
