//! What the error of an HTTP client means, of whatever type it is.

use crate::error::Rejected;
use crate::verdict::{Meaning, Retryable as _};
use std::error::Error;
use std::io;

/// Says what an error of an HTTP client means: every closure from the error to a [`Meaning`] does.
///
/// A request that may not be repeated is made again if its error means that it [had no effect](Meaning::had_no_effect).
pub trait ErrorMeaning<E> {
    /// What `error` means.
    fn meaning(&self, error: &E) -> Meaning;
}

/// The default: what the error or one of its causes means, if it is one of reqwest (feature `reqwest`) or of hyper-util's client
/// (feature `hyper`), a [`Rejected`] of a gate in between, or a connection that was refused. Any other is [a failure](Meaning::FAILURE) after which nobody knows
/// what the request has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByCauses;

impl<E: Error + 'static> ErrorMeaning<E> for ByCauses {
    fn meaning(&self, error: &E) -> Meaning {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(meaning) = known(error) {
                return meaning;
            }
            // An error of `std::io` passes over the one inside, as if it were its own text.
            let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause = match inside {
                Some(inside) => Some(inside),
                None => error.source(),
            };
        }
        Meaning::FAILURE
    }
}

impl<E, F: Fn(&E) -> Meaning> ErrorMeaning<E> for F {
    fn meaning(&self, error: &E) -> Meaning {
        self(error)
    }
}

/// What one error means without its causes, if it is known.
fn known(error: &(dyn Error + 'static)) -> Option<Meaning> {
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return Some(error.meaning());
    }
    #[cfg(feature = "hyper")]
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        return Some(error.meaning());
    }
    if let Some(rejected) = error.downcast_ref::<Rejected>() {
        return Some(rejected.meaning());
    }
    let io = error.downcast_ref::<io::Error>()?;
    // Other errors may come from a connection that was in use.
    (io.kind() == io::ErrorKind::ConnectionRefused).then_some(Meaning::REFUSED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, PermissionDenied};

    #[test]
    fn only_a_connection_that_was_refused_had_no_effect_whoever_reports_it() {
        for (kind, meaning) in [
            (ConnectionRefused, Meaning::REFUSED),
            (ConnectionReset, Meaning::FAILURE),
            (HostUnreachable, Meaning::FAILURE),
            (PermissionDenied, Meaning::FAILURE),
        ] {
            let error = io::Error::from(kind);
            assert_eq!(ByCauses.meaning(&error), meaning, "{kind:?}");
            assert_eq!(ByCauses.meaning(&io::Error::other(error)), meaning, "{kind:?}");
        }
    }
}
