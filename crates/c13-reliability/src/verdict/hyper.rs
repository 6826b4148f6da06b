//! What errors of hyper-util's client mean.

use super::{Meaning, Retryable};
use hyper_util::client::legacy::Error;

impl Retryable for Error {
    /// A connection that could not be made had no effect; after any other error nobody knows.
    fn meaning(&self) -> Meaning {
        if self.is_connect() {
            Meaning::REFUSED
        } else {
            Meaning::FAILURE
        }
    }
}
