//! What responses and errors of the reqwest client mean.

use super::{Meaning, Retryable, Verdict};
use crate::gate::Outcome;
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
    #[must_use]
    pub fn of_reqwest(result: &Result<Response, Error>) -> Self {
        Meaning::of_reqwest(result).verdict
    }
}

impl Outcome {
    /// The classifier for what a [`reqwest`] request gives: a response by its status, see
    /// [`of_http_status`](Outcome::of_http_status), and an error as it says itself.
    #[must_use]
    pub fn of_reqwest(result: &Result<Response, Error>) -> Self {
        Meaning::of_reqwest(result).outcome
    }
}

impl Meaning {
    /// What a [`reqwest`] request gives means: a response by its status and its `Retry-After`, see
    /// [`of_http_response`](Meaning::of_http_response), and an error as it says itself.
    #[must_use]
    pub fn of_reqwest(result: &Result<Response, Error>) -> Self {
        match result {
            Ok(response) => Self::of_http_response(response.status().as_u16(), response.headers()),
            Err(error) => error.meaning(),
        }
    }
}

impl Retryable for Error {
    /// Worth another attempt: a connection that could not be made or broke, a time limit, and a status that is. Not: a
    /// request that cannot be built, too many redirects, a body that makes no sense.
    fn meaning(&self) -> Meaning {
        if let Some(status) = self.status() {
            return Meaning::of_http_status(status.as_u16(), None);
        }
        if self.is_builder() {
            Meaning::NOT_SENT
        } else if self.is_redirect() || self.is_upgrade() || (self.is_decode() && !is_cut_off(self)) {
            Meaning::DEFECT
        } else if self.is_connect() {
            Meaning::REFUSED
        } else {
            Meaning::FAILURE
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
