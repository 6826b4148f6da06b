//! What a timeout reports.

/// What a timeout did so far. Calls that end in time are not counted: their path stays free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimeoutSnapshot {
    /// Calls that took longer than the limit.
    pub elapsed: u64,
    /// Calls that the caller's deadline cut short, or that it let not begin.
    pub deadline_exceeded: u64,
}
