//! What a user of rate limiters relies on, through the public names only.

use c13_reliability::patterns::rate_limiter::{
    KeyedConfig, KeyedRateLimiter, Quota, RateLimitError, RateLimiterConfig, ShardedRateLimiter, SlidingWindowConfig,
    SlidingWindowRateLimiter, TokenBucketRateLimiter, WhenFull,
};
use c13_reliability::time::{Clock, Executor, Tick};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn no_number_of_threads_gets_more_than_the_burst_and_the_rate() {
    let clock = Clock::system();
    let bucket = TokenBucketRateLimiter::with_config(RateLimiterConfig::new(1_000.0, 50), clock.clone())
        .expect("the settings are good");
    let admitted = Arc::new(AtomicU64::new(0));
    let start = clock.now();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (bucket, admitted) = (bucket.clone(), admitted.clone());
            std::thread::spawn(move || {
                for _ in 0..50_000 {
                    if bucket.try_acquire(1).is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
    let bound = 50.0 + 1_000.0 * (clock.now() - start).as_secs_f64();
    let admitted = admitted.load(Ordering::Relaxed);
    assert!(
        (50.0..=bound).contains(&(admitted as f64)),
        "{admitted} of at most {bound}"
    );
}

#[test]
fn a_slow_rate_polled_a_million_times_a_second_loses_nothing() {
    let executor = Executor::new();
    let bucket = TokenBucketRateLimiter::with_config(RateLimiterConfig::new(10.0, 1), executor.clock())
        .expect("the settings are good");
    let time = executor.time();
    let mut admitted = 0;
    for _ in 0..3_000_000 {
        admitted += u64::from(bucket.try_acquire(1).is_ok());
        time.advance(Duration::from_micros(1));
    }
    assert!(
        (30..=31).contains(&admitted),
        "{admitted} in 3 s at 10/s and a burst of 1"
    );
}

#[test]
fn waiting_callers_are_served_in_their_order_and_at_the_rate() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = RateLimiterConfig::new(10.0, 1).max_wait(Duration::from_secs(10));
    let bucket = TokenBucketRateLimiter::with_config(config, clock.clone()).expect("the settings are good");
    let served: Vec<_> = (0..5)
        .map(|_| {
            let (bucket, clock) = (bucket.clone(), clock.clone());
            executor.spawn(async move {
                bucket.acquire(1).await.expect("everybody has the patience");
                clock.now()
            })
        })
        .collect();
    executor.run_until_idle();
    let times: Vec<_> = served.iter().map(|call| call.take().expect("served")).collect();
    for (turn, at) in (0_u32..).zip(&times) {
        let due = Tick::ZERO + 100 * MS * turn;
        assert!(*at >= due && *at <= due + MS, "turn {turn} at {at:?}");
    }
}

#[test]
fn a_request_that_can_never_be_met_is_told_apart_and_a_refusal_says_when_to_come_back() {
    let executor = Executor::new();
    let bucket = TokenBucketRateLimiter::with_config(RateLimiterConfig::new(10.0, 5), executor.clock())
        .expect("the settings are good");
    assert!(!matches!(
        bucket.try_acquire(6),
        Ok(()) | Err(RateLimitError::RateLimitExceeded { .. })
    ));
    bucket.try_acquire(5).expect("the bucket is full");
    match bucket.try_acquire(3) {
        Err(RateLimitError::RateLimitExceeded {
            requested,
            available,
            retry_after,
        }) => {
            assert_eq!((requested, available), (3, 0));
            executor.time().advance(retry_after - Duration::from_nanos(1_000));
            assert!(bucket.try_acquire(3).is_err(), "not before the time it named");
            executor.time().advance(Duration::from_nanos(1_000));
            assert!(bucket.try_acquire(3).is_ok(), "at the time it named");
        }
        other => panic!("an empty bucket refuses, but got {other:?}"),
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e12] {
        assert!(TokenBucketRateLimiter::try_new(5, rate).is_err(), "{rate}");
    }
    assert!(TokenBucketRateLimiter::try_new(0, 1.0).is_err());
    assert!(SlidingWindowRateLimiter::try_new(Duration::ZERO, 1).is_err());
    assert!(SlidingWindowRateLimiter::try_new(MS, 0).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_window_holds_no_more_than_its_number_however_it_is_cut() {
    let clock = Clock::tokio();
    let config = SlidingWindowConfig::new(100 * MS, 3);
    let window = SlidingWindowRateLimiter::with_config(config, clock.clone()).expect("the settings are good");
    let mut admitted = Vec::new();
    for _ in 0..500 {
        if window.acquire().await.is_ok() {
            admitted.push(clock.now());
        }
        tokio::time::advance(7 * MS).await;
    }
    assert!(admitted.len() > 90);
    for four in admitted.windows(4) {
        assert!(four[3] - four[0] >= 100 * MS, "{four:?}");
    }
}

/// A keyed limiter in virtual time.
fn keyed<K: std::hash::Hash + Eq>(quota: impl Into<Quota>, max_keys: usize) -> (KeyedRateLimiter<K>, Executor) {
    let executor = Executor::new();
    let config = KeyedConfig::new(quota.into(), max_keys);
    let limiter = KeyedRateLimiter::with_config(config, executor.clock()).expect("the settings are good");
    (limiter, executor)
}

#[test]
fn each_key_has_the_whole_quota_of_any_kind_and_no_more() {
    let bucket = RateLimiterConfig::new(10.0, 3);
    let window = SlidingWindowConfig::new(300 * MS, 3);
    for quota in [Quota::from(bucket), window.into(), window.approximate(true).into()] {
        let (users, executor) = keyed::<String>(quota, 1_000);
        for key in ["ann", "bob", "cy"] {
            for _ in 0..3 {
                assert_eq!(users.try_acquire(key, 1), Ok(()), "{key} by {quota:?}");
            }
            let refused = users.try_acquire(key, 1).expect_err("the quota is used up");
            let RateLimitError::RateLimitExceeded {
                requested: 1,
                available: 0,
                retry_after,
            } = refused
            else {
                panic!("{refused:?} by {quota:?}");
            };
            assert!(!retry_after.is_zero());
            assert_eq!(
                users.try_acquire(key, 4),
                Err(RateLimitError::ExceedsCapacity {
                    requested: 4,
                    capacity: 3
                })
            );
        }
        assert_eq!(users.len(), 3);
        executor.time().advance(600 * MS);
        assert_eq!(users.try_acquire("ann", 3), Ok(()), "a rested key by {quota:?}");
    }
}

#[test]
fn the_time_that_a_keyed_refusal_names_is_the_shortest_that_suffices() {
    let (users, executor) = keyed::<u64>(RateLimiterConfig::new(7.0, 5), 100);
    for n in [5, 1, 3, 5, 2] {
        while users.try_acquire(&1, n).is_ok() {}
        let refused = users.try_acquire(&1, n).expect_err("the quota is used up");
        let wait = refused.retry_after().expect("it is never too much");
        executor.time().advance(wait - Duration::from_nanos(1));
        assert!(users.try_acquire(&1, n).is_err(), "{n} before {wait:?} are over");
        executor.time().advance(Duration::from_nanos(1));
        assert_eq!(users.try_acquire(&1, n), Ok(()), "{n} after {wait:?}");
    }
}

#[test]
fn a_keyed_limiter_keeps_its_bound_and_never_forgets_a_limited_key() {
    let (users, executor) = keyed::<u64>(RateLimiterConfig::new(1.0, 2), 500);
    let limited: Vec<u64> = (0..500).filter(|key| users.try_acquire(key, 2).is_ok()).collect();
    assert!(limited.len() >= 400, "{} of 500 keys have room", limited.len());
    let mut others_admitted = 0;
    for key in 1_000..21_000 {
        others_admitted += u64::from(users.try_acquire(&key, 1).is_ok());
    }
    assert!(users.len() <= 500, "{} keys", users.len());
    assert!(
        others_admitted <= 100,
        "{others_admitted} new keys found room among limited ones"
    );
    for key in &limited {
        assert!(
            users.try_acquire(key, 1).is_err(),
            "{key} was forgotten while it was limited"
        );
    }
    // Idle keys make room, one by one, for whoever comes.
    executor.time().advance(Duration::from_secs(3));
    for key in 30_000..130_000 {
        assert_eq!(users.try_acquire(&key, 1), Ok(()), "{key}");
        executor.time().advance(10 * MS);
    }
    assert!(users.len() <= 500, "{} keys", users.len());
    executor.time().advance(Duration::from_secs(3));
    users.evict_idle();
    assert!(users.is_empty());
    assert_eq!(users.snapshot().bytes, 0);
}

#[test]
fn a_full_keyed_limiter_lets_new_keys_pass_if_it_is_told_to() {
    let executor = Executor::new();
    let quota = RateLimiterConfig::new(0.1, 1).into();
    let config = KeyedConfig::new(quota, 100).when_full(WhenFull::Admit);
    let users = KeyedRateLimiter::with_config(config, executor.clock()).expect("the settings are good");
    assert!((0..10_000_u64).all(|key| users.try_acquire(&key, 1).is_ok()));
    let snapshot = users.snapshot();
    assert!(users.len() <= 100 && snapshot.untracked >= 9_900, "{snapshot:?}");
}

#[test]
fn a_key_with_a_quota_of_its_own_goes_by_it_until_it_is_cleared_and_the_busiest_come_first() {
    let (users, executor) = keyed::<String>(RateLimiterConfig::new(1.0, 1), 1_000);
    let own = RateLimiterConfig::new(10.0, 20);
    users.set_quota("vip".to_owned(), own).expect("the quota is good");
    let admitted = |key: &str| (0..50).filter(|_| users.try_acquire(key, 1).is_ok()).count();
    assert_eq!((admitted("vip"), admitted("ann")), (20, 1));
    assert_eq!(users.status("vip").limit, 20);
    assert_eq!(
        users.top_refused(5),
        [("ann".to_owned(), 49), ("vip".to_owned(), 30)],
        "the one that was refused most comes first"
    );
    executor.time().advance(Duration::from_secs(1));
    assert_eq!((admitted("vip"), admitted("ann")), (10, 1));
    users.clear_quota("vip");
    executor.time().advance(Duration::from_secs(60));
    assert_eq!((admitted("vip"), admitted("ann")), (1, 1));
}

#[test]
fn threads_that_share_keys_get_no_more_than_each_quota() {
    let (users, _executor) = keyed::<u64>(RateLimiterConfig::new(1.0, 40), 1_000);
    let admitted: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let users = users.clone();
                scope.spawn(move || {
                    let taken = |key: &u64| (0..40).filter(|_| users.try_acquire(key, 1).is_ok()).count() as u64;
                    (0..200).map(|key| taken(&key)).collect::<Vec<_>>()
                })
            })
            .collect();
        let counts: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .collect();
        (0..200)
            .map(|key| counts.iter().map(|of_one| of_one[key]).sum())
            .collect()
    });
    assert!(admitted.iter().all(|count| *count == 40), "{admitted:?}");
}

#[test]
fn a_sharded_bucket_lends_to_threads_and_keeps_the_hard_bound() {
    let executor = Executor::new();
    let (capacity, rate) = (10_000, 1_000.0);
    let bucket = ShardedRateLimiter::with_config(RateLimiterConfig::new(rate, capacity), executor.clock())
        .expect("the settings are good");
    let mut admitted = 0;
    for round in 0..5_u64 {
        admitted += std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let bucket = bucket.clone();
                    scope.spawn(move || (0..20_000).filter(|_| bucket.try_acquire(1).is_ok()).count() as u64)
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no thread panics"))
                .sum::<u64>()
        });
        let bound = capacity + 1_000 * round;
        assert!(admitted <= bound, "{admitted} of at most {bound} in round {round}");
        // What may lie with threads that do not ask for it is half of the capacity at most.
        assert!(
            admitted >= bound - capacity / 2,
            "{admitted} of {bound} in round {round}"
        );
        executor.time().advance(Duration::from_secs(1));
    }
    assert!(matches!(
        bucket.try_acquire(capacity),
        Err(RateLimitError::ExceedsCapacity { .. })
    ));
    let snapshot = bucket.snapshot();
    assert_eq!(
        (snapshot.allowed, snapshot.rejected),
        (admitted, 5 * 80_000 - admitted + 1)
    );
    assert!(
        ShardedRateLimiter::try_new(100, 10.0).is_err(),
        "too small to lend from"
    );
}

#[test]
fn reservations_come_due_in_turn_and_a_cancelled_one_moves_the_others_up() {
    let executor = Executor::new();
    let config = RateLimiterConfig::new(10.0, 1).max_wait(Duration::from_secs(1));
    let bucket = TokenBucketRateLimiter::with_config(config, executor.clock()).expect("the settings are good");
    let now = bucket.reserve(1).expect("the bucket is full");
    let [first, second, third] = [(); 3].map(|()| bucket.reserve(1).expect("within the patience"));
    let waits = [&now, &first, &second, &third].map(|reservation| reservation.wait());
    assert_eq!(waits, [Duration::ZERO, 100 * MS, 200 * MS, 300 * MS]);
    assert!(bucket.try_acquire(1).is_err(), "what is reserved is out of reach");
    assert!(now.try_redeem().is_ok());

    first.cancel();
    assert_eq!([second.wait(), third.wait()], [100 * MS, 200 * MS]);
    let second = second.try_redeem().expect_err("its time has not come");
    executor.time().advance(100 * MS);
    assert!(second.try_redeem().is_ok());

    // Awaited, it is served at its time; a longer wait than the patience is refused at once.
    let clock = executor.clock();
    let served = executor.spawn(async move {
        third.redeem().await;
        clock.now()
    });
    executor.run_until_idle();
    assert_eq!(served.take(), Some(Tick::ZERO + 200 * MS));
    let kept: Vec<_> = (0..10)
        .map(|_| bucket.reserve(1).expect("within the patience"))
        .collect();
    let refused = bucket.reserve(1).expect_err("eleven tenths of a second are too long");
    assert_eq!(refused.retry_after(), Some(1_100 * MS));
    drop(kept);
    assert!(
        bucket.reserve(1).is_ok_and(|next| next.wait() == 100 * MS),
        "all that was dropped is free again"
    );
}

#[test]
fn nothing_is_always_there_even_while_a_paced_bucket_pays_off_what_it_sold() {
    let config = RateLimiterConfig::new(10.0, 5).paced(true);
    let executor = Executor::new();
    let bucket = TokenBucketRateLimiter::with_config(config, executor.clock()).expect("the settings are good");
    assert_eq!(bucket.try_acquire(5), Ok(()));
    assert_eq!((bucket.try_acquire(0), bucket.try_acquire(1).is_ok()), (Ok(()), false));
    let (users, _executor) = keyed::<u64>(config, 10);
    assert_eq!(users.try_acquire(&1, 5), Ok(()));
    assert_eq!(
        (users.try_acquire(&1, 0), users.try_acquire(&1, 1).is_ok()),
        (Ok(()), false)
    );
}

#[test]
fn a_waiter_behind_one_that_is_kept_unpolled_is_served_at_most_a_second_late() {
    let executor = Executor::new();
    let clock = executor.clock();
    let config = RateLimiterConfig::new(1.0, 1).max_wait(Duration::from_secs(60));
    let limiter = TokenBucketRateLimiter::with_config(config, clock.clone()).expect("good");
    limiter.try_acquire(1).expect("it is full");
    let mut kept = Box::pin(limiter.acquire(1));
    let once = poll_fn(|cx| Poll::Ready(kept.as_mut().poll(cx)));
    assert!(executor.block_on(once).is_pending());
    let behind: Vec<_> = (0..3)
        .map(|_| {
            let (limiter, clock) = (limiter.clone(), clock.clone());
            executor.spawn(async move { limiter.acquire(1).await.map(|_| clock.now()) })
        })
        .collect();
    executor.run_for(Duration::from_secs(10));
    for (due, waiter) in (2..).zip(behind) {
        let served = waiter.take().expect("it was served").expect("in time");
        let due = Tick::ZERO + Duration::from_secs(due);
        assert!((due..=due + Duration::from_secs(1)).contains(&served), "{served:?}");
    }
    assert!(executor.block_on(kept).is_ok(), "its token is kept for it");
}
