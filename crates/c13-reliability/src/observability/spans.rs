//! A tracing span around a call.

use std::future::Future;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Runs `call` in a span of level DEBUG, with the target `c13::call`, the name `call`, and two fields: `name`, as given
/// here, and `outcome`: `success`, `failure` (an error, or a panic) or `abandoned` (dropped before it was done).
///
/// Events of the call, such as attempts and a circuit that opens, are then part of the span. Without a subscriber to that
/// level it costs one load of an atomic. No field holds the error's text, because that may not be meant for logs.
///
/// ```
/// use c13_reliability::observability::spanned;
/// use c13_reliability::patterns::timeout::Timeout;
/// use c13_reliability::time::Executor;
/// use std::time::Duration;
///
/// let timeout = Timeout::new(Duration::from_secs(1));
/// let quote = spanned("quotes", timeout.call(async { Ok::<_, std::io::Error>(42) }));
/// assert_eq!(Executor::new().block_on(quote).ok(), Some(42));
/// ```
///
/// # Errors
///
/// The call's own.
///
/// # Cancel safety
///
/// That of `call`; the span ends with it.
pub async fn spanned<T, E>(name: &str, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let span = tracing::debug_span!(target: "c13::call", "call", name, outcome = Empty);
    let mut end = End {
        span: span.clone(),
        outcome: "abandoned",
    };
    let result = call.instrument(span).await;
    end.outcome = if result.is_ok() { "success" } else { "failure" };
    result
}

/// Records in the span how the call ended, also if its future is dropped.
struct End {
    span: Span,
    outcome: &'static str,
}

impl Drop for End {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() {
            "failure"
        } else {
            self.outcome
        };
        self.span.record("outcome", outcome);
    }
}
