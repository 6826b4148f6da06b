//! What a layer does with requests in which it finds no key, and the events about them.

use super::super::error::RateLimitError;
use super::handle::KeyedRateLimiter;
use super::snapshot::QuotaStatus;
use crate::sync::primitive::{AtomicU64, Ordering};
use std::hash::Hash;
use std::time::Duration;

/// The target of events; part of the interface.
#[cfg(feature = "tracing")]
const TARGET: &str = "c13::rate_limiter";

/// At most one event is sent in this time.
const QUIET: Duration = Duration::from_secs(60);

/// What a keyed layer does with requests in which it finds no key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WithoutKey {
    /// They share the quota of one key, so that leaving the key out does not evade the limit.
    #[default]
    Share,
    /// They are answered with 500: for a key that every request has, so that a request without it is a fault of the service.
    Refuse,
    /// They pass without a limit.
    Allow,
}

/// The requests of a layer that have no key: what to do with them, and the quota that they share. The limiter counts them.
#[derive(Debug)]
pub(super) struct Keyless {
    pub(super) choice: WithoutKey,
    shared: KeyedRateLimiter<()>,
    /// When the next event may be sent, in nanoseconds of the clock.
    next_event: AtomicU64,
}

impl Keyless {
    /// For a layer over `limiter`, whose settings the shared quota follows.
    pub(super) fn new<K: Hash + Eq>(limiter: &KeyedRateLimiter<K>, choice: WithoutKey) -> Self {
        let config = limiter.config();
        let shared = KeyedRateLimiter::with_config(config, limiter.clock().clone());
        Self {
            choice,
            shared: shared.expect("another limiter has these settings"),
            next_event: AtomicU64::new(0),
        }
    }

    /// Counts a request of a layer over `limiter` without a key.
    #[cold]
    pub(super) fn record<K: Hash + Eq>(&self, limiter: &KeyedRateLimiter<K>, policy: &str) {
        limiter.count_keyless();
        let now = limiter.clock().now();
        let next = (now + QUIET).as_nanos();
        // Relaxed: the word publishes nothing but itself.
        let due = self.next_event.load(Ordering::Relaxed);
        let exchange = |due| {
            // Relaxed: as above.
            let (set, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            self.next_event.compare_exchange(due, next, set, failed)
        };
        if now.as_nanos() >= due && exchange(due).is_ok() {
            self.send_event(policy, limiter.keyless());
        }
    }

    #[cfg(feature = "tracing")]
    fn send_event(&self, policy: &str, requests: u64) {
        match self.choice {
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
    fn send_event(&self, policy: &str, requests: u64) {
        let _ = (policy, requests);
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
