//! Loads that do not end: a loader that reads its own key, and a load that is begun and kept without being polled.

use super::*;
use c13_reliability::policy::{Policy, Profile};
use c13_reliability::time::Env;
use std::future::Future;
use std::pin::Pin;

const LEASE: Duration = Duration::from_secs(30);

type Read = Pin<Box<dyn Future<Output = Result<u64, LoadError<Broken>>>>>;

impl World {
    /// A read of key 1 that loads `value`, which takes so long.
    fn loading(&self, value: u64, takes: Duration) -> Read {
        let (cache, clock) = (self.cache.clone(), self.executor.clock());
        let load = move || async move {
            clock.sleep(takes).await;
            Ok(value)
        };
        Box::pin(async move { cache.get_or_load(&1, load).await })
    }
}

fn poll_once(read: &mut Read) {
    let pending = read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
    assert!(pending, "it has to wait");
}

/// Reads `key` by a loader that first reads the key after it, and the last one key 1 again.
fn cycle(cache: Cache<u64, u64>, key: u64, last: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        let next = if key == last { 1 } else { key + 1 };
        let load = {
            let cache = cache.clone();
            move || async move {
                if next > 1 {
                    return Ok(cycle(cache, next, last).await);
                }
                match cache.get_or_load(&1, || async { Err(Broken) }).await {
                    Err(LoadError::Recursive) => Ok(7),
                    _ => Err(Broken),
                }
            }
        };
        cache.get_or_load(&key, load).await.unwrap_or(0)
    })
}

#[test]
fn a_loader_that_reads_its_own_key_is_refused_at_once_however_many_loaders_lie_between() {
    for keys in 1..=4 {
        let world = World::new(CacheConfig::new());
        let clock = world.executor.clock();
        let read = clock.timeout(1_000 * SECOND, cycle(world.cache.clone(), 1, keys));
        assert_eq!(world.executor.block_on(read), Ok(7), "{keys} keys");
        assert_eq!(
            clock.now() - c13_reliability::time::Tick::ZERO,
            Duration::ZERO,
            "{keys} keys"
        );
        assert_eq!(world.cache.loading(), 0, "{keys} keys");
        assert_eq!(world.cache.get(&1), Some(7), "{keys} keys");
    }
}

#[test]
fn a_loader_may_read_its_own_key_where_something_stale_serves() {
    let config = CacheConfig::new()
        .ttl(60 * SECOND)
        .stale_if_error(600 * SECOND)
        .jitter(0.0);
    let world = World::new(config);
    world.read().0.unwrap();
    world.pass(60 * SECOND);
    let (cache, clock) = (world.cache.clone(), world.executor.clock());
    let load = {
        let cache = cache.clone();
        move || async move {
            cache
                .get_or_load(&1, || async { Err(Broken) })
                .await
                .map(|old| old + 10)
                .map_err(|_| Broken)
        }
    };
    let read = clock.timeout(1_000 * SECOND, cache.get_or_load(&1, load));
    assert_eq!(world.executor.block_on(read).map(Result::ok), Ok(Some(11)));
}

#[test]
fn a_read_beside_a_loader_in_the_same_task_is_not_taken_for_the_loader_s_own() {
    let world = World::new(CacheConfig::new());
    let mut reads = [world.loading(1, SECOND), world.loading(2, SECOND)];
    let both = std::future::poll_fn(|cx| {
        let [first, second] = &mut reads;
        let first = first.as_mut().poll(cx);
        match (first, second.as_mut().poll(cx)) {
            (std::task::Poll::Ready(first), std::task::Poll::Ready(second)) => {
                std::task::Poll::Ready((first.ok(), second.ok()))
            }
            _ => std::task::Poll::Pending,
        }
    });
    assert_eq!(world.executor.block_on(both), (Some(1), Some(1)));
}

#[test]
fn a_cached_policy_s_operation_that_makes_its_own_call_is_refused_at_once() {
    let executor = Executor::new();
    let policy = Policy::with_config(Profile::Standard.config(), Env::new(executor.clock()).seed(1)).unwrap();
    let cache = Cache::<u64, u64>::with_config(CacheConfig::new(), executor.clock()).unwrap();
    let cached = Arc::new(policy.typed::<u64, String>().cached(cache));
    let inner = cached.clone();
    let operation = move || {
        let inner = inner.clone();
        async move {
            let own = inner.call(&1, || async { Ok(1) }).await;
            Ok(
                if own.is_err_and(|error| error.layer() == Some(c13_reliability::Layer::Cache)) {
                    7
                } else {
                    0
                },
            )
        }
    };
    let clock = executor.clock();
    let call = clock.timeout(1_000 * SECOND, cached.call(&1, operation));
    assert_eq!(executor.block_on(call), Ok(Ok(7)));
}

#[test]
fn a_load_that_nobody_polls_blocks_its_key_for_its_lease_and_no_longer() {
    let world = World::new(CacheConfig::new());
    let mut kept = world.loading(99, SECOND);
    poll_once(&mut kept);
    let served = Rc::new(Cell::new(0));
    for _ in 0..100 {
        let (cache, source, served, clock) = (
            world.cache.clone(),
            world.source.clone(),
            served.clone(),
            world.executor.clock(),
        );
        world.executor.spawn(async move {
            // Some come early and some late; the lease is the load's, so it makes no difference.
            clock.sleep(u32::from(served.get() % 2 == 0) * 29 * SECOND).await;
            assert_eq!(cache.get_or_load(&1, || source.load()).await.ok(), Some(1));
            served.set(served.get() + 1);
        });
    }
    world.pass(LEASE);
    assert_eq!((served.get(), world.source.loads()), (0, 1), "one of them loads");
    world.pass(SECOND);
    assert_eq!((served.get(), world.source.loads(), world.cache.loading()), (100, 1, 0));
    assert!(
        world.executor.polls() <= 500,
        "{} polls: nobody spins",
        world.executor.polls()
    );
    // The first load ends after all. Its own read gets what it brought, and everybody else what is newer.
    assert_eq!(world.executor.block_on(kept).ok(), Some(99));
    assert_eq!(world.cache.get(&1), Some(1));
    assert_eq!(world.executor.time().waiting(), 0, "no timer is left");
}

#[test]
fn a_reader_that_was_chosen_to_load_and_is_not_polled_blocks_nobody_longer_than_the_lease() {
    let world = World::new(CacheConfig::new().load_lease(5 * SECOND));
    let (mut leader, mut chosen) = (world.loading(1, SECOND), world.loading(2, SECOND));
    poll_once(&mut leader);
    poll_once(&mut chosen);
    let last = world.executor.spawn(world.loading(3, SECOND));
    world.pass(Duration::ZERO);
    drop(leader);
    world.pass(6 * SECOND);
    let last = world.executor.clock().timeout(1_000 * SECOND, last);
    assert_eq!(world.executor.block_on(last).map(Result::ok), Ok(Some(3)));
}

#[test]
fn a_load_that_outlasts_its_lease_is_kept_unless_something_newer_is_or_was_removed() {
    // When the first load ends, what is done to the key before, and what is then found.
    type Change = fn(&Cache<u64, u64>);
    let cases: [(u32, Change, Option<u64>); 4] = [
        (40, |_| (), Some(1)),
        (45, |cache| assert_eq!(cache.invalidate(&1), None), None),
        (45, |cache| cache.insert(1, 50), Some(50)),
        // The second load, which takes 20 s from the end of the lease on, has ended before.
        (60, |_| (), Some(2)),
    ];
    for (ends, change, expected) in cases {
        let world = World::new(CacheConfig::new());
        let first = world.executor.spawn(world.loading(1, ends * SECOND));
        let second = world.executor.spawn(world.loading(2, 20 * SECOND));
        world.pass(35 * SECOND);
        change(&world.cache);
        world.pass((ends - 35) * SECOND);
        assert_eq!(world.cache.get(&1), expected, "the first load ends after {ends} s");
        assert_eq!(world.executor.block_on(first).ok(), Some(1), "{ends} s");
        assert_eq!(world.executor.block_on(second).ok(), Some(2), "{ends} s");
        let last = if ends == 45 { expected } else { Some(2) };
        assert_eq!(world.cache.get(&1), last, "{ends} s: what began last stays");
    }
}

#[test]
fn loads_that_all_outlast_the_lease_fill_the_cache_in_the_order_in_which_they_began() {
    let world = World::new(CacheConfig::new().load_lease(10 * SECOND));
    // They begin 10 s apart; the second ends before the first.
    let takes = [35, 20, 50].map(|seconds| seconds * SECOND);
    let reads = [1, 2, 3].map(|n| world.executor.spawn(world.loading(n, takes[n as usize - 1])));
    for (until, expected) in [(29, None), (30, Some(2)), (35, Some(2)), (69, Some(2)), (70, Some(3))] {
        let passed = world.executor.clock().now() - c13_reliability::time::Tick::ZERO;
        world.pass(until * SECOND - passed);
        assert_eq!(world.cache.get(&1), expected, "after {until} s");
    }
    for (n, read) in [1, 2, 3].into_iter().zip(reads) {
        assert_eq!(world.executor.block_on(read).ok(), Some(n));
    }
}

#[test]
fn a_background_load_that_is_kept_and_never_run_is_replaced_after_its_lease() {
    let config = CacheConfig::new()
        .ttl(600 * SECOND)
        .refresh_after(60 * SECOND)
        .jitter(0.0);
    let world = World::new(config);
    world.read().0.unwrap();
    world.pass(60 * SECOND);
    assert_eq!(world.at_once(), 1);
    let kept = std::mem::take(&mut *world.background.lock().unwrap());
    assert_eq!(kept.len(), 1);
    world.pass(LEASE - SECOND);
    assert_eq!((world.at_once(), world.background.lock().unwrap().len()), (1, 0));
    world.pass(SECOND);
    assert_eq!((world.at_once(), world.background.lock().unwrap().len()), (1, 1));
    world.pass(2 * SECOND);
    assert_eq!((world.at_once(), world.source.loads()), (2, 2));
}

#[test]
fn a_load_without_a_lease_blocks_its_key_and_sets_no_timer() {
    let world = World::new(CacheConfig::new().load_lease(Duration::MAX));
    let mut kept = world.loading(1, SECOND);
    poll_once(&mut kept);
    let waits = world.executor.spawn(world.loading(2, SECOND));
    world.pass(SECOND);
    assert_eq!(world.executor.time().waiting(), 0, "only the load's own timer was set");
    assert_eq!(world.executor.block_on(kept).ok(), Some(1));
    assert_eq!(world.executor.block_on(waits).ok(), Some(1));
}
