//! The event that a listener receives for each retry.

use std::time::Duration;

/// A retry that was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryEvent {
    /// Which retry of its call it is, counted from 0.
    pub retry: u32,
    /// How long it waits.
    pub delay: Duration,
}
