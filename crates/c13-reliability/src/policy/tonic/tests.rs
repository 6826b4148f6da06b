//! Calls over a channel that does what its script says, in virtual time.

use super::GrpcLayer;
use crate::patterns::bulkhead::BulkheadConfig;
use crate::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState};
use crate::patterns::rate_limiter::RateLimiterConfig;
use crate::policy::{PermitBody, Policy, PolicyConfig, PolicyError};
use crate::time::{Deadline, Executor};
use crate::verdict::{Retryable as _, Verdict};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use std::collections::VecDeque;
use std::error::Error as _;
use std::future::{poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::{Code, Status};
use tower::{Layer as _, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// A part of a response.
#[derive(Clone, Copy, Debug)]
enum Part {
    Message,
    /// Trailers with this status.
    Status(&'static str),
    BreaksOff,
}

use Part::{BreaksOff, Message, Status as Ends};

struct Scripted(VecDeque<Part>);

impl Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front().map(|part| match part {
            Message => Ok(Frame::data(Bytes::from_static(b"message"))),
            Ends(status) => Ok(Frame::trailers(headers(Some(status)))),
            BreaksOff => Err(io::ErrorKind::ConnectionReset.into()),
        }))
    }
}

fn headers(status: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(status) = status {
        headers.insert("grpc-status", status.parse().expect("it is ASCII"));
    }
    headers
}

/// A channel whose every call is answered by this head and these parts.
fn channel(
    http_status: u16,
    grpc_status: Option<&'static str>,
    parts: &'static [Part],
) -> impl Service<Request<()>, Response = Response<Scripted>, Error = io::Error, Future: Send> + Clone + Send + 'static
{
    service_fn(move |_: Request<()>| {
        let mut response = Response::new(Scripted(parts.iter().copied().collect()));
        *response.status_mut() = http_status.try_into().expect("it is a status");
        *response.headers_mut() = headers(grpc_status);
        ready(Ok::<_, io::Error>(response))
    })
}

fn policy(executor: &Executor) -> Policy {
    let breaker = CircuitBreakerConfig::new()
        .consecutive_failures(2)
        .open_for(10 * SECOND);
    let config = PolicyConfig::NONE
        .bulkhead(BulkheadConfig::new(1))
        .circuit_breaker(breaker);
    Policy::with_config(config, executor.clock()).expect("the settings make sense")
}

/// How many permits are held, and what the breaker counts: successes, failures, ignored and abandoned calls.
fn state(policy: &Policy) -> (u32, [u64; 4]) {
    let counts = policy.circuit_breaker().expect("it has one").metrics();
    let held = policy.bulkhead().expect("it has one").in_flight();
    let counts = [
        counts.success_count,
        counts.failure_count,
        counts.ignored_count,
        counts.abandoned_count,
    ];
    (held, counts)
}

/// Reads a response to its end.
async fn read(mut body: Pin<&mut PermitBody<Scripted>>) {
    while let Some(Ok(_)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
}

#[test]
fn a_call_ends_with_its_trailers_and_they_say_how() {
    const SUCCESS: [u64; 4] = [1, 0, 0, 0];
    const FAILURE: [u64; 4] = [0, 1, 0, 0];
    const IGNORED: [u64; 4] = [0, 0, 1, 0];
    for (http_status, head, parts, counted) in [
        (200, None, &[Message, Ends("0")][..], SUCCESS),
        (200, None, &[Message, Message, Ends("14")], FAILURE),
        (200, None, &[Message, Ends("13")], FAILURE),
        (200, None, &[Message, Ends("5")], SUCCESS),
        (200, None, &[Message, Ends("1")], IGNORED),
        (200, None, &[Message, Ends("nonsense")], FAILURE),
        (200, None, &[Message], FAILURE),
        (200, None, &[Message, BreaksOff], FAILURE),
        (200, Some("14"), &[], FAILURE),
        (200, Some("5"), &[], SUCCESS),
        (200, Some("0"), &[], SUCCESS),
        (503, None, &[Message], FAILURE),
        (404, None, &[Message], SUCCESS),
    ] {
        let executor = Executor::new();
        let policy = policy(&executor);
        let service = GrpcLayer::new(policy.clone()).layer(channel(http_status, head, parts));
        let response = executor.block_on(service.oneshot(Request::new(())));
        let mut body = Box::pin(response.expect("there is a response").into_body());
        if !parts.is_empty() {
            assert_eq!(state(&policy).0, 1, "{parts:?}: the call goes on");
        }
        executor.block_on(read(body.as_mut()));
        assert_eq!(state(&policy), (0, counted), "{http_status} {head:?} {parts:?}");
    }
}

#[test]
fn streams_that_fail_in_their_trailers_open_the_circuit_and_the_refusal_says_so() {
    let executor = Executor::new();
    let policy = policy(&executor);
    let service = GrpcLayer::new(policy.clone()).layer(channel(200, None, &[Message, Ends("14")]));
    for _ in 0..2 {
        let response = executor.block_on(service.clone().oneshot(Request::new(())));
        let mut body = pin!(response.expect("there is a response").into_body());
        executor.block_on(read(body.as_mut()));
    }
    let breaker = policy.circuit_breaker().expect("it has one");
    assert_eq!(breaker.current_state(), CircuitState::Open);
    let refused = executor
        .block_on(service.oneshot(Request::new(())))
        .expect_err("the circuit is open");
    assert_eq!((refused.code(), refused.verdict()), (Code::Unavailable, Verdict::Final));
    let source = refused
        .source()
        .and_then(|source| source.downcast_ref::<PolicyError<Status>>());
    assert!(source.is_some_and(PolicyError::is_circuit_open), "{refused:?}");
}

#[test]
fn a_call_that_is_refused_or_late_has_the_status_for_it() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .total_timeout(SECOND)
        .rate_limit(RateLimiterConfig::new(0.5, 1));
    let policy = Policy::with_config(config, executor.clock()).expect("the settings make sense");
    let clock = executor.clock();
    let hangs = service_fn(move |_: Request<()>| {
        let clock = clock.clone();
        async move {
            clock.sleep(5 * SECOND).await;
            Err::<Response<Scripted>, _>(io::Error::from(io::ErrorKind::ConnectionReset))
        }
    });
    let service = GrpcLayer::new(policy).layer(hangs);
    let late = executor
        .block_on(service.clone().oneshot(Request::new(())))
        .expect_err("it hangs");
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    let refused = executor
        .block_on(service.oneshot(Request::new(())))
        .expect_err("there is no token");
    assert_eq!(
        (refused.code(), refused.verdict()),
        (Code::ResourceExhausted, Verdict::RetryAfter(SECOND))
    );
}

#[test]
fn the_callers_deadline_goes_with_the_call() {
    let executor = Executor::new();
    let echo = service_fn(|request: Request<()>| {
        let mut response = Response::new(Scripted(VecDeque::new()));
        *response.headers_mut() = request.headers().clone();
        ready(Ok::<_, io::Error>(response))
    });
    let service = GrpcLayer::new(policy(&executor)).layer(echo);
    let deadline = Deadline::after(&executor.clock(), 2 * SECOND);
    let response = executor.block_on(deadline.scope(service.oneshot(Request::new(()))));
    let sent = response.expect("there is a response");
    assert_eq!(sent.headers().get("grpc-timeout").expect("it was sent"), "2000000u");
}

#[test]
fn a_stream_that_its_reader_drops_gives_its_permit_back() {
    let executor = Executor::new();
    let policy = policy(&executor);
    let service = GrpcLayer::new(policy.clone()).layer(channel(200, None, &[Message, Message, Ends("0")]));
    let response = executor.block_on(service.oneshot(Request::new(())));
    let mut body = Box::pin(response.expect("there is a response").into_body());
    let first = executor.block_on(poll_fn(|cx| body.as_mut().poll_frame(cx)));
    assert!(first.is_some_and(|frame| frame.is_ok()));
    assert_eq!(state(&policy).0, 1);
    drop(body);
    assert_eq!(state(&policy), (0, [1, 0, 0, 0]));
}
