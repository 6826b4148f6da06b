//! What is decided in memory between two words with a shared backend: leased limits, and locks that are held.

use super::drive::{drive, succeed};
use crate::case::Cases;
use c13_reliability::distributed::lock::{Lock, LockConfig, MemoryBackend};
use c13_reliability::distributed::rate_limiter::{
    KeyedSharedRateLimiter, Limit, MemoryQuota, SharedLimitConfig, SharedRateLimiter, Sharing,
};
use c13_reliability::gate::{self, Outcome};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn add(cases: &mut Cases) {
    cases.timed("distributed/leased limit, decision", leased, |limiter, _| {
        let limiter = limiter.clone();
        move || {
            // A batch that is used up is fetched anew, which happens once in eight million calls.
            if black_box(limiter.try_acquire(1)).is_err() {
                let _refilled = drive(limiter.acquire(1));
            }
        }
    });
    cases.timed("distributed/leased limit, call", leased, |limiter, _| {
        let limiter = limiter.clone();
        move || {
            if drive(gate::call(&*limiter, succeed(1), Outcome::of)).is_err() {
                let _refilled = drive(limiter.acquire(1));
            }
        }
    });
    cases.timed(
        "distributed/leased limit by key, decision",
        leased_by_key,
        |limiter, _| {
            let limiter = limiter.clone();
            move || {
                if black_box(limiter.try_acquire("192.0.2.1", 1)).is_err() {
                    let _refilled = drive(limiter.acquire("192.0.2.1", 1));
                }
            }
        },
    );
    let held = || {
        let lock = Lock::new(Arc::new(MemoryBackend::new()), "bench", LockConfig::DEFAULT);
        Arc::new(drive(lock.try_acquire()).expect("nobody else has it"))
    };
    cases.timed("distributed/check of a held lock", held, |guard, _| {
        let guard = guard.clone();
        move || assert!(black_box(guard.check()).is_ok())
    });
}

/// The same for a key that is hot.
fn leased_by_key() -> KeyedSharedRateLimiter {
    let sharing = Sharing::Leased {
        horizon: Duration::from_secs(10),
    };
    let config = SharedLimitConfig::DEFAULT.sharing(sharing);
    let (limit, backend) = (Limit::new("bench", 1e9, 16_777_215), Arc::new(MemoryQuota::new()));
    let limiter = KeyedSharedRateLimiter::try_new(backend, limit, config).expect("the settings are good");
    for _ in 0..10 {
        drive(limiter.acquire("192.0.2.1", 1)).expect("there is room");
    }
    limiter
}

/// A limit that has leased as many tokens as a batch holds, for as long as one may last.
fn leased() -> Arc<SharedRateLimiter> {
    let sharing = Sharing::Leased {
        horizon: Duration::from_secs(10),
    };
    let config = SharedLimitConfig::DEFAULT.sharing(sharing);
    let limits = vec![Limit::new("bench", 1e9, 16_777_215)];
    let backend = Arc::new(MemoryQuota::new());
    let limiter = SharedRateLimiter::try_new(backend, limits, config).expect("the settings are good");
    drive(limiter.acquire(1)).expect("there is room");
    Arc::new(limiter)
}
