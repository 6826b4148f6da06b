//! Keyed limiters as their users meet them, in virtual time.

use super::*;
use crate::error::ConfigError;
use crate::patterns::rate_limiter::{RateLimitError, RateLimiterConfig, SlidingWindowConfig, WarmUp};
use crate::sync::Random;
use crate::time::VirtualTime;
use std::collections::HashMap;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn limiter(config: KeyedConfig) -> (KeyedRateLimiter<u64>, VirtualTime) {
    let time = VirtualTime::new();
    let limiter = KeyedRateLimiter::with_config(config, time.clock());
    (limiter.expect("the test's settings make sense"), time)
}

fn quotas() -> [Quota; 3] {
    let window = SlidingWindowConfig::new(SECOND, 3);
    [
        RateLimiterConfig::new(3.0, 3).into(),
        window.into(),
        window.approximate(true).into(),
    ]
}

fn retry_after(result: Result<(), RateLimitError>) -> Option<Duration> {
    result.expect_err("it is refused").retry_after()
}

#[test]
fn each_key_has_a_quota_of_its_own_of_every_kind() {
    for quota in quotas() {
        let (keys, time) = limiter(KeyedConfig::new(quota, 100));
        for key in 0..10_u64 {
            assert_eq!(keys.try_acquire(&key, 2), Ok(()), "{quota:?}");
            assert_eq!(keys.try_acquire(&key, 1), Ok(()), "{quota:?}");
            assert!(
                retry_after(keys.try_acquire(&key, 1)) > Some(Duration::ZERO),
                "{quota:?}"
            );
            assert_eq!(retry_after(keys.try_acquire(&key, 4)), None, "{quota:?}");
            assert_eq!(keys.try_acquire(&key, 0), Ok(()), "{quota:?}");
        }
        assert_eq!(keys.len(), 10);
        let status = keys.status(&0);
        assert_eq!(
            (status.limit, status.remaining, status.window),
            (3, 0, SECOND),
            "{quota:?}"
        );
        time.advance(status.reset_after);
        assert_eq!(keys.status(&0).remaining, 3, "{quota:?}");
        assert_eq!(keys.try_acquire(&0, 3), Ok(()), "{quota:?}");
        let snapshot = keys.snapshot();
        assert_eq!((snapshot.allowed, snapshot.rejected, snapshot.keys), (31, 20, 10));
    }
}

#[test]
fn the_time_that_a_refusal_names_is_the_first_that_suffices() {
    for quota in quotas() {
        for seed in 0..100 {
            let random = Random::new(seed);
            let (keys, time) = limiter(KeyedConfig::new(quota, 100));
            for _ in 0..50 {
                time.advance(Duration::from_nanos(random.below(500_000_000)));
                let n = 1 + random.below(3);
                let Err(refused) = keys.try_acquire(&1, n) else {
                    continue;
                };
                let wait = refused.retry_after().unwrap();
                assert_eq!(keys.peek(&1, n), Err(refused), "{quota:?}, seed {seed}");
                if wait > Duration::from_nanos(1) {
                    time.advance(wait - Duration::from_nanos(1));
                    assert!(keys.try_acquire(&1, n).is_err(), "{quota:?}, seed {seed}: too early");
                    time.advance(Duration::from_nanos(1));
                } else {
                    time.advance(wait);
                }
                assert_eq!(keys.try_acquire(&1, n), Ok(()), "{quota:?}, seed {seed}: too late");
            }
        }
    }
}

#[test]
fn what_is_given_back_or_forgotten_can_be_had_again() {
    for quota in quotas() {
        let (keys, _) = limiter(KeyedConfig::new(quota, 100));
        assert_eq!(keys.try_acquire(&1, 3), Ok(()));
        keys.refund(&1, 2);
        keys.refund(&2, 2);
        assert_eq!(keys.status(&1).remaining, 2, "{quota:?}");
        assert_eq!(keys.try_acquire(&1, 2), Ok(()), "{quota:?}");
        assert!(keys.forget(&1) && !keys.forget(&1));
        assert_eq!(keys.try_acquire(&1, 3), Ok(()), "{quota:?}");
    }
}

#[test]
fn half_a_million_keys_stay_under_the_bound_and_their_memory_comes_back() {
    const MAX: usize = 100_000;
    let (keys, time) = limiter(KeyedConfig::new(RateLimiterConfig::new(10.0, 1).into(), MAX));
    let mut refused = 0;
    for key in 0..500_000_u64 {
        // A key is limited for 100 ms; 100,000 keys come in that time.
        time.advance(Duration::from_micros(1));
        refused += u64::from(keys.try_acquire(&key, 1).is_err());
        if key % 50_000 == 0 {
            assert!(keys.len() <= MAX, "{} keys", keys.len());
        }
    }
    let full = keys.snapshot();
    // An entry takes 25 bytes, and at least half of the slots are used.
    assert!(full.keys <= MAX as u64 && full.bytes <= MAX as u64 * 25 * 2, "{full:?}");
    assert!(
        full.evicted + refused + full.keys == 500_000 && refused < 50_000,
        "{full:?}, {refused} refused"
    );

    // Idle: a few new keys sweep the old ones out bit by bit, and at the latest somebody asks for it.
    time.advance(SECOND);
    for key in 1_000_000..1_050_000_u64 {
        let _ = keys.try_acquire(&key, 1);
        time.advance(10 * MS);
    }
    let swept = keys.snapshot();
    assert!(swept.keys < 10_000 && swept.bytes < full.bytes / 2, "{swept:?}");
    time.advance(SECOND);
    assert_eq!(keys.evict_idle() as u64, swept.keys.min(keys.snapshot().evicted));
    let idle = keys.snapshot();
    assert_eq!((idle.keys, idle.bytes), (0, 0));
}

#[test]
fn a_key_that_is_still_limited_is_never_forgotten() {
    for quota in quotas() {
        for seed in 0..30 {
            let random = Random::new(seed);
            let (keys, time) = limiter(KeyedConfig::new(quota, 20));
            // When each key was last seen limited, and until when at least it must stay so.
            let mut limited: HashMap<u64, crate::time::Tick> = HashMap::new();
            for step in 0..2_000 {
                time.advance(Duration::from_nanos(random.below(20_000_000)));
                let key = random.below(60);
                match keys.try_acquire(&key, 3) {
                    Ok(()) => {
                        let until = limited.insert(key, time.now() + keys.status(&key).reset_after);
                        assert!(
                            until.is_none_or(|until| until <= time.now()),
                            "{quota:?}, seed {seed}, step {step}: key {key} was forgotten"
                        );
                    }
                    Err(error) => assert!(error.retry_after().is_some()),
                }
                if random.below(50) == 0 {
                    keys.evict_idle();
                }
                assert!(keys.len() <= 20);
            }
            assert!(keys.snapshot().untracked > 0, "the table was never full");
        }
    }
}

#[test]
fn where_there_is_no_room_new_keys_are_refused_or_pass_untracked() {
    let quota: Quota = RateLimiterConfig::new(1.0, 1).into();
    let (keys, time) = limiter(KeyedConfig::new(quota, 3));
    for key in 0..3_u64 {
        assert_eq!(keys.try_acquire(&key, 1), Ok(()));
        time.advance(100 * MS);
    }
    let wait = retry_after(keys.try_acquire(&3, 1)).unwrap();
    assert_eq!(wait, 700 * MS, "the first to be idle makes room");
    time.advance(wait);
    assert_eq!(keys.try_acquire(&3, 1), Ok(()));

    let (open, _) = limiter(KeyedConfig::new(quota, 3).when_full(WhenFull::Admit));
    for key in 0..5_u64 {
        assert_eq!(open.try_acquire(&key, 1), Ok(()));
    }
    assert_eq!(open.try_acquire(&4, 1), Ok(()));
    assert!(open.try_acquire(&0, 1).is_err());
    let snapshot = open.snapshot();
    assert_eq!((snapshot.keys, snapshot.untracked, snapshot.allowed), (3, 3, 6));
}

#[test]
fn a_key_may_have_a_quota_of_its_own_and_keeps_what_it_used() {
    let (keys, time) = limiter(KeyedConfig::new(RateLimiterConfig::new(1.0, 2).into(), 100));
    assert_eq!(keys.try_acquire(&1, 2), Ok(()));
    keys.set_quota(1, RateLimiterConfig::new(10.0, 5)).unwrap();
    assert_eq!(retry_after(keys.try_acquire(&1, 1)), Some(100 * MS));
    assert_eq!(keys.try_acquire(&2, 2), Ok(()));
    assert_eq!(retry_after(keys.try_acquire(&2, 3)), None, "others keep theirs");
    time.advance(SECOND);
    assert_eq!(keys.try_acquire(&1, 5), Ok(()));

    // It outlasts the key's being forgotten, and a key that was never seen has it too.
    time.advance(10 * SECOND);
    assert_eq!(keys.evict_idle(), 2);
    keys.set_quota(9, RateLimiterConfig::new(1.0, 7)).unwrap();
    assert_eq!((keys.try_acquire(&1, 5), keys.try_acquire(&9, 7)), (Ok(()), Ok(())));

    keys.clear_quota(&9);
    assert_eq!(
        (keys.status(&9).limit, keys.status(&9).remaining),
        (2, 2),
        "seven of seven used, two of two there"
    );
    keys.clear_quota(&1);
    assert_eq!(retry_after(keys.try_acquire(&1, 3)), None);

    let wrong = |result: Result<(), ConfigError>| result.unwrap_err().setting;
    assert_eq!(wrong(keys.set_quota(1, SlidingWindowConfig::new(SECOND, 1))), "quota");
    assert_eq!(wrong(keys.set_quota(1, RateLimiterConfig::new(0.0, 1))), "rate");
    for key in 0..100 {
        keys.set_quota(key, RateLimiterConfig::new(1.0, 1)).unwrap();
    }
    assert_eq!(wrong(keys.set_quota(100, RateLimiterConfig::new(1.0, 1))), "max_keys");
}

#[test]
fn the_keys_that_are_refused_most_are_named_first() {
    let (keys, _) = limiter(KeyedConfig::new(RateLimiterConfig::new(1.0, 1).into(), 10_000));
    for key in 0..2_000_u64 {
        for _ in 0..=(key % 7) {
            let _ = keys.try_acquire(&key, 1);
        }
    }
    for _ in 0..50 {
        let _ = keys.try_acquire(&77, 1);
    }
    let _ = (0..30).map(|_| keys.try_acquire(&5, 1)).collect::<Vec<_>>();
    let top = keys.top_refused(3);
    assert_eq!(top[..2], [(77, 50), (5, 35)]);
    assert_eq!((top.len(), top[2].1), (3, 6));
    assert_eq!(keys.top_refused(0), []);
    assert_eq!(keys.top_refused(usize::MAX).len(), 2_000 - 2_000_usize.div_ceil(7) + 1);
}

#[test]
fn settings_change_for_all_keys_and_lose_nothing() {
    for (quota, larger) in [
        (quotas()[0], RateLimiterConfig::new(30.0, 30).into()),
        (quotas()[1], SlidingWindowConfig::new(10 * SECOND, 30).into()),
        (
            quotas()[2],
            SlidingWindowConfig::new(10 * SECOND, 30).approximate(true).into(),
        ),
    ] {
        let (keys, _) = limiter(KeyedConfig::new(quota, 10));
        assert_eq!(keys.try_acquire(&1, 3), Ok(()));
        let config = KeyedConfig::new(larger, 20);
        keys.reconfigure(config).unwrap();
        assert_eq!(keys.config(), config);
        let status = keys.status(&1);
        let expected = if let Quota::TokenBucket(_) = quota { 0 } else { 27 };
        assert_eq!((status.limit, status.remaining), (30, expected), "{quota:?}");
        assert_eq!(keys.try_acquire(&2, 30), Ok(()));
        let other = quotas().into_iter().find(|other| other.kind() != quota.kind()).unwrap();
        assert_eq!(
            keys.reconfigure(KeyedConfig::new(other, 20)).unwrap_err().setting,
            "quota"
        );
    }
}

#[test]
fn a_shadow_counts_and_admits() {
    let (keys, _) = limiter(KeyedConfig::new(RateLimiterConfig::new(1.0, 1).shadow(true).into(), 10));
    for _ in 0..3 {
        assert_eq!(keys.try_acquire(&1, 1), Ok(()));
    }
    let snapshot = keys.snapshot();
    assert_eq!((snapshot.allowed, snapshot.rejected, snapshot.shadowed), (1, 0, 2));
    assert_eq!(keys.top_refused(1), [(1, 2)]);
}

#[test]
fn years_of_uptime_are_survived() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let (keys, time) = limiter(KeyedConfig::new(RateLimiterConfig::new(1.0, 2).into(), 10));
    keys.set_quota(5, RateLimiterConfig::new(1.0 / 65_536.0, 1_000))
        .unwrap();
    assert_eq!(keys.try_acquire(&5, 1_000), Ok(()));
    for _ in 0..5 {
        time.advance(YEAR);
        assert_eq!(keys.try_acquire(&1, 2), Ok(()));
        assert!(keys.try_acquire(&1, 1).is_err());
    }
    assert_eq!(keys.status(&5).remaining, 1_000);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let refused = |quota: Quota, max_keys| KeyedRateLimiter::<u64>::try_new(quota, max_keys).unwrap_err().setting;
    let bucket = RateLimiterConfig::new(1.0, 1);
    assert_eq!(refused(bucket.into(), 0), "max_keys");
    assert_eq!(refused(bucket.into(), usize::MAX), "max_keys");
    assert_eq!(refused(RateLimiterConfig::new(f64::NAN, 1).into(), 1), "rate");
    assert_eq!(refused(bucket.max_wait(MS).into(), 1), "max_wait");
    assert_eq!(refused(bucket.start_empty(true).into(), 1), "start_empty");
    assert_eq!(refused(bucket.warm_up(WarmUp::new(SECOND, 3.0)).into(), 1), "warm_up");
    assert_eq!(
        refused(SlidingWindowConfig::new(SECOND, 1).max_wait(MS).into(), 1),
        "max_wait"
    );
    assert_eq!(refused(SlidingWindowConfig::new(SECOND, 0).into(), 1), "max_requests");
}

#[test]
fn threads_share_the_keys() {
    let (keys, _) = limiter(KeyedConfig::new(RateLimiterConfig::new(1.0, 100).into(), 10_000));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let keys = keys.clone();
            std::thread::spawn(move || {
                (0..5_000_u64)
                    .filter(|n| keys.try_acquire(&(n % 10), 1).is_ok())
                    .count()
            })
        })
        .collect();
    let admitted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(admitted, 1_000, "time stands still");
}

#[test]
fn a_borrowed_key_finds_an_owned_one() {
    let keys = KeyedRateLimiter::<String>::new(RateLimiterConfig::new(1.0, 1), 10);
    assert!(keys.try_acquire("ann", 1).is_ok());
    assert!(keys.try_acquire(&"ann".to_owned(), 1).is_err());
    assert!(keys.peek("ann", 1).is_err() && keys.peek("bob", 1).is_ok());
    assert_eq!(keys.len(), 1, "a peek keeps nothing");
}
