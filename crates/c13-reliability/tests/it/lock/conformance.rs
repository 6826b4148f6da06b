//! What every backend of locks promises, whatever it is made of.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use c13_reliability::distributed::Fence;
use c13_reliability::distributed::lock::{Attempted, Backend, BackendErrorKind, Claim, LockConfig, Mode, Released};
use std::sync::Arc;
use std::time::Duration;

const CONFIG: LockConfig = LockConfig::new(Duration::from_secs(5));
const SLOTS: Mode = Mode::Shared {
    slots: std::num::NonZeroU32::new(2),
};
const READ: Mode = Mode::Shared { slots: None };

fn fence(attempted: Attempted) -> Fence {
    match attempted {
        Attempted::Granted { fence } => fence,
        other => panic!("not granted but {other:?}"),
    }
}

pub(super) async fn check(backend: Arc<dyn Backend>, name: &str) {
    exclusive(&*backend, &format!("{name}-1")).await;
    shared(&*backend, &format!("{name}-2")).await;
    fences(&*backend, &format!("{name}-3")).await;
    last_fence(&*backend, &format!("{name}-3")).await;
    if backend.has_queue() {
        queue(&*backend, &format!("{name}-4")).await;
    }
}

fn claim(name: &str, mode: Mode) -> Claim {
    Claim::new([name.to_owned()].into(), mode, &CONFIG)
}

async fn exclusive(backend: &dyn Backend, name: &str) {
    let (a, b) = (claim(name, Mode::Exclusive), claim(name, Mode::Exclusive));
    let first = fence(backend.acquire(&a).await.unwrap());
    assert!(
        fence(backend.acquire(&a).await.unwrap()) >= first,
        "asking twice is asking once"
    );
    assert!(matches!(backend.acquire(&b).await.unwrap(), Attempted::Held { .. }));
    assert!(backend.renew(&a).await.unwrap());
    assert!(!backend.renew(&b).await.unwrap(), "a renewal never acquires");
    let status = backend.status(name).await.unwrap();
    assert_eq!(status.owners, [a.owner.to_string()]);
    assert_ne!(
        backend.release(&b, false).await.unwrap(),
        Released::Released,
        "nobody releases another's lock"
    );
    assert!(backend.renew(&a).await.unwrap());
    assert_eq!(backend.release(&a, false).await.unwrap(), Released::Released);
    assert_eq!(backend.release(&a, false).await.unwrap(), Released::NotHeld);
    assert!(!backend.renew(&a).await.unwrap());
    assert!(backend.status(name).await.unwrap().owners.is_empty());
    assert!(fence(backend.acquire(&b).await.unwrap()) > first);
    assert_eq!(backend.release(&b, true).await.unwrap(), Released::Released);
}

async fn shared(backend: &dyn Backend, name: &str) {
    let (a, b, c) = (claim(name, SLOTS), claim(name, SLOTS), claim(name, SLOTS));
    fence(backend.acquire(&a).await.unwrap());
    fence(backend.acquire(&b).await.unwrap());
    assert!(matches!(backend.acquire(&c).await.unwrap(), Attempted::Held { .. }));
    assert!(matches!(
        backend.acquire(&claim(name, Mode::Exclusive)).await.unwrap(),
        Attempted::Held { .. }
    ));
    assert!(backend.renew(&a).await.unwrap() && backend.renew(&b).await.unwrap());
    assert_eq!(backend.release(&b, false).await.unwrap(), Released::Released);
    fence(backend.acquire(&c).await.unwrap());
    for claim in [&a, &c] {
        assert_eq!(backend.release(claim, false).await.unwrap(), Released::Released);
    }
    let writer = claim(name, Mode::Exclusive);
    fence(backend.acquire(&writer).await.unwrap());
    assert!(matches!(
        backend.acquire(&claim(name, READ)).await.unwrap(),
        Attempted::Held { .. }
    ));
    assert_eq!(backend.release(&writer, false).await.unwrap(), Released::Released);
}

async fn fences(backend: &dyn Backend, name: &str) {
    let mut last = Fence::from_number(0);
    for _ in 0..20 {
        let claim = claim(name, Mode::Exclusive);
        let next = fence(backend.acquire(&claim).await.unwrap());
        assert!(next > last);
        last = next;
        backend.release(&claim, false).await.unwrap();
    }
    let mut seen_elsewhere = claim(name, Mode::Exclusive);
    let floor = Fence::from_number(last.number() + 1_000_000_000_000);
    assert_eq!(backend.raise_fence(&seen_elsewhere, floor).await.unwrap(), None);
    seen_elsewhere.floor = floor;
    assert!(fence(backend.acquire(&seen_elsewhere).await.unwrap()) >= floor);
    let raised = backend
        .raise_fence(&seen_elsewhere, Fence::from_number(floor.number() + 7))
        .await
        .unwrap();
    assert!(raised.unwrap().number() > floor.number() + 7);
    backend.release(&seen_elsewhere, false).await.unwrap();
    let next = claim(name, Mode::Exclusive);
    assert!(fence(backend.acquire(&next).await.unwrap()) > raised.unwrap());
    backend.release(&next, false).await.unwrap();
}

/// The greatest token there is ends the grants: the next one could only repeat it.
async fn last_fence(backend: &dyn Backend, name: &str) {
    let name = format!("{name}-last");
    let mut last = Fence::from_number(Fence::MAX.number() - 2);
    for _ in 0..3 {
        let mut next = claim(&name, Mode::Exclusive);
        next.floor = Fence::from_number(last.number() + 1);
        match backend.acquire(&next).await {
            Ok(attempted) => {
                let fence = fence(attempted);
                assert!(fence > last, "{fence} after {last}");
                last = fence;
                backend.release(&next, false).await.unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind, BackendErrorKind::Refused, "{error}");
                assert!(
                    error.to_string().contains("its last fencing token was the greatest"),
                    "{error}"
                );
                assert_eq!(backend.status(&name).await.unwrap().owners, Vec::<String>::new());
                return;
            }
        }
    }
    panic!("granted again after {last}");
}

async fn queue(backend: &dyn Backend, name: &str) {
    let fair = |mode| Claim::new([name.to_owned()].into(), mode, &CONFIG.fair(true));
    let (a, b, c) = (fair(Mode::Exclusive), fair(Mode::Exclusive), fair(Mode::Exclusive));
    fence(backend.acquire(&a).await.unwrap());
    for waiting in [&b, &c] {
        assert!(matches!(
            backend.acquire(waiting).await.unwrap(),
            Attempted::Held { .. }
        ));
    }
    assert_eq!(backend.status(name).await.unwrap().queued, 2);
    backend.release(&a, false).await.unwrap();
    assert!(
        matches!(backend.acquire(&c).await.unwrap(), Attempted::Held { .. }),
        "b came first"
    );
    let passer_by = claim(name, Mode::Exclusive);
    assert!(matches!(
        backend.acquire(&passer_by).await.unwrap(),
        Attempted::Held { .. }
    ));
    backend.release(&b, false).await.unwrap();
    fence(backend.acquire(&c).await.unwrap());
    assert_eq!(backend.release(&c, false).await.unwrap(), Released::Released);
    assert_eq!(backend.status(name).await.unwrap().queued, 0);
    // One that was buried is refused, however late it asks.
    backend.release(&a, true).await.unwrap();
    assert_eq!(backend.acquire(&a).await.unwrap(), Attempted::Buried);
}
