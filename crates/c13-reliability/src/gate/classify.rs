//! What the result of a call means to a gate.

use super::Outcome;

/// Decides the outcome of a call by its result. Every closure from a result to an [`Outcome`] does.
pub trait Classify<R> {
    /// The outcome that `result` means.
    fn classify(self, result: &R) -> Outcome;
}

impl<R, C: FnOnce(&R) -> Outcome> Classify<R> for C {
    #[inline]
    fn classify(self, result: &R) -> Outcome {
        self(result)
    }
}

/// The default classifier: `Ok` is a success, `Err` a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByResult;

impl<T, E> Classify<Result<T, E>> for ByResult {
    #[inline]
    fn classify(self, result: &Result<T, E>) -> Outcome {
        Outcome::of(result)
    }
}
