//! What a call reports while it is under way, off the fast path: counts, and an event for each refusal, timeout, retry and
//! hedge.

use super::limit::AttemptLimit;
use crate::error::Rejected;
use crate::gate::Cause;
use crate::patterns::circuit_breaker::Opening;
use crate::policy::parts::Parts;
use std::time::Duration;

/// The target of events; part of the interface.
#[cfg(feature = "tracing")]
const TARGET: &str = "c13::call";

/// A layer refused a call after so many attempts.
pub(super) fn refused(parts: &Parts, rejected: &Rejected, attempts: u32, opening: Option<&Opening>) {
    let surge = parts.telemetry().refused(rejected.layer, &parts.clock);
    #[cfg(feature = "tracing")]
    {
        let (policy, layer) = (parts.name.as_deref(), rejected.layer.name());
        tracing::debug!(
            target: TARGET,
            policy,
            layer,
            attempts,
            delay = rejected.retry_after.map(shown),
            reason = opening.map(tracing::field::display),
            "a layer refused the call"
        );
        if let Some(refused) = surge {
            tracing::warn!(
                target: TARGET,
                policy,
                layer,
                refused,
                reason = opening.map(tracing::field::display),
                "a layer refuses many calls"
            );
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (attempts, opening, surge);
}

/// A time limit came first; `attempts` ran until then.
pub(super) fn timed_out(parts: &Parts, limit: &AttemptLimit, attempts: u32) {
    let by_deadline = limit.is_callers(parts);
    parts.telemetry().expired(by_deadline);
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        policy = parts.name.as_deref(),
        layer = limit.layer().name(),
        attempts,
        delay = shown(limit.length()),
        reason = if by_deadline { "deadline" } else { "limit" },
        "a time limit passed"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = attempts;
}

/// Another attempt follows after a delay, because the last one failed.
pub(super) fn retries(parts: &Parts, attempts: u32, delay: Duration, cause: Cause) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        policy = parts.name.as_deref(),
        layer = "retry",
        attempts,
        delay = shown(delay),
        reason = %cause,
        "the call is retried"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (parts, attempts, delay, cause);
}

/// Another attempt begins beside one that is late; with it there are so many.
pub(super) fn hedges(parts: &Parts, attempts: u32) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: TARGET,
        policy = parts.name.as_deref(),
        layer = "hedge",
        attempts,
        delay = parts.hedge.as_ref().and_then(|hedge| hedge.snapshot().delay).map(shown),
        reason = "an attempt is late",
        "another attempt begins"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (parts, attempts);
}

#[cfg(feature = "tracing")]
fn shown(time: Duration) -> tracing::field::DisplayValue<crate::time::Rounded> {
    tracing::field::display(crate::time::Rounded(time))
}
