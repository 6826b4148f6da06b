//! What a layer does with requests in which it finds no key, and the events about them.

use super::super::error::RateLimitError;
use super::config::WithoutKey;
use super::handle::KeyedRateLimiter;
use super::snapshot::QuotaStatus;
use crate::sync::primitive::{AtomicU64, Ordering};
use crate::time::Clock;
use std::hash::Hash;
use std::time::Duration;

/// The target of events; part of the interface.
#[cfg(feature = "tracing")]
const TARGET: &str = "c13::rate_limiter";

/// At most one event is sent in this time.
const QUIET: Duration = Duration::from_secs(60);

/// The requests of a layer that have no key: what to do with them, and the quota that they share. The limiter counts them.
#[derive(Debug)]
pub(super) struct Keyless {
    pub(super) choice: WithoutKey,
    shared: KeyedRateLimiter<()>,
    events: KeylessEvents,
}

/// The events about requests without a key: at most one a minute.
#[derive(Debug)]
pub(crate) struct KeylessEvents {
    /// When the next event may be sent, in nanoseconds of the clock.
    next: AtomicU64,
}

impl KeylessEvents {
    pub(crate) const fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
        }
    }

    /// Sends an event that the limit `policy` has had so many requests without a key, unless there was one lately.
    #[cold]
    pub(crate) fn send(&self, clock: &Clock, policy: &str, requests: u64, choice: WithoutKey) {
        let now = clock.now();
        let next = (now + QUIET).as_nanos();
        // Relaxed: the word publishes nothing but itself.
        let due = self.next.load(Ordering::Relaxed);
        let exchange = |due| {
            // Relaxed: as above.
            let (set, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            self.next.compare_exchange(due, next, set, failed)
        };
        if now.as_nanos() >= due && exchange(due).is_ok() {
            send_event(policy, requests, choice);
        }
    }
}

#[cfg(feature = "tracing")]
fn send_event(policy: &str, requests: u64, choice: WithoutKey) {
    match choice {
        WithoutKey::Share => {
            tracing::warn!(target: TARGET, policy, requests, "requests without a key share one quota");
        }
        WithoutKey::Refuse => {
            tracing::error!(
                target: TARGET,
                policy,
                requests,
                "requests without a key are refused; is the server set up to give clients' addresses?"
            );
        }
        WithoutKey::Allow => {
            tracing::debug!(target: TARGET, policy, requests, "requests without a key pass without a limit");
        }
    }
}

#[cfg(not(feature = "tracing"))]
fn send_event(policy: &str, requests: u64, choice: WithoutKey) {
    let _ = (policy, requests, choice);
}

impl Keyless {
    /// For a layer over `limiter`, whose settings the shared quota follows.
    pub(super) fn new<K: Hash + Eq>(limiter: &KeyedRateLimiter<K>, choice: WithoutKey) -> Self {
        let config = limiter.config();
        let shared = KeyedRateLimiter::with_config(config, limiter.clock().clone());
        Self {
            choice,
            shared: shared.expect("another limiter has these settings"),
            events: KeylessEvents::new(),
        }
    }

    /// Counts a request of a layer over `limiter` without a key.
    #[cold]
    pub(super) fn record<K: Hash + Eq>(&self, limiter: &KeyedRateLimiter<K>, policy: &str) {
        limiter.count_keyless();
        self.events
            .send(limiter.clock(), policy, limiter.keyless(), self.choice);
    }

    /// Asks the quota that all requests without a key share.
    pub(super) fn decide<K: Hash + Eq>(
        &self,
        limiter: &KeyedRateLimiter<K>,
    ) -> (Result<(), RateLimitError>, QuotaStatus) {
        let config = limiter.config();
        if config != self.shared.config() {
            // Of the same kind, because the limiter itself has taken them.
            let _same = self.shared.reconfigure(config);
        }
        self.shared.decide(&(), 1)
    }
}
