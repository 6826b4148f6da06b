//! Backends of a user's own, written with nothing but what the library makes public.

use c13_reliability::distributed::Fence;
use c13_reliability::distributed::lock::{
    Answer, Attempted, Backend, BackendError, BackendErrorKind, Claim, Lock, LockConfig, Mode, Released, Status, Watch,
};
use c13_reliability::distributed::rate_limiter::{
    DecidedBy, Limit, QuotaBackend, SharedLimitConfig, SharedLimitError, SharedRateLimiter, Sharing, Taken,
};
use c13_reliability::error::ConfigError;
use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps exclusive locks of one name each, in a map, without leases.
#[derive(Debug, Default)]
struct OwnLocks {
    holders: Mutex<HashMap<String, (Arc<str>, Fence)>>,
    fences: Mutex<u64>,
}

fn answer<'a, T: Send + 'a>(value: Result<T, BackendError>) -> Answer<'a, T> {
    Box::pin(ready(value))
}

impl OwnLocks {
    fn is_held_by(&self, claim: &Claim) -> bool {
        let holders = self.holders.lock().unwrap();
        holders
            .get(&claim.names[0])
            .is_some_and(|(owner, _)| *owner == claim.owner)
    }
}

impl Backend for OwnLocks {
    fn check_name(&self, _name: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn has_queue(&self) -> bool {
        false
    }

    fn poll_interval(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }

    fn acquire<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Attempted> {
        if claim.mode != Mode::Exclusive {
            return answer(Err(BackendError::new(
                BackendErrorKind::Refused,
                "exclusive locks only",
            )));
        }
        let mut holders = self.holders.lock().unwrap();
        let attempted = match holders.get(&claim.names[0]) {
            Some((owner, _)) if *owner != claim.owner => Attempted::Held {
                lapses_in: None,
                unsettled: false,
            },
            Some((_, fence)) => Attempted::Granted { fence: *fence },
            None => {
                let mut fences = self.fences.lock().unwrap();
                *fences += 1;
                let fence = Fence::from_number((*fences).max(claim.floor.number()));
                holders.insert(claim.names[0].clone(), (claim.owner.clone(), fence));
                Attempted::Granted { fence }
            }
        };
        answer(Ok(attempted))
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool> {
        answer(Ok(self.is_held_by(claim)))
    }

    fn release<'a>(&'a self, claim: &'a Claim, _bury: bool) -> Answer<'a, Released> {
        if self.is_held_by(claim) {
            self.holders.lock().unwrap().remove(&claim.names[0]);
            return answer(Ok(Released::Released));
        }
        let is_held = self.holders.lock().unwrap().contains_key(&claim.names[0]);
        answer(Ok(if is_held {
            Released::HeldByOther
        } else {
            Released::NotHeld
        }))
    }

    fn raise_fence<'a>(&'a self, _claim: &'a Claim, floor: Fence) -> Answer<'a, Option<Fence>> {
        answer(Ok(Some(Fence::from_number(floor.number() + 1))))
    }

    fn watch<'a>(&'a self, _claim: &'a Claim) -> Answer<'a, Watch> {
        let (_, wakes) = tokio::sync::broadcast::channel(1);
        answer(Ok(Watch::new(wakes, Box::new(()))))
    }

    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status> {
        let mut status = Status::default();
        if let Some((owner, fence)) = self.holders.lock().unwrap().get(name) {
            status.owners = vec![owner.to_string()];
            status.fence = Some(*fence);
        }
        answer(Ok(status))
    }
}

#[tokio::test]
async fn locks_go_by_a_backend_of_ones_own() {
    let backend = Arc::new(OwnLocks::default());
    let lock = Lock::new(backend.clone(), "key", LockConfig::DEFAULT);
    let guard = lock.try_acquire().await.unwrap();
    assert!(lock.try_acquire().await.is_err());
    let waiter = tokio::spawn({
        let lock = lock.clone();
        async move { lock.acquire(Duration::from_secs(60)).await }
    });
    let first = guard.fence();
    guard.release().await.unwrap();
    let guard = waiter.await.unwrap().unwrap();
    assert!(guard.fence() > first);
    assert_eq!(lock.status().await.unwrap().fence, Some(guard.fence()));
    guard.release().await.unwrap();
    assert!(backend.holders.lock().unwrap().is_empty());
}

/// Gives each key so many tokens, and never any more.
#[derive(Debug)]
struct OwnQuota {
    left: Mutex<HashMap<String, u64>>,
}

impl QuotaBackend for OwnQuota {
    fn check_key(&self, _key: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, _process: &'a str) -> Answer<'a, Taken> {
        let mut left = self.left.lock().unwrap();
        let least_left = limits.iter().map(|limit| left.get(&limit.key).copied());
        let had = least_left.min().flatten().unwrap_or(0).min(want);
        if had < least {
            return answer(Ok(Taken::refused(Some(Duration::from_secs(1))).active(2)));
        }
        for limit in limits {
            left.entry(limit.key.clone()).and_modify(|left| *left -= had);
        }
        answer(Ok(Taken::granted(had).active(2)))
    }
}

#[tokio::test]
async fn limits_go_by_a_backend_of_ones_own() {
    let backend = Arc::new(OwnQuota {
        left: Mutex::new([("mail".to_owned(), 3)].into()),
    });
    let config = SharedLimitConfig::DEFAULT.sharing(Sharing::Exact);
    let limiter = SharedRateLimiter::try_new(backend, vec![Limit::new("mail", 1.0, 10)], config).unwrap();
    for _ in 0..3 {
        assert_eq!(limiter.acquire(1).await, Ok(DecidedBy::Exact));
    }
    assert!(matches!(
        limiter.acquire(1).await,
        Err(SharedLimitError::Exceeded { .. })
    ));
    assert_eq!(limiter.active_processes(), 2);
}
