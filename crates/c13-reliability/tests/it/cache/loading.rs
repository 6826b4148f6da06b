//! Loading: once for all who wait, in the background where something stale serves, and what becomes of errors.

use super::*;

#[test]
fn ten_thousand_readers_of_a_missing_key_cause_one_load() {
    let world = World::new(CacheConfig::new());
    let served = Rc::new(Cell::new(0));
    for _ in 0..10_000 {
        let (cache, source, served) = (world.cache.clone(), world.source.clone(), served.clone());
        world.executor.spawn(async move {
            assert_eq!(cache.get_or_load(&1, || source.load()).await.ok(), Some(1));
            served.set(served.get() + 1);
        });
    }
    world.executor.run_until_idle();
    assert_eq!((served.get(), world.source.loads()), (10_000, 1));
    // A waiter is polled when it starts and when it is served: nobody spins.
    assert!(world.executor.polls() <= 20_010, "{} polls", world.executor.polls());
    let snapshot = world.cache.snapshot();
    assert_eq!(
        (snapshot.loads, snapshot.misses, snapshot.coalesced),
        (1, 10_000, 9_999)
    );
    assert_eq!((snapshot.entries, world.cache.loading()), (1, 0));
}

#[test]
fn a_reader_that_loads_and_is_dropped_at_any_await_hands_over_and_everybody_is_served() {
    for seed in 0..50 {
        let world = World::with(Executor::seeded(seed), CacheConfig::new());
        let random = Random::new(seed);
        let (readers, served) = (200, Rc::new(Cell::new(0)));
        let mut dropped = 0;
        for n in 0..readers {
            let (cache, source, served) = (world.cache.clone(), world.source.clone(), served.clone());
            let clock = world.executor.clock();
            let read = async move { cache.get_or_load(&1, || source.load()).await };
            // Half of them give up at some time within the first loads, the last one never.
            let gives_up = n + 1 < readers && random.below(2) == 0;
            let limit = if gives_up {
                Duration::from_millis(random.below(2_000))
            } else {
                1_000 * SECOND
            };
            dropped += u64::from(gives_up);
            world.executor.spawn(async move {
                match clock.timeout(limit, read).await {
                    Ok(value) => assert!(value.is_ok()),
                    Err(_) => assert!(gives_up, "seed {seed}: somebody was forgotten"),
                }
                served.set(served.get() + 1);
            });
        }
        world.executor.run_until_idle();
        assert_eq!(served.get(), readers, "seed {seed}");
        assert_eq!(world.source.most_at_once(), 1, "seed {seed}: one at a time");
        assert!(world.source.loads() <= dropped + 1, "seed {seed}");
        assert_eq!(
            (world.cache.loading(), world.executor.time().waiting()),
            (0, 0),
            "seed {seed}"
        );
        assert!(world.cache.get(&1).is_some());
    }
}

#[test]
fn a_reader_dropped_between_being_chosen_and_loading_passes_the_load_on() {
    let world = World::new(CacheConfig::new());
    let read = || {
        let (cache, source) = (world.cache.clone(), world.source.clone());
        Box::pin(async move { cache.get_or_load(&1, || source.load()).await })
    };
    let mut cx = Context::from_waker(Waker::noop());
    let (mut leader, mut chosen, mut last) = (read(), read(), read());
    for reader in [&mut leader, &mut chosen, &mut last] {
        assert!(reader.as_mut().poll(&mut cx).is_pending());
    }
    drop(leader);
    drop(chosen);
    assert_eq!(world.cache.loading(), 1);
    assert_eq!(world.executor.block_on(last).ok(), Some(2));
    let alone = read();
    drop(alone);
    world.cache.invalidate(&1);
    let mut alone = read();
    assert!(alone.as_mut().poll(&mut cx).is_pending());
    drop(alone);
    assert_eq!(world.cache.loading(), 0, "a flight without members is over");
}

#[test]
fn a_load_that_panics_fails_its_waiters_and_leaves_no_key_behind() {
    let executor = Executor::new();
    let cache: Cache<u64, u64> = Cache::with_config(CacheConfig::new(), executor.clock()).unwrap();
    let failed = Rc::new(Cell::new(0));
    let clock = executor.clock();
    let mut leader = Box::pin({
        let cache = cache.clone();
        async move {
            let load = || async move {
                clock.sleep(SECOND).await;
                std::panic::resume_unwind(Box::new("no luck"))
            };
            cache.get_or_load::<_, _, Broken>(&1, load).await
        }
    });
    let mut cx = Context::from_waker(Waker::noop());
    assert!(leader.as_mut().poll(&mut cx).is_pending());
    for _ in 0..10 {
        let (cache, failed) = (cache.clone(), failed.clone());
        executor.spawn(async move {
            let error = cache.get_or_load(&1, || async { Err::<u64, _>(Broken) }).await;
            assert!(matches!(error, Err(LoadError::Panicked(words)) if &*words == "no luck"));
            failed.set(failed.get() + 1);
        });
    }
    executor.run_for(SECOND);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| leader.as_mut().poll(&mut cx)));
    assert!(panicked.is_err(), "the read that loads gets the panic");
    assert_eq!(cache.loading(), 0);
    executor.run_until_idle();
    assert_eq!(failed.get(), 10);
    let snapshot = cache.snapshot();
    assert_eq!((snapshot.loads, snapshot.load_panics, snapshot.entries), (1, 1, 0));
    assert!(
        executor
            .block_on(cache.get_or_load(&1, || async { Ok::<_, Broken>(7) }))
            .is_ok()
    );
}

#[test]
fn an_error_is_shared_by_those_of_its_kind_and_never_kept() {
    let world = World::new(CacheConfig::new());
    world.source.broken(true);
    let shared = Rc::new(Cell::new(0));
    for _ in 0..5 {
        let (cache, source, shared) = (world.cache.clone(), world.source.clone(), shared.clone());
        world.executor.spawn(async move {
            let error = cache.get_or_load(&1, || source.load()).await;
            assert!(matches!(error, Err(LoadError::Failed(error)) if *error == Broken));
            shared.set(shared.get() + 1);
        });
    }
    let cache = world.cache.clone();
    let other = world
        .executor
        .spawn(async move { cache.get_or_load(&1, || async { Ok::<_, String>(99) }).await });
    world.executor.run_until_idle();
    assert_eq!((shared.get(), world.source.loads()), (5, 1));
    assert_eq!(
        world.executor.block_on(other).ok(),
        Some(99),
        "another kind of error: loaded by itself"
    );
}

#[test]
fn what_is_stale_is_served_at_once_and_loaded_once_in_the_background() {
    let config = CacheConfig::new()
        .ttl(60 * SECOND)
        .refresh_after(40 * SECOND)
        .stale_while_revalidate(30 * SECOND)
        .jitter(0.0);
    let world = World::new(config);
    assert_eq!(world.read().1, SECOND);
    world.pass(39 * SECOND);
    assert_eq!((world.at_once(), world.source.loads()), (1, 1));
    world.pass(SECOND);
    // Due before it is stale: the first of many reads has it loaded, all are served.
    for _ in 0..10 {
        assert_eq!(world.at_once(), 1);
    }
    world.pass(2 * SECOND);
    assert_eq!((world.at_once(), world.source.loads()), (2, 2));
    // Stale, but within its time.
    world.pass(80 * SECOND);
    assert_eq!((world.at_once(), world.at_once()), (2, 2));
    world.pass(2 * SECOND);
    assert_eq!((world.at_once(), world.source.loads()), (3, 3));
    // Too old to be served.
    world.pass(90 * SECOND);
    let (value, took) = world.read();
    assert_eq!((value.ok(), took), (Some(4), SECOND));
    let snapshot = world.cache.snapshot();
    assert_eq!((snapshot.refreshes, snapshot.stale_hits, snapshot.expired), (2, 2, 1));
}

#[test]
fn a_background_load_that_is_never_run_keeps_nobody_from_loading() {
    let config = CacheConfig::new()
        .ttl(60 * SECOND)
        .stale_while_revalidate(30 * SECOND)
        .jitter(0.0);
    let world = World::new(config);
    world.read().0.unwrap();
    world.pass(60 * SECOND);
    assert_eq!(world.at_once(), 1);
    assert_eq!(world.cache.loading(), 1);
    world.background.lock().unwrap().clear();
    assert_eq!(world.cache.loading(), 0);
    assert_eq!(world.at_once(), 1);
    world.pass(2 * SECOND);
    assert_eq!(world.at_once(), 2);
}

#[test]
fn without_anywhere_to_run_it_the_read_that_finds_an_entry_due_loads_it() {
    let executor = Executor::new();
    let source = Source::new(&executor);
    let config = CacheConfig::new()
        .ttl(60 * SECOND)
        .stale_while_revalidate(600 * SECOND)
        .jitter(0.0);
    let cache: Cache<u64, u64> = Cache::with_config(config, executor.clock()).unwrap();
    let read = || {
        executor
            .block_on(cache.get_or_load(&1, {
                let source = source.clone();
                || source.load()
            }))
            .ok()
    };
    assert_eq!(read(), Some(1));
    executor.run_for(60 * SECOND);
    assert_eq!(read(), Some(2));
    executor.run_for(60 * SECOND);
    source.broken(true);
    assert_eq!((read(), cache.snapshot().stale_hits), (Some(2), 1));
}

#[test]
fn during_an_outage_what_is_stale_is_served_up_to_its_age_limit() {
    let config = CacheConfig::new()
        .ttl(60 * SECOND)
        .stale_if_error(600 * SECOND)
        .pause_after_error(10 * SECOND)
        .jitter(0.0);
    let world = World::new(config);
    world.read().0.unwrap();
    world.source.broken(true);
    world.pass(60 * SECOND);
    // The first read has to try; then none does for a while.
    let (value, took) = world.read();
    assert_eq!((value.ok(), took), (Some(1), SECOND));
    assert_eq!((world.at_once(), world.source.loads()), (1, 2));
    world.pass(10 * SECOND);
    assert_eq!((world.read().0.ok(), world.source.loads()), (Some(1), 3));
    world.pass(600 * SECOND);
    assert!(
        matches!(world.read().0, Err(LoadError::Failed(_))),
        "older than the age limit"
    );
    world.source.broken(false);
    assert!(world.read().0.is_ok());
    let snapshot = world.cache.snapshot();
    assert_eq!((snapshot.rescued, snapshot.load_failures), (2, 3));
}

#[test]
fn that_there_is_nothing_is_remembered_for_its_own_time() {
    let executor = Executor::new();
    let config = CacheConfig::new().ttl(60 * SECOND).negative_ttl(5 * SECOND).jitter(0.0);
    let cache: Cache<u64, u64> = Cache::with_config(config, executor.clock()).unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let find = || {
        let asked = asked.clone();
        let load = || async move {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Broken>(Loaded::absent())
        };
        executor.block_on(cache.find_or_load(&1, load)).ok()
    };
    assert_eq!((find(), find()), (Some(None), Some(None)));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let absent = executor.block_on(cache.get_or_load(&1, || async { Ok::<_, Broken>(1) }));
    assert!(matches!(absent, Err(LoadError::Absent)));
    executor.run_for(5 * SECOND);
    assert_eq!((find(), asked.load(Ordering::Relaxed)), (Some(None), 2));
    assert_eq!(cache.snapshot().negative_hits, 2);
    assert_eq!(cache.get(&1), None);
}

#[test]
fn a_load_says_how_long_to_keep_what_it_brought() {
    let executor = Executor::new();
    let cache: Cache<u64, u64> = Cache::with_config(CacheConfig::new(), executor.clock()).unwrap();
    let load = |loaded: Loaded<u64>| {
        executor
            .block_on(cache.find_or_load(&1, || async { Ok::<_, Broken>(loaded) }))
            .ok()
    };
    assert_eq!(load(Loaded::found(1).not_kept()), Some(Some(1)));
    assert_eq!(load(Loaded::found(2).keep_for(3 * SECOND)), Some(Some(2)));
    assert_eq!(load(Loaded::found(3)), Some(Some(2)));
    executor.run_for(3 * SECOND);
    assert_eq!(load(Loaded::found(4)), Some(Some(4)));
    executor.run_for(100_000 * SECOND);
    assert_eq!(cache.get(&1), Some(4));
}
