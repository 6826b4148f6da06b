//! What the examples share: a server for the time of an example, and how results of HTTP and gRPC are told apart.

use axum::Router;
use c13_reliability::gate::Outcome;
use c13_reliability::patterns::retry::Verdict;
use c13_reliability::patterns::timeout::{HTTP_TIMEOUT, http_timeout};
use c13_reliability::time::{Clock, Deadline};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Serves `app` on a port of its own until the runtime ends, and says where.
///
/// # Errors
///
/// If no port can be had.
pub async fn serve(app: Router) -> io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// How long a response asks to be left alone.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let header = response.headers().get("retry-after")?;
    Verdict::retry_after(header.to_str().ok()?, None)
}

/// What a response means for the breaker: a status of 500 and above is a failure, and so is no response at all.
#[must_use]
pub fn http_outcome(result: &reqwest::Result<reqwest::Response>) -> Outcome {
    match result {
        Ok(response) if response.status().is_server_error() => Outcome::Failure {
            open_for: retry_after(response),
        },
        result => Outcome::of(result),
    }
}

/// Whether a request that may be made twice is worth another attempt.
#[must_use]
pub fn http_verdict(result: &reqwest::Result<reqwest::Response>) -> Verdict {
    match result {
        Ok(response) => Verdict::of_http_status(response.status().as_u16(), retry_after(response)),
        Err(_) => Verdict::Retry,
    }
}

/// What a result of gRPC means for the breaker: the server's faults are failures, the caller's say nothing of it.
pub fn grpc_outcome<T>(result: &Result<T, tonic::Status>) -> Outcome {
    use tonic::Code::{DataLoss, DeadlineExceeded, Internal, ResourceExhausted, Unavailable, Unknown};
    match result {
        Ok(_) => Outcome::Success,
        Err(status) => match status.code() {
            DataLoss | DeadlineExceeded | Internal | ResourceExhausted | Unavailable | Unknown => Outcome::FAILURE,
            _ => Outcome::Ignored,
        },
    }
}

/// Whether a call of gRPC is worth another attempt, and when: as its code and the server's push-back say.
pub fn grpc_verdict<T>(result: &Result<T, tonic::Status>) -> Verdict {
    let Err(status) = result else { return Verdict::Final };
    let pushback = status.metadata().get("grpc-retry-pushback-ms");
    let hint = pushback.and_then(|value| value.to_str().ok()).map(Verdict::pushback);
    Verdict::of_grpc_code(i32::from(status.code()), hint)
}

/// The request with the time that is left written into its header, so that the next service knows it.
#[must_use]
pub fn with_deadline(mut request: reqwest::Request) -> reqwest::Request {
    let clock = Clock::tokio();
    if let Some(deadline) = Deadline::current(&clock) {
        let left = http_timeout(deadline.remaining(&clock));
        if let Ok(value) = left.parse() {
            request.headers_mut().insert(HTTP_TIMEOUT, value);
        }
    }
    request
}
