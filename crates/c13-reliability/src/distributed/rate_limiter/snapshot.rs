//! The snapshot of a shared rate limit, for this process's calls.

use crate::distributed::lock::BackendError;
use crate::snapshot::{Metric, Reading, Reported, Row, readings};
use crate::sync::counted;
use std::sync::Arc;

counted! {
    /// How one process's calls were decided. Each call that asked, and was not dropped meanwhile, is in one of the counts.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub struct SharedLimitSnapshot by DecisionCount {
        /// Calls allowed from tokens that the backend gave in advance.
        pub leased: u64 = Leased,
        /// Calls that the backend allowed, each for itself.
        pub exact: u64 = Exact,
        /// Calls allowed from this process's share, while the backend did not answer.
        pub local: u64 = Local,
        /// Calls allowed because the backend did not answer, as the setting says.
        pub unchecked: u64 = Unchecked,
        /// Calls refused because the limit was used up.
        pub exceeded: u64 = Exceeded,
        /// Calls refused because they asked for more than the limit ever has at once.
        pub never_possible: u64 = NeverPossible,
        /// Calls refused because the backend did not answer, as the setting says.
        pub unavailable: u64 = Unavailable,
        /// Calls that would have had to ask the backend, and were not allowed to wait for it.
        pub not_asked: u64 = NotAsked,
        /// Calls refused because their key was longer than keys may be.
        pub key_too_long: u64 = KeyTooLong,
        /// How many keys a keyed limit keeps in memory.
        pub keys: u64,
        /// How many processes share the limit, as last reported by the backend.
        pub active_processes: u32,
        /// Requests that the backend failed, or did not answer in time. While it is left alone after a failure it is not asked.
        pub backend_failures: u64,
        /// Whether the most recent request failed: then calls are decided as the setting for an outage says.
        pub backend_failing: bool,
        /// What the backend failed with last, also where it has answered since.
        pub last_failure: Option<Arc<BackendError>>,
    }
}

impl Reported for SharedLimitSnapshot {
    const METRICS: &'static [Row<Self>] = &[
        Row::counts(
            Metric::counter(
                "reliability.shared_rate_limit.requests",
                "{request}",
                "Requests, by result; the first four were allowed, the others refused",
            )
            .by(&["result"]),
            &[
                ("leased", |s| s.leased),
                ("exact", |s| s.exact),
                ("local", |s| s.local),
                ("unchecked", |s| s.unchecked),
                ("exceeded", |s| s.exceeded),
                ("never_possible", |s| s.never_possible),
                ("unavailable", |s| s.unavailable),
                ("not_asked", |s| s.not_asked),
                ("key_too_long", |s| s.key_too_long),
            ],
        ),
        Row::level(
            Metric::gauge(
                "reliability.shared_rate_limit.keys",
                "{key}",
                "Keys that a keyed limit keeps in memory",
            ),
            |s| s.keys as f64,
        ),
        Row::level(
            Metric::gauge(
                "reliability.shared_rate_limit.processes",
                "{process}",
                "Processes that share the limit",
            ),
            |s| s.active_processes.into(),
        ),
        Row::count(
            Metric::counter(
                "reliability.shared_rate_limit.backend_failures",
                "{failure}",
                "Requests that the backend of the limit failed or did not answer",
            ),
            |s| s.backend_failures,
        ),
    ];
}

impl SharedLimitSnapshot {
    /// The snapshot as readings of metrics.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        readings(self)
    }
}
