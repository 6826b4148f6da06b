//! What a semaphore counts of the calls that ask it for a permit.

use crate::sync::HistogramSnapshot;
use crate::sync::counted;

counted! {
    /// What a bulkhead or an adaptive limit reports of its calls. Each is counted once, in `admitted`, `rejected`,
    /// `wait_elapsed` or `abandoned`.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct ConcurrentCalls by PermitCount {
        /// Calls that run.
        pub in_flight: u32,
        /// Calls that are queued.
        pub queued: usize,
        /// Calls that acquired a permit, at once or after a wait in the queue.
        pub admitted: u64 = Admitted,
        /// Calls refused because all permits were taken and the queue was full.
        pub rejected: u64 = Rejected,
        /// Calls whose wait in the queue took longer than allowed.
        pub wait_elapsed: u64 = WaitElapsed,
        /// Calls that were dropped while they were queued.
        pub abandoned: u64 = Abandoned,
        /// How long queued calls waited that then acquired a permit, in nanoseconds.
        pub waited: HistogramSnapshot,
    }
}
