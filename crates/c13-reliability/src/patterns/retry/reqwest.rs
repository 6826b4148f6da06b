//! Verdicts for responses and errors of the reqwest client.

use crate::verdict::{Retryable, Verdict};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Error, Response};
use std::error::Error as _;

impl Verdict {
    /// The classifier for what a [`reqwest`] request gives: a response by its status and its `Retry-After`, see
    /// [`of_http_status`](Verdict::of_http_status), and an error as it says itself.
    ///
    /// That the request may safely be made twice is for the caller to know.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use c13_reliability::patterns::retry::{RetryExecutor, Verdict, retry_config};
    ///
    /// let retry = RetryExecutor::new(2, retry_config::STRATEGY);
    /// let client = reqwest::Client::new();
    /// let response = retry
    ///     .execute_with(|| client.get("http://prices/today").send(), Verdict::of_reqwest)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_reqwest(result: &Result<Response, Error>) -> Self {
        match result {
            Ok(response) => {
                let headers = response.headers();
                let hint = text(headers, RETRY_AFTER).and_then(|after| Self::retry_after(after, text(headers, DATE)));
                Self::of_http_status(response.status().as_u16(), hint)
            }
            Err(error) => error.verdict(),
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

impl Retryable for Error {
    /// Worth another attempt: a connection that could not be made or broke, a time limit, and a status that is. Not: a
    /// request that cannot be built, too many redirects, a body that makes no sense.
    fn verdict(&self) -> Verdict {
        if let Some(status) = self.status() {
            return Verdict::of_http_status(status.as_u16(), None);
        }
        let makes_no_sense = self.is_decode() && !is_cut_off(self);
        if self.is_builder() || self.is_redirect() || self.is_upgrade() || makes_no_sense {
            Verdict::Final
        } else {
            Verdict::Retry
        }
    }
}

/// Whether a body could not be decoded because the rest of it never came.
fn is_cut_off(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let broken = cause.downcast_ref::<Error>().is_some_and(Error::is_body);
        if broken || cause.is::<std::io::Error>() {
            return true;
        }
        source = cause.source();
    }
    false
}
