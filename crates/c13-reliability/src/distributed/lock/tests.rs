//! The lock in virtual time, over the in-process backend, with a backend in between that delays, fails and counts.

use super::backend::{Answer, Attempted, Backend, Claim, Released, Status, Watch};
use super::*;
use crate::distributed::Fence;
use crate::error::ConfigError;
use crate::sync::Random;
use crate::time::Clock;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod holding;
mod quorum;
mod waiting;

const LEASE: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What happens to a request on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// It is carried out, and the reply takes this long.
    SlowReply(Duration),
    /// It arrives this late.
    Late(Duration),
    /// It is carried out, and the reply never comes.
    NoReply,
    /// It never arrives.
    Lost,
    /// The backend says that it cannot.
    Unable,
    /// The backend says that it never will.
    Refused,
}

#[derive(Clone, Debug)]
struct Faulty {
    inner: MemoryBackend,
    clock: Clock,
    acquire: Arc<Mutex<Fault>>,
    renew: Arc<Mutex<Fault>>,
    release: Arc<Mutex<Fault>>,
    requests: Arc<AtomicU64>,
    last: Arc<Mutex<Option<Claim>>>,
}

impl Faulty {
    fn set(&self, which: &Mutex<Fault>, fault: Fault) {
        *which.lock().unwrap() = fault;
    }

    fn pass<'a, T: Send + 'a>(&'a self, fault: &Mutex<Fault>, request: Answer<'a, T>) -> Answer<'a, T> {
        let fault = *fault.lock().unwrap();
        self.requests.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match fault {
                Fault::None => request.await,
                Fault::SlowReply(delay) => {
                    let reply = request.await;
                    self.clock.sleep(delay).await;
                    reply
                }
                Fault::Late(delay) => {
                    self.clock.sleep(delay).await;
                    request.await
                }
                Fault::NoReply => {
                    drop(request.await);
                    std::future::pending().await
                }
                Fault::Lost => std::future::pending().await,
                Fault::Unable => Err(BackendError::new(BackendErrorKind::Unable, "loading")),
                Fault::Refused => Err(BackendError::new(BackendErrorKind::Refused, "no permission")),
            }
        })
    }
}

impl Backend for Faulty {
    fn check_name(&self, name: &str) -> Result<(), ConfigError> {
        self.inner.check_name(name)
    }

    fn has_queue(&self) -> bool {
        self.inner.has_queue()
    }

    fn poll_interval(&self) -> Option<Duration> {
        self.inner.poll_interval()
    }

    fn acquire<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Attempted> {
        *self.last.lock().unwrap() = Some(claim.clone());
        // Built when polled: a request that never arrives must not be carried out.
        self.pass(&self.acquire, Box::pin(async { self.inner.acquire(claim).await }))
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool> {
        self.pass(&self.renew, Box::pin(async { self.inner.renew(claim).await }))
    }

    fn release<'a>(&'a self, claim: &'a Claim, bury: bool) -> Answer<'a, Released> {
        self.pass(
            &self.release,
            Box::pin(async move { self.inner.release(claim, bury).await }),
        )
    }

    fn raise_fence<'a>(&'a self, claim: &'a Claim, floor: Fence) -> Answer<'a, Option<Fence>> {
        // As an acquisition, which it is the second round of.
        self.pass(
            &self.acquire,
            Box::pin(async move { self.inner.raise_fence(claim, floor).await }),
        )
    }

    fn watch<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Watch> {
        self.inner.watch(claim)
    }

    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status> {
        self.inner.status(name)
    }
}

struct Bench {
    backend: Faulty,
    clock: Clock,
}

impl Bench {
    fn new() -> Self {
        let clock = Clock::tokio();
        Self {
            backend: Faulty {
                inner: MemoryBackend::new().with_env(clock.clone()),
                clock: clock.clone(),
                acquire: Arc::default(),
                renew: Arc::default(),
                release: Arc::default(),
                requests: Arc::default(),
                last: Arc::default(),
            },
            clock,
        }
    }

    fn lock(&self) -> Lock {
        self.lock_of(LockConfig::new(LEASE))
    }

    fn lock_of(&self, config: LockConfig) -> Lock {
        Lock::new(Arc::new(self.backend.clone()), "key", config).with_env(self.clock.clone())
    }

    async fn owners(&self) -> Vec<String> {
        self.backend.inner.status("key").await.unwrap().owners
    }

    async fn is_free(&self) -> bool {
        self.owners().await.is_empty()
    }
}

/// Lets the background tasks run, without time passing.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn elapsed<T>(clock: &Clock, future: impl Future<Output = T>) -> (T, Duration) {
    let start = clock.now();
    let value = clock.timeout(LEASE * 3_600, future).await;
    (value.expect("it ends within an hour"), clock.now() - start)
}

#[tokio::test(start_paused = true)]
async fn one_holder_at_a_time_and_the_next_gets_a_greater_fence() {
    let bench = Bench::new();
    let (lock, other) = (bench.lock(), bench.lock());
    let first = lock.try_acquire().await.unwrap();
    let refused = other.try_acquire().await.unwrap_err();
    assert!(matches!(refused, AcquireError::NotAcquired { retry_after: Some(wait) } if wait <= LEASE));
    let fence = first.fence();
    assert_eq!(first.release().await, Ok(Released::Released));
    let second = other.try_acquire().await.unwrap();
    assert!(second.fence() > fence);
}

#[tokio::test(start_paused = true)]
async fn a_held_lock_outlives_its_lease_by_renewal_three_times_a_lease() {
    let bench = Bench::new();
    let guard = bench.lock().try_acquire().await.unwrap();
    let before = bench.backend.requests.load(Ordering::Relaxed);
    bench.clock.sleep(LEASE * 100).await;
    guard.check().unwrap();
    let renewals = bench.backend.requests.load(Ordering::Relaxed) - before;
    assert!((297..=301).contains(&renewals), "{renewals} renewals in 100 leases");
    drop(guard);
    settle().await;
    assert!(bench.is_free().await);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_by_the_release_and_not_by_its_poll() {
    let bench = Bench::new();
    let guard = bench.lock().try_acquire().await.unwrap();
    let (lock, clock) = (bench.lock(), bench.clock.clone());
    let waiter = tokio::spawn(async move { elapsed(&clock, lock.acquire(Duration::MAX)).await });
    bench.clock.sleep(ms(1_234)).await;
    drop(guard);
    let (guard, waited) = waiter.await.unwrap();
    guard.unwrap().check().unwrap();
    assert!(waited <= ms(1_236), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_its_time_is_over() {
    let bench = Bench::new();
    let _guard = bench.lock().try_acquire().await.unwrap();
    let lock = bench.lock();
    let (refused, waited) = elapsed(&bench.clock, lock.acquire(ms(700))).await;
    assert!(matches!(refused, Err(AcquireError::NotAcquired { .. })));
    assert!(waited >= ms(700) && waited <= ms(702), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reply_shortens_the_time_the_lock_is_safe() {
    let bench = Bench::new();
    let config = LockConfig::new(LEASE).request_timeout(ms(333));
    bench.backend.set(&bench.backend.acquire, Fault::SlowReply(ms(300)));
    bench.backend.set(&bench.backend.renew, Fault::Lost);
    let guard = bench.lock_of(config).try_acquire().await.unwrap();
    let remaining = guard.remaining();
    assert!(
        remaining <= ms(688) && remaining > ms(680),
        "{remaining:?}: counted from before the request"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_taken_back_and_buried() {
    let bench = Bench::new();
    bench.backend.set(&bench.backend.acquire, Fault::NoReply);
    let refused = bench.lock().try_acquire().await.unwrap_err();
    assert!(matches!(
        refused,
        AcquireError::Backend(BackendError {
            kind: BackendErrorKind::Unanswered,
            ..
        })
    ));
    settle().await;
    assert!(
        bench.is_free().await,
        "what the backend granted all the same was taken back"
    );
    // The request arrives again, later: nobody is there to hold the lock.
    let claim = bench.backend.last.lock().unwrap().clone().unwrap();
    assert_eq!(bench.backend.inner.acquire(&claim).await, Ok(Attempted::Buried));
    assert!(bench.is_free().await);
}

#[tokio::test(start_paused = true)]
async fn taking_back_is_tried_until_it_is_confirmed() {
    let bench = Bench::new();
    bench.backend.set(&bench.backend.acquire, Fault::NoReply);
    bench.backend.set(&bench.backend.release, Fault::Lost);
    assert!(bench.lock().try_acquire().await.is_err());
    bench.clock.sleep(ms(400)).await;
    assert!(!bench.is_free().await);
    bench.backend.set(&bench.backend.release, Fault::None);
    bench.clock.sleep(ms(400)).await;
    assert!(bench.is_free().await, "long before the lease is over");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_no_lock_behind() {
    let bench = Bench::new();
    let random = Random::new(7);
    bench.backend.set(&bench.backend.acquire, Fault::SlowReply(ms(1)));
    for round in 0..2_000 {
        let lock = bench.lock();
        let patience = Duration::from_micros(random.below(2_000));
        let _: Result<_, _> = bench.clock.timeout(patience, lock.try_acquire()).await;
        if round % 100 == 0 {
            bench.clock.sleep(ms(5)).await;
            assert!(bench.is_free().await, "seed 7, round {round}");
        }
    }
    bench.clock.sleep(ms(5)).await;
    assert!(bench.is_free().await);
}

#[tokio::test(start_paused = true)]
async fn loss_is_told_at_the_end_of_the_lease_though_the_backend_is_silent() {
    let bench = Bench::new();
    let guard = bench.lock().try_acquire().await.unwrap();
    bench.backend.set(&bench.backend.renew, Fault::NoReply);
    bench.backend.set(&bench.backend.release, Fault::Lost);
    let until = guard.valid_until().unwrap();
    let lost = guard.lost().await;
    let late = bench.clock.now() - until;
    assert!(late <= ms(2), "told {late:?} after the end");
    assert_eq!(lost.loss, Loss::Expired);
    assert!(guard.check().is_err() && guard.remaining().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_cannot_for_a_while_loses_nothing() {
    let bench = Bench::new();
    let guard = bench.lock().try_acquire().await.unwrap();
    bench.backend.set(&bench.backend.renew, Fault::Unable);
    bench.clock.sleep(ms(900)).await;
    bench.backend.set(&bench.backend.renew, Fault::None);
    bench.clock.sleep(LEASE * 3).await;
    guard.check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_slept_through_its_lease_finds_the_lock_lost_for_good() {
    let bench = Bench::new();
    let (lock, other) = (bench.lock(), bench.lock());
    let guard = lock.try_acquire().await.unwrap();
    bench.backend.set(&bench.backend.renew, Fault::SlowReply(LEASE * 2));
    bench.clock.sleep(LEASE * 2).await;
    assert!(guard.check().is_err());
    // The same lock object has it again; the first guard stays lost and cannot take it away.
    bench.backend.set(&bench.backend.renew, Fault::None);
    let again = other.acquire(LEASE * 2).await.unwrap();
    assert!(guard.check().is_err());
    assert_eq!(guard.release().await, Ok(Released::NotHeld));
    again.check().unwrap();
    assert_eq!(bench.owners().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn work_is_dropped_at_the_moment_the_lock_is_lost() {
    let bench = Bench::new();
    let lock = bench.lock();
    bench.backend.set(&bench.backend.renew, Fault::Lost);
    let start = bench.clock.now();
    let clock = bench.clock.clone();
    let last = Arc::new(Mutex::new(start));
    let progress = last.clone();
    let result: Result<(), LockError<String>> = lock
        .run(ms(0), |_| async move {
            loop {
                clock.sleep(ms(10)).await;
                *progress.lock().unwrap() = clock.now();
            }
        })
        .await;
    assert_eq!(result, Err(LockError::Lost));
    let ran = *last.lock().unwrap() - start;
    assert!(ran <= ms(990), "worked on for {ran:?} with a lease of 1 s");
}

#[tokio::test(start_paused = true)]
async fn error_panic_and_drop_inside_the_work_give_the_lock_back() {
    let bench = Bench::new();
    let lock = bench.lock();
    let failed: Result<(), _> = lock.run(ms(0), |_| async { Err("no funds") }).await;
    assert_eq!(failed, Err(LockError::OperationFailed("no funds")));
    assert!(bench.is_free().await);

    let panicking = lock.clone();
    let joined = tokio::spawn(async move {
        let _: Result<(), LockError<()>> = panicking.run(ms(0), |_| async { panic!("boom") }).await;
    });
    assert!(joined.await.unwrap_err().is_panic());
    settle().await;
    assert!(bench.is_free().await);

    let work = lock.run(ms(0), |_| std::future::pending::<Result<(), ()>>());
    assert!(bench.clock.timeout(ms(50), work).await.is_err());
    settle().await;
    assert!(bench.is_free().await);
}

#[tokio::test(start_paused = true)]
async fn a_context_hears_of_the_release_and_not_of_a_loss() {
    let bench = Bench::new();
    let guard = bench.lock().try_acquire().await.unwrap();
    let context = guard.context();
    let listening = tokio::spawn(async move { context.lost().await });
    settle().await;
    drop(guard);
    assert_eq!(listening.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn fair_waiters_are_served_in_the_order_they_came() {
    let bench = Bench::new();
    let config = LockConfig::new(LEASE).fair(true);
    let guard = bench.lock_of(config).try_acquire().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiters: Vec<_> = (0..10)
        .map(|n| {
            let (lock, clock, order) = (bench.lock_of(config), bench.clock.clone(), order.clone());
            tokio::spawn(async move {
                clock.sleep(ms(n)).await;
                let guard = lock.acquire(Duration::MAX).await.unwrap();
                order.lock().unwrap().push(n);
                clock.sleep(ms(3)).await;
                guard.release().await.unwrap();
            })
        })
        .collect();
    bench.clock.sleep(ms(100)).await;
    // One that came in the middle goes away: nobody waits for it.
    waiters[4].abort();
    let start = bench.clock.now();
    drop(guard);
    for waiter in waiters {
        let _: Result<(), _> = waiter.await;
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert!(bench.clock.now() - start < ms(60), "handed on at once, each time");
}

#[tokio::test(start_paused = true)]
async fn readers_share_and_a_waiting_writer_comes_before_later_readers() {
    let bench = Bench::new();
    let lock = RwLock::try_new(Arc::new(bench.backend.clone()), "key", LockConfig::new(LEASE)).unwrap();
    let (read, write) = (
        lock.read().clone().with_env(bench.clock.clone()),
        lock.write().clone().with_env(bench.clock.clone()),
    );
    let first = read.try_acquire().await.unwrap();
    let second = read.try_acquire().await.unwrap();
    assert!(write.try_acquire().await.is_err());
    let writer = tokio::spawn({
        let write = write.clone();
        async move { write.acquire(Duration::MAX).await }
    });
    bench.clock.sleep(ms(10)).await;
    assert!(read.try_acquire().await.is_err(), "the writer was first");
    drop((first, second));
    let writer = writer.await.unwrap().unwrap();
    assert!(read.try_acquire().await.is_err());
    drop(writer);
    settle().await;
    assert!(read.try_acquire().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_semaphore_has_as_many_holders_as_slots() {
    let bench = Bench::new();
    let slots = 3.try_into().unwrap();
    let semaphore = Semaphore::try_new(Arc::new(bench.backend.clone()), "key", slots, LockConfig::new(LEASE)).unwrap();
    let slot = semaphore.slot().clone().with_env(bench.clock.clone());
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(slot.try_acquire().await.unwrap());
    }
    assert!(slot.try_acquire().await.is_err());
    bench.clock.sleep(LEASE * 5).await;
    assert!(slot.try_acquire().await.is_err(), "each slot is renewed");
    held.pop();
    settle().await;
    assert!(slot.acquire(ms(10)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn several_names_are_had_together_or_not_at_all() {
    let bench = Bench::new();
    let backend: Arc<dyn Backend> = Arc::new(bench.backend.clone());
    let config = LockConfig::new(LEASE);
    let both = Lock::try_of_all(backend.clone(), ["a", "b"], config)
        .unwrap()
        .with_env(bench.clock.clone());
    let one = Lock::new(backend.clone(), "b", config).with_env(bench.clock.clone());
    let guard = one.try_acquire().await.unwrap();
    assert!(both.try_acquire().await.is_err());
    assert!(backend.status("a").await.unwrap().owners.is_empty());
    let fence = guard.fence();
    drop(guard);
    settle().await;
    let guard = both.try_acquire().await.unwrap();
    assert!(guard.fence() > fence);
    assert!(one.try_acquire().await.is_err());
    for (names, setting) in [(vec![], "names"), (vec![""], "names"), (vec!["a", "a"], "names")] {
        assert_eq!(
            Lock::try_of_all(backend.clone(), names, config).unwrap_err().setting,
            setting
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_waiters_in_a_process_one_contends() {
    let bench = Bench::new();
    let guard = bench.lock().try_acquire().await.unwrap();
    let lock = bench.lock();
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let lock = lock.clone();
            tokio::spawn(async move { lock.acquire(Duration::MAX).await.map(drop) })
        })
        .collect();
    bench.clock.sleep(ms(10)).await;
    let before = bench.backend.requests.load(Ordering::Relaxed);
    bench.clock.sleep(LEASE * 10).await;
    let requests = bench.backend.requests.load(Ordering::Relaxed) - before;
    assert!(
        requests <= 30 + 21,
        "{requests} requests in ten leases: the renewals and one waiter's looks"
    );
    drop(guard);
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
}
