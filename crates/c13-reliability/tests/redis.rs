//! Locks, limits and health checks on real Redis processes, with the faults that networks and servers have.
//!
//! Needs `redis-server` and `redis-cli`, and the address of a server that all tests share in `C13_TEST_REDIS`: `./test`
//! sees to both.

#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "it/lock/conformance.rs"]
mod conformance;
#[path = "redis/errors.rs"]
mod errors;
#[cfg(feature = "axum")]
#[path = "redis/health.rs"]
mod health;
#[path = "redis/lock.rs"]
mod lock;
#[cfg(feature = "axum")]
#[path = "it/health/outage.rs"]
mod outage;
#[path = "redis/proxy.rs"]
mod proxy;
#[path = "redis/quorum.rs"]
mod quorum;
#[path = "redis/rate_limiter.rs"]
mod rate_limiter;
#[path = "redis/server.rs"]
mod server;
#[path = "redis/topology.rs"]
mod topology;
#[path = "redis/waiting.rs"]
mod waiting;

use c13_reliability::distributed::Redis;
use c13_reliability::distributed::lock::{Backend, Lock, LockConfig, RedisBackend};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Long enough that a machine which stands still for a second neither loses a lock nor a request.
const LEASE: Duration = Duration::from_secs(3);
/// For what comes at once, on a machine which may stand still meanwhile; far less than the leases it is held against.
const SOON: Duration = Duration::from_secs(10);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A key that no other test, and no other run, uses.
fn key(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("c13-test:{name}:{}:{number}", std::process::id())
}

fn backend(url: &str) -> RedisBackend {
    RedisBackend::new(Redis::open(url).unwrap())
}

/// Each request may take as long as one may.
fn config(lease: Duration) -> LockConfig {
    LockConfig::new(lease).request_timeout(lease / 3)
}

fn lock_at(url: &str, key: &str) -> Lock {
    Lock::new(Arc::new(backend(url)), key, config(LEASE))
}

/// A lock whose lease is over long after [`SOON`], for tests that are not about its end.
fn long_lock_at(url: &str, key: &str) -> Lock {
    Lock::new(Arc::new(backend(url)), key, config(LEASE * 20))
}

async fn owners(url: &str, key: &str) -> Vec<String> {
    backend(url).status(key).await.unwrap().owners
}

/// Waits until `key` is free, at most for `limit`.
async fn is_free_within(url: &str, key: &str, limit: Duration) -> bool {
    let clock = c13_reliability::time::Clock::system();
    let backend = backend(url);
    let end = clock.now() + limit;
    loop {
        // Before it is looked at: what comes true while this test stands still is seen.
        let is_last = clock.now() >= end;
        if backend.status(key).await.unwrap().owners.is_empty() {
            return true;
        }
        if is_last {
            return false;
        }
        clock.sleep(ms(1)).await;
    }
}
