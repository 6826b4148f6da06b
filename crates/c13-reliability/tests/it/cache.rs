//! The cache from outside: loading once, serving what is stale, staying within bounds. All in virtual time.

use bytes::Bytes;
use c13_reliability::patterns::cache::{Background, Cache, CacheConfig, LoadError, Loaded, RecommendationCache};
use c13_reliability::snapshot::{Registry, Value};
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Env, Executor};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

mod lease;
mod loading;

const SECOND: Duration = Duration::from_secs(1);

/// A source of values that takes a second an answer, counts, and can be broken.
#[derive(Clone)]
struct Source {
    clock: Clock,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    loads: AtomicU64,
    at_once: AtomicU64,
    most_at_once: AtomicU64,
    broken: AtomicBool,
}

#[derive(Debug, PartialEq)]
struct Broken;

impl Source {
    fn new(executor: &Executor) -> Self {
        Self {
            clock: executor.clock(),
            state: Arc::default(),
        }
    }

    /// Answers with the number of the load.
    async fn load(self) -> Result<u64, Broken> {
        struct Leaves(Arc<State>);
        impl Drop for Leaves {
            fn drop(&mut self) {
                self.0.at_once.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let number = self.state.loads.fetch_add(1, Ordering::Relaxed) + 1;
        let at_once = self.state.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.state.most_at_once.fetch_max(at_once, Ordering::Relaxed);
        let _leaves = Leaves(self.state.clone());
        for _ in 0..4 {
            self.clock.sleep(SECOND / 4).await;
        }
        if self.state.broken.load(Ordering::Relaxed) {
            Err(Broken)
        } else {
            Ok(number)
        }
    }

    fn loads(&self) -> u64 {
        self.state.loads.load(Ordering::Relaxed)
    }

    fn most_at_once(&self) -> u64 {
        self.state.most_at_once.load(Ordering::Relaxed)
    }

    fn broken(&self, broken: bool) {
        self.state.broken.store(broken, Ordering::Relaxed);
    }
}

/// A cache on the executor's clock, and where its loads in the background are left for `run` to start.
struct World {
    executor: Executor,
    source: Source,
    cache: Cache<u64, u64>,
    background: Arc<Mutex<Vec<Background>>>,
}

impl World {
    fn new(config: CacheConfig) -> Self {
        Self::with(Executor::new(), config)
    }

    fn with(executor: Executor, config: CacheConfig) -> Self {
        let background: Arc<Mutex<Vec<Background>>> = Arc::default();
        let left = background.clone();
        let env = Env::new(executor.clock()).random(Random::stream(1, "cache"));
        let cache = Cache::with_config(config, env)
            .expect("good settings")
            .with_spawner(move |load| left.lock().expect("nobody panics under this lock").push(load));
        Self {
            source: Source::new(&executor),
            executor,
            cache,
            background,
        }
    }

    /// Starts what was left to run in the background, and lets time pass.
    fn pass(&self, time: Duration) {
        for load in self.background.lock().expect("nobody panics under this lock").drain(..) {
            self.executor.spawn(load);
        }
        self.executor.run_for(time);
    }

    /// Reads key 1; gives the value and how long that took.
    fn read(&self) -> (Result<u64, LoadError<Broken>>, Duration) {
        let (cache, source, clock) = (self.cache.clone(), self.source.clone(), self.executor.clock());
        self.executor.block_on(async move {
            let start = clock.now();
            let value = cache.get_or_load(&1, || source.load()).await;
            (value, clock.now() - start)
        })
    }

    /// Reads key 1, which must be served at once.
    fn at_once(&self) -> u64 {
        let (value, took) = self.read();
        assert_eq!(took, Duration::ZERO);
        value.expect("it is served")
    }
}

#[test]
fn whatever_is_set_entries_with_times_of_their_own_end_and_all_others_stay() {
    let base = CacheConfig::new().jitter(0.0);
    let year = 365 * 24 * 3_600 * SECOND;
    let settings = [
        base,
        base.negative_ttl(2 * SECOND),
        base.ttl(year).negative_ttl(2 * SECOND),
        base.ttl(year).refresh_after(year / 2),
        base.idle(year),
    ];
    let whole = settings.map(|config| (config, false));
    for (config, weighed) in whole.into_iter().chain([(base, true)]) {
        let executor = Executor::new();
        let cache: Cache<u64, u64> = match weighed {
            true => Cache::weighted(config, executor.clock(), 1, |_, value| *value).unwrap(),
            false => Cache::with_config(config, executor.clock()).unwrap(),
        };
        cache.insert(1, 10);
        cache.insert_for(2, 20, 3 * SECOND);
        cache.insert_for(3, 30, SECOND);
        cache.insert(3, 31);
        let load = || async { Ok::<_, Broken>(Loaded::absent()) };
        let absent = executor.block_on(cache.find_or_load(&4, load));
        assert_eq!(absent.ok(), Some(None), "{config:?}");
        let read = |now: [Option<u64>; 3]| {
            assert_eq!([1, 2, 3].map(|key| cache.get(&key)), now, "{config:?}");
            assert_eq!(cache.get(&4), None, "{config:?}");
        };
        read([Some(10), Some(20), Some(31)]);
        let remembered = u64::from(config.negative_ttl.is_some());
        executor.run_for(2 * SECOND);
        read([Some(10), Some(20), Some(31)]);
        executor.run_for(SECOND);
        read([Some(10), None, Some(31)]);
        assert_eq!(cache.invalidate(&1), Some(10));
        cache.insert_for(5, 50, SECOND);
        executor.run_for(SECOND);
        assert_eq!(cache.last_known(&5), Some(50), "{config:?}");
        cache.purge_expired();
        let snapshot = cache.snapshot();
        assert_eq!(
            (snapshot.entries, snapshot.expired, snapshot.negative_hits),
            (1, 2 + remembered, remembered),
            "{config:?}"
        );
    }
}

#[test]
fn what_was_loaded_before_an_invalidation_or_an_insertion_is_not_kept_after_it() {
    for inserts in [false, true] {
        let world = World::new(CacheConfig::new());
        let (cache, source) = (world.cache.clone(), world.source.clone());
        let before = world
            .executor
            .spawn(async move { cache.get_or_load(&1, || source.load()).await });
        world.pass(SECOND / 2);
        if inserts {
            world.cache.insert(1, 77);
        } else {
            assert_eq!(world.cache.invalidate(&1), None);
        }
        assert_eq!(
            world.executor.block_on(before).ok(),
            Some(1),
            "who asked before is served"
        );
        let expected = if inserts { 77 } else { 2 };
        assert_eq!(world.read().0.ok(), Some(expected));
    }
    let world = World::new(CacheConfig::new());
    world.read().0.unwrap();
    world.cache.invalidate_all();
    assert_eq!((world.cache.get(&1), world.cache.snapshot().invalidated), (None, 1));
}

#[test]
fn an_entry_that_is_not_read_for_long_goes_and_one_that_is_read_stays() {
    let executor = Executor::new();
    let config = CacheConfig::new().idle(10 * SECOND).jitter(0.0);
    let cache: Cache<u64, &str> = Cache::with_config(config, executor.clock()).unwrap();
    cache.insert(1, "read");
    cache.insert(2, "left");
    for _ in 0..5 {
        executor.run_for(9 * SECOND);
        assert_eq!(cache.get(&1), Some("read"));
    }
    assert_eq!((cache.get(&2), cache.snapshot().idle), (None, 1));
    executor.run_for(10 * SECOND);
    assert_eq!((cache.get(&1), cache.snapshot().entries), (None, 0));
    cache.insert(3, "left");
    executor.run_for(10 * SECOND);
    cache.purge_expired();
    let snapshot = cache.snapshot();
    assert_eq!((snapshot.entries, snapshot.idle, snapshot.expired), (0, 3, 0));
}

#[test]
fn expired_entries_can_be_swept_and_are_known_until_then() {
    let executor = Executor::new();
    let cache: Cache<u64, u64> = Cache::with_config(CacheConfig::new().ttl(SECOND), executor.clock()).unwrap();
    (0..100).for_each(|key| cache.insert(key, key));
    cache.insert_for(200, 200, 60 * SECOND);
    executor.run_for(SECOND);
    assert_eq!(
        (cache.last_known(&7), cache.get(&7), cache.last_known(&7)),
        (Some(7), None, None)
    );
    cache.purge_expired();
    let snapshot = cache.snapshot();
    assert_eq!((snapshot.entries, snapshot.expired), (1, 100));
}

#[test]
fn jitter_spreads_the_ends_of_entries_written_together() {
    let executor = Executor::new();
    let config = CacheConfig::new().ttl(100 * SECOND).jitter(0.5);
    let env = Env::new(executor.clock()).random(Random::stream(3, "cache"));
    let cache: Cache<u64, u64> = Cache::with_config(config, env).unwrap();
    (0..1_000).for_each(|key| cache.insert(key, key));
    let left = |seconds: u64| {
        executor.run_for(Duration::from_secs(seconds));
        (0..1_000).filter(|key| cache.get(key).is_some()).count()
    };
    assert_eq!(left(50), 1_000);
    assert!((400..600).contains(&left(25)));
    assert_eq!(left(25), 0);
}

#[test]
fn what_makes_room_for_a_loaded_value_is_counted_as_evicted() {
    let cache: Cache<u64, u64> = Cache::new(CacheConfig::new().capacity(1_000));
    Executor::new().block_on(async {
        for key in 0..5_000 {
            let loaded = cache
                .get_or_load(&key, move || async move { Ok::<_, Broken>(key) })
                .await;
            assert_eq!(loaded.ok(), Some(key));
        }
    });
    let snapshot = cache.snapshot();
    assert!(snapshot.evicted >= 4_000);
    assert_eq!(snapshot.entries + snapshot.evicted, 5_000);
}

#[test]
fn a_cache_never_holds_more_than_its_capacity_of_entries_or_of_weight() {
    let random = Random::new(1);
    let entries: Cache<u64, u64> = Cache::new(CacheConfig::new().capacity(1_000));
    let bytes = Cache::weighted(
        CacheConfig::new().capacity(1 << 20),
        Clock::system(),
        1_000,
        |_, value: &Bytes| value.len() as u64,
    )
    .unwrap();
    for key in 0..200_000_u64 {
        entries.insert(key, key);
        bytes.insert(key, Bytes::from(vec![0; random.below(2_000) as usize]));
        if key % 1_000 == 0 {
            assert!(entries.snapshot().entries <= 1_000 && bytes.snapshot().weight <= 1 << 20);
        }
    }
    let snapshot = entries.snapshot();
    assert_eq!(snapshot.entries + snapshot.evicted, 200_000);
    assert!(
        snapshot.entries >= 900 && bytes.snapshot().weight > 900_000,
        "and makes use of it"
    );
    bytes.insert(1, Bytes::from(vec![0; 2 << 20]));
    assert_eq!(bytes.get(&1), None, "too heavy for its shard");
}

#[test]
fn what_a_million_keys_pushed_out_is_gone() {
    let cache: Cache<u64, Arc<()>> = Cache::new(CacheConfig::new().capacity(10_000));
    let value = Arc::new(());
    for key in 0..1_000_000 {
        cache.insert(key, value.clone());
    }
    // Each entry holds the value once; so does this test.
    let held = Arc::strong_count(&value) as u64 - 1;
    assert_eq!(held, cache.snapshot().entries);
    assert!((9_000..=10_000).contains(&held), "{held}");
    cache.invalidate_all();
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_read_shares_the_bytes_that_were_put_in() {
    let cache = RecommendationCache::default();
    let encoded = Bytes::from(vec![1, 2, 3]);
    cache.insert(1, encoded.clone());
    assert_eq!(cache.get(1).map(|read| read.as_ptr()), Some(encoded.as_ptr()));
    assert_eq!(cache.get(2), None);
    assert_eq!((cache.snapshot().hits, cache.snapshot().misses), (1, 1));
    assert_eq!(cache.snapshot().hit_ratio(), Some(0.5));
}

#[test]
fn threads_that_race_for_keys_load_each_one_at_a_time() {
    let cache: Cache<u64, u64> = Cache::new(CacheConfig::new());
    let at_once: Arc<Vec<AtomicU64>> = Arc::new((0..8).map(|_| AtomicU64::new(0)).collect());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (cache, at_once) = (cache.clone(), at_once.clone());
            scope.spawn(move || {
                let random = Random::new(thread);
                for _ in 0..2_000 {
                    let key = random.below(8);
                    let alone = at_once.clone();
                    let load = move || async move {
                        assert_eq!(alone[key as usize].fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        alone[key as usize].fetch_sub(1, Ordering::SeqCst);
                        Ok::<_, Broken>(Loaded::found(key).not_kept())
                    };
                    let mut read = pin!(cache.find_or_load(&key, load));
                    let mut cx = Context::from_waker(Waker::noop());
                    let value = loop {
                        if let std::task::Poll::Ready(value) = read.as_mut().poll(&mut cx) {
                            break value;
                        }
                        std::thread::yield_now();
                    };
                    assert_eq!(value.ok(), Some(Some(key)));
                }
            });
        }
    });
    assert_eq!(cache.loading(), 0);
}

#[test]
fn a_registered_cache_reports_each_read_and_each_eviction_once() {
    let executor = Executor::new();
    let config = CacheConfig::new().ttl(60 * SECOND).jitter(0.0);
    let cache: Cache<u64, u64> = Cache::with_config(config, executor.clock()).unwrap();
    let registry = Registry::new();
    registry.register("products", &cache).expect("the name is free");
    let failed = executor.block_on(cache.get_or_load(&1, || async { Err(Broken) }));
    assert!(failed.is_err());
    cache.insert(1, 1);
    cache.insert(2, 2);
    assert_eq!((cache.get(&1), cache.get(&3)), (Some(1), None));
    cache.invalidate(&2);
    executor.run_for(60 * SECOND);
    assert_eq!(cache.get(&1), None);

    let readings = registry.snapshots().remove(0).readings;
    let of = |name: &str, label: &str| {
        let mut all = readings.iter().filter(|reading| reading.metric.name == name);
        let value = all.find(|reading| reading.labels.iter().any(|(_, value)| value == label));
        match value.map(|reading| &reading.value) {
            Some(Value::Count(count)) => *count,
            other => panic!("{name} {label}: {other:?}"),
        }
    };
    let requests = |result| of("reliability.cache.requests", result);
    assert_eq!(
        ["hit", "stale", "negative", "coalesced", "miss"].map(requests),
        [1, 0, 0, 0, 3]
    );
    let evictions = |reason| of("reliability.cache.evictions", reason);
    assert_eq!(["size", "expired", "idle", "explicit"].map(evictions), [0, 1, 0, 1]);
    assert_eq!(of("reliability.cache.load.failures", "error"), 1);
    drop(cache);
    assert!(registry.snapshots().is_empty(), "the registry keeps nothing alive");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let error = Cache::<u64, u64>::try_new(CacheConfig::new().capacity(0)).unwrap_err();
    assert_eq!(error.to_string(), "cache: `capacity` is 0, but it must be at least 1");
    let error = Cache::weighted(CacheConfig::new(), Clock::system(), 0, |_: &u64, _: &u64| 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cache: `typical` is 0, but it must be from 1 to the capacity"
    );
}

#[cfg(feature = "tower")]
#[test]
fn before_a_service_the_cache_answers_what_has_a_key_even_while_the_service_is_not_ready() {
    use c13_reliability::patterns::cache::CacheLayer;
    use std::task::Poll;
    use tower::{Layer, Service, ServiceExt};

    /// Counts its calls; not ready while it is down.
    #[derive(Clone, Default)]
    struct Backend(Arc<State>);

    impl Service<(&'static str, u64)> for Backend {
        type Response = u64;
        type Error = &'static str;
        type Future = std::future::Ready<Result<u64, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            let down = self.0.broken.load(Ordering::Relaxed);
            Poll::Ready(if down { Err("down") } else { Ok(()) })
        }

        fn call(&mut self, _: (&'static str, u64)) -> Self::Future {
            std::future::ready(Ok(self.0.loads.fetch_add(1, Ordering::Relaxed) + 1))
        }
    }

    let executor = Executor::new();
    let config = CacheConfig::new()
        .ttl(60 * SECOND)
        .stale_if_error(600 * SECOND)
        .jitter(0.0);
    let cache: Cache<u64, u64> = Cache::with_config(config, executor.clock()).unwrap();
    let key = |request: &(&'static str, u64)| (request.0 == "GET").then_some(request.1);
    let backend = Backend::default();
    let keep = |answer| {
        if answer == 2 {
            Loaded::found(answer).not_kept()
        } else {
            Loaded::found(answer)
        }
    };
    let service = CacheLayer::keeping(cache, key, keep).layer(backend.clone());
    let ask = |method, key| executor.block_on(service.clone().oneshot((method, key)));

    assert_eq!((ask("GET", 1).ok(), ask("GET", 1).ok()), (Some(1), Some(1)));
    assert_eq!(
        (ask("GET", 2).ok(), ask("GET", 2).ok()),
        (Some(2), Some(3)),
        "the first was not to be kept"
    );
    assert_eq!((ask("POST", 1).ok(), ask("POST", 1).ok()), (Some(4), Some(5)));
    backend.0.broken.store(true, Ordering::Relaxed);
    assert_eq!(ask("GET", 1).ok(), Some(1));
    executor.run_for(60 * SECOND);
    assert_eq!(ask("GET", 1).ok(), Some(1), "stale, because the service is down");
    assert!(matches!(ask("GET", 9), Err(LoadError::Failed(error)) if *error == "down"));
    assert!(matches!(ask("POST", 1), Err(LoadError::Failed(error)) if *error == "down"));
}
