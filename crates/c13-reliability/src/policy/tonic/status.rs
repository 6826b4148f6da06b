//! Where a call's gRPC status is, and the status of a call that a policy ended.

use crate::error::Layer;
use crate::gate::Outcome;
use crate::policy::PolicyError;
use http::{HeaderMap, HeaderName, StatusCode};
use std::sync::Arc;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The outcome that headers or trailers name, if they name one.
pub(super) fn outcome_of(headers: &HeaderMap) -> Option<Outcome> {
    let status = headers.get(STATUS)?.to_str().ok();
    let code = status.and_then(|status| status.trim().parse().ok());
    // What is no number is no code of gRPC's either, as -1.
    Some(Outcome::of_grpc_code(code.unwrap_or(-1)))
}

/// The outcome of a call whose body ended with these trailers. Without a status it was cut off.
pub(super) fn outcome_of_end(trailers: Option<&HeaderMap>) -> Outcome {
    trailers.and_then(outcome_of).unwrap_or(Outcome::FAILURE)
}

/// The outcome of a response as far as its head says it: a success if the status is still to come.
pub(super) fn outcome_of_head(status: StatusCode, headers: &HeaderMap) -> Outcome {
    outcome_of(headers).unwrap_or(Outcome::of_http_status(status.as_u16()))
}

/// The status of a call that gave no response. That of a refused call says when to try again, or, for an open circuit, not to.
/// Its source is the policy's error.
pub(super) fn of_error(error: PolicyError<Status>) -> Status {
    if let PolicyError::Failed { error, .. } = error {
        return error;
    }
    let code = match error.layer() {
        Some(Layer::RateLimit) => Code::ResourceExhausted,
        _ if error.is_timeout() => Code::DeadlineExceeded,
        _ => Code::Unavailable,
    };
    let mut status = Status::new(code, error.to_string());
    let wait = error.retry_after().map(|wait| wait.as_nanos().div_ceil(1_000_000));
    let pushback = match wait {
        _ if error.is_circuit_open() => Some(MetadataValue::from_static("-1")),
        Some(millis) => Some(MetadataValue::from(u64::try_from(millis).unwrap_or(u64::MAX))),
        None => None,
    };
    if let Some(pushback) = pushback {
        status.metadata_mut().insert(PUSHBACK, pushback);
    }
    status.set_source(Arc::new(error));
    status
}
