//! Keys of strangers: what is kept of them is bounded in bytes, and told.

use c13_reliability::patterns::circuit_breaker::{CircuitBreakerConfig, FailuresWithin, KeyedBreakers};
use c13_reliability::patterns::rate_limiter::{
    KeyedConfig, KeyedRateLimiter, Quota, RateLimitError, RateLimiterConfig, SlidingWindowConfig,
};
use c13_reliability::time::Clock;
use std::time::Duration;

const BUCKET: RateLimiterConfig = RateLimiterConfig::new(0.001, 1);

fn limiter(config: KeyedConfig) -> KeyedRateLimiter<String> {
    KeyedRateLimiter::with_config(config, Clock::system()).expect("the settings are right")
}

fn quotas() -> [Quota; 3] {
    let window = SlidingWindowConfig::new(Duration::from_secs(3_600), 5);
    [BUCKET.into(), window.into(), window.approximate(true).into()]
}

#[test]
fn a_key_that_is_too_long_is_refused_and_nothing_is_kept_of_it() {
    for quota in quotas() {
        let users = limiter(KeyedConfig::new(quota, 1_000));
        let header = "k".repeat(300_000);
        let refused = Err(RateLimitError::KeyTooLong {
            length: 300_000,
            longest: 1_024,
        });
        let held = allocation_counter::measure(|| {
            for _ in 0..400 {
                assert_eq!(users.try_acquire(header.as_str(), 1), refused);
                assert_eq!(users.decide(header.as_str(), 1).0, refused);
                assert_eq!(users.peek(header.as_str(), 1), refused);
            }
        });
        assert_eq!((held.bytes_total, users.len()), (0, 0), "{quota:?}");
        let counts = users.snapshot();
        assert_eq!((counts.rejected, counts.untracked, counts.bytes), (800, 800, 0));
        // As long as may be.
        assert!(users.try_acquire("k".repeat(1_024).as_str(), 1).is_ok());
    }
}

#[test]
fn the_snapshot_tells_the_bytes_that_are_held() {
    for quota in quotas() {
        let users = limiter(KeyedConfig::new(quota, 10_000));
        let key = |at: usize| format!("{at:0>1000}");
        let told_truly = |bytes: i64| {
            let told = users.snapshot().bytes as i64;
            assert!(
                (told - bytes).abs() * 50 <= bytes,
                "{quota:?}: {told} bytes are told, {bytes} are held"
            );
        };
        let mut held = allocation_counter::measure(|| {
            for at in 0..1_000 {
                assert!(users.try_acquire(key(at).as_str(), 1).is_ok());
            }
        })
        .bytes_current;
        assert!(held > 1_000_000);
        told_truly(held);
        held += allocation_counter::measure(|| {
            for at in 0..100 {
                users.set_quota(key(at), quota).expect("of the same kind");
            }
            for at in 500..1_000 {
                assert!(users.forget(key(at).as_str()));
            }
        })
        .bytes_current;
        told_truly(held);
    }
}

#[test]
fn the_keys_that_were_refused_most_are_no_more_than_were_asked_for_while_they_are_looked_for() {
    let users = limiter(KeyedConfig::new(BUCKET.into(), 10_000));
    for at in 0..2_000 {
        let key = format!("{at:0>1000}");
        assert!(users.try_acquire(key.as_str(), 1).is_ok());
        // All of them as often.
        assert!(users.try_acquire(key.as_str(), 1).is_err());
    }
    let mut top = Vec::new();
    let held = allocation_counter::measure(|| top = users.top_refused(3));
    assert_eq!(top.len(), 3);
    assert!(held.bytes_max < 100_000, "{} bytes", held.bytes_max);
}

#[test]
fn breakers_of_keys_whose_windows_would_not_fit_into_memory_are_refused() {
    let large = CircuitBreakerConfig::new().failures_within(FailuresWithin::new(65_536, Duration::from_secs(60)));
    let error = KeyedBreakers::<String>::builder(large).build().expect_err("5 GiB");
    assert!(error.to_string().contains("`max_bytes`"), "{error}");
    let few = KeyedBreakers::<String>::builder(large)
        .max_keys(100)
        .build()
        .expect("50 MiB");
    // Windows are made as they fill.
    let held = allocation_counter::measure(|| {
        for at in 0..100 {
            let _ = few.get(&format!("host-{at}"));
        }
    });
    assert!(held.bytes_current < 1_000_000, "{} bytes", held.bytes_current);
    assert!(few.bytes() as i64 >= held.bytes_current);
    assert!(few.bytes() <= 100 * 600_000, "{}", few.bytes());

    let small = CircuitBreakerConfig::new().consecutive_failures(5);
    let hosts = KeyedBreakers::<String>::builder(small)
        .build()
        .expect("10,000 small ones");
    assert!(hosts.reconfigure(large).is_err(), "they would grow");
    let held = allocation_counter::measure(|| {
        for at in 0..1_000 {
            let _ = hosts.get(&format!("host-{at}"));
        }
    });
    assert!(
        hosts.bytes() as i64 >= held.bytes_current,
        "{} {}",
        hosts.bytes(),
        held.bytes_current
    );
    assert!(
        hosts.bytes() as i64 <= 4 * held.bytes_current,
        "{} {}",
        hosts.bytes(),
        held.bytes_current
    );
}

#[test]
fn a_key_that_is_too_long_gets_no_breaker_of_its_own_and_nothing_is_kept_of_it() {
    let hosts = KeyedBreakers::<String>::builder(CircuitBreakerConfig::new().consecutive_failures(1))
        .each(|host, breaker| breaker.name(host))
        .build()
        .expect("the settings are right");
    let (empty, header) = (hosts.bytes(), "k".repeat(300_000));
    let held = allocation_counter::measure(|| {
        for at in 0..400 {
            let _ = hosts.get(format!("{at}{header}").as_str());
        }
    });
    assert!(held.bytes_current < 10_000, "{} bytes are kept", held.bytes_current);
    assert_eq!((hosts.len(), hosts.evictions(), hosts.bytes()), (0, 0, empty));
    assert_eq!(hosts.too_long(), 400);
    // They share a breaker, and so are guarded.
    let of_long_keys = |at: usize| hosts.get(format!("{at}{header}").as_str());
    of_long_keys(1).try_acquire().expect("closed").failure();
    assert!(of_long_keys(2).try_acquire().is_err());
    assert!(hosts.remove(header.as_str()).is_none() && hosts.all().is_empty());
    let changed = CircuitBreakerConfig::new().consecutive_failures(7);
    hosts.reconfigure(changed).expect("the settings are right");
    assert_eq!(of_long_keys(3).config(), changed);
    // As long as may be.
    let _ = hosts.get("k".repeat(1_024).as_str());
    assert_eq!(hosts.len(), 1);
    let short = KeyedBreakers::<String>::builder(changed).max_key_bytes(3).build();
    let short = short.expect("the settings are right");
    let _ = (short.get("abc"), short.get("abcd"));
    assert_eq!((short.len(), short.too_long()), (1, 1));
}

#[test]
fn keyed_breakers_tell_the_bytes_of_their_keys() {
    let small = CircuitBreakerConfig::new().consecutive_failures(5);
    let hosts = KeyedBreakers::<String>::builder(small)
        .each(|host, breaker| breaker.name(host))
        .build()
        .expect("10,000 small ones");
    let empty = hosts.bytes();
    let key = |at: usize| format!("{at:0>1000}");
    let held = allocation_counter::measure(|| {
        for at in 0..1_000 {
            let _ = hosts.get(key(at).as_str());
        }
    });
    let told = (hosts.bytes() - empty) as i64;
    assert!(held.bytes_current > 3_000_000, "{}", held.bytes_current);
    assert!(
        (held.bytes_current..=3 * held.bytes_current).contains(&told),
        "{told} bytes are told, {} are held",
        held.bytes_current
    );
    for at in 0..1_000 {
        assert!(hosts.remove(key(at).as_str()).is_some());
    }
    assert_eq!(hosts.bytes(), empty);
}
