//! A policy's errors as responses over HTTP and gRPC.

use crate::error::Layer;
use crate::policy::PolicyError;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

impl<E> PolicyError<E> {
    /// The HTTP status of a request that this call was a part of: 503 if a layer refused it, 504 if a time limit
    /// came first, 502 if the call itself failed.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Rejected { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// The gRPC status code for the same: 8 (resource exhausted) if the rate limit refused it, 14 (unavailable) if
    /// another layer did or the call itself failed, 4 (deadline exceeded) if a time limit came first.
    #[must_use]
    pub fn grpc_code(&self) -> i32 {
        match self {
            Self::Rejected { .. } if self.is_rate_limited() => 8,
            Self::TimedOut { .. } => 4,
            Self::Rejected { .. } | Self::Failed { .. } => 14,
        }
    }
}

/// Makes [`status`](PolicyError::status) the answer, with a `Retry-After` in 503 and 504: what the layer knows, rounded up
/// to seconds, or 1 s. The operation's own error is not shown to the client.
impl<E> IntoResponse for PolicyError<E> {
    fn into_response(self) -> Response {
        answer(self.status(), self.retry_after())
    }
}

/// The answer to an inbound request that was refused or took too long: 429 if the rate limit refused it.
pub(super) fn inbound<E>(error: &PolicyError<E>, is_grpc: bool) -> Response {
    if is_grpc {
        return grpc_answer(
            error.grpc_code(),
            "refused or cut short by this service's policy",
            error.retry_after(),
        );
    }
    let status = match error.layer() {
        Some(Layer::RateLimit) => StatusCode::TOO_MANY_REQUESTS,
        _ => error.status(),
    };
    answer(status, error.retry_after())
}

/// The answer to a request that a limit by key refused.
pub(super) fn limited(status: StatusCode, code: i32, retry_after: Option<Duration>, is_grpc: bool) -> Response {
    if is_grpc {
        return grpc_answer(code, "refused by a limit of this service", retry_after);
    }
    answer(status, retry_after)
}

/// The answer to a header that breaks its rule.
pub(super) fn bad_request(rule: String, is_grpc: bool) -> Response {
    if is_grpc {
        // 3 is an invalid argument.
        return grpc_answer(3, &rule, None);
    }
    (StatusCode::BAD_REQUEST, rule).into_response()
}

/// Whether the request is one of gRPC's, which looks for its status elsewhere.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(GRPC.as_bytes()))
}

/// The least value of `Retry-After`, used where no layer knows when a permit or an answer will be available again.
const SOON: Duration = Duration::from_secs(1);

fn answer(status: StatusCode, retry_after: Option<Duration>) -> Response {
    let mut response = (status, status.canonical_reason().unwrap_or_default()).into_response();
    // A call that was made and failed says nothing about the next, nor does a request that is wrong in itself.
    let passes = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    let unknown = passes.contains(&status).then_some(SOON);
    if let Some(wait) = retry_after.or(unknown) {
        // Rounded up: a second too late is answered, a second too early is refused again.
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A response of headers alone, as gRPC has it.
fn grpc_answer(code: i32, message: &str, retry_after: Option<Duration>) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(code));
    if let Ok(message) = HeaderValue::from_str(message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if let Some(wait) = retry_after {
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        headers.insert(GRPC_PUSHBACK, HeaderValue::from(millis));
    }
    response
}
