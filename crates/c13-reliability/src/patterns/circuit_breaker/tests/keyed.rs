//! A breaker for each key.

use super::*;
use crate::time::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn set(time: &VirtualTime, max_keys: usize) -> KeyedBreakers<u64> {
    KeyedBreakers::builder(CircuitBreakerConfig::new().consecutive_failures(1))
        .env(time.clock())
        .max_keys(max_keys)
        .build()
        .expect("good")
}

#[test]
fn keys_fail_on_their_own() {
    let hosts = KeyedBreakers::<String>::builder(CircuitBreakerConfig::new().consecutive_failures(1))
        .each(|host, breaker| breaker.name(host.as_str()))
        .build()
        .expect("good");
    hosts.get("a").try_acquire().expect("closed").failure();
    assert_eq!(hosts.get("a").current_state(), CircuitState::Open);
    assert_eq!(hosts.get("b").current_state(), CircuitState::Closed);
    assert_eq!(hosts.get("b").name(), "b");
    assert_eq!(hosts.len(), 2);
}

#[test]
fn it_never_holds_more_keys_than_it_may() {
    let time = VirtualTime::new();
    for max_keys in [1, 3, 100, 2_000] {
        let keys = set(&time, max_keys);
        for key in 0..10_000 {
            keys.get(&key);
            assert!(keys.len() <= max_keys);
        }
        assert!(
            keys.len() * 10 >= max_keys * 9,
            "and makes use of its room: {} of {max_keys}",
            keys.len()
        );
        assert_eq!(keys.evictions() + keys.len() as u64, 10_000);
    }
}

#[test]
fn closed_circuits_that_nobody_holds_go_first_and_forced_ones_last() {
    let time = VirtualTime::new();
    let keys = set(&time, 8);
    keys.get(&0).force_open();
    keys.get(&1).try_acquire().expect("closed").failure();
    let held = keys.get(&2);
    for key in 3..10_000 {
        time.advance(secs(0.001));
        keys.get(&key);
    }
    let left: Vec<u64> = keys.all().into_iter().map(|(key, _)| key).collect();
    assert!([0, 1, 2].iter().all(|key| left.contains(key)), "{left:?}");
    assert_eq!(keys.get(&1).current_state(), CircuitState::Open);
    held.force_open();
    assert_eq!(
        keys.get(&2).current_state(),
        CircuitState::ForcedOpen,
        "one key, one circuit"
    );
}

#[test]
fn of_those_that_may_go_the_one_asked_for_longest_ago_goes() {
    let time = VirtualTime::new();
    let keys = set(&time, 16);
    for key in 0..16 {
        time.advance(secs(1.0));
        keys.get(&key);
    }
    time.advance(secs(1.0));
    keys.get(&0);
    keys.get(&100);
    let left: Vec<u64> = keys.all().into_iter().map(|(key, _)| key).collect();
    assert!(left.contains(&0) && !left.contains(&1), "{left:?}");
}

#[test]
fn a_circuit_that_is_not_closed_never_makes_room_and_the_keys_without_room_share_a_breaker() {
    let time = VirtualTime::new();
    let keys = set(&time, 4);
    for key in 0..100 {
        if let Ok(permit) = keys.get(&key).try_acquire() {
            permit.failure();
        }
    }
    assert_eq!(keys.len(), 4);
    let mut left: Vec<u64> = keys.all().into_iter().map(|(key, _)| key).collect();
    left.sort_unstable();
    assert_eq!((left, keys.evictions()), (vec![0, 1, 2, 3], 0));
    assert_eq!(keys.without_room(), 96);
    assert!((0..4).all(|key| keys.get(&key).current_state() == CircuitState::Open));
    assert_eq!(
        keys.get(&50).current_state(),
        CircuitState::Open,
        "that of all the others"
    );

    // Once one of them has recovered it is the first to go.
    keys.get(&2).reset();
    assert_eq!(keys.get(&50).current_state(), CircuitState::Closed);
    let mut left: Vec<u64> = keys.all().into_iter().map(|(key, _)| key).collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 3, 50]);
}

#[test]
fn an_idle_circuit_that_refuses_calls_stays() {
    let time = VirtualTime::new();
    let config = CircuitBreakerConfig::new()
        .consecutive_failures(1)
        .open_for(secs(7200.0));
    let keys = KeyedBreakers::builder(config)
        .env(time.clock())
        .max_keys(1_000)
        .build()
        .expect("good");
    keys.get(&0).try_acquire().expect("closed").failure();
    let ask_for_others = |keys: &KeyedBreakers<u64>, from: u64| {
        for key in from..from + 100 {
            keys.get(&key);
        }
    };
    time.advance(secs(3600.0));
    ask_for_others(&keys, 1_000);
    assert_eq!(keys.all().iter().filter(|(key, _)| *key == 0).count(), 1);
    time.advance(secs(3600.0));
    ask_for_others(&keys, 2_000);
    ask_for_others(&keys, 3_000);
    assert_eq!(
        keys.all().iter().filter(|(key, _)| *key == 0).count(),
        0,
        "its open time is over"
    );
}

#[test]
fn keys_that_nobody_asks_for_go_when_new_ones_come() {
    let time = VirtualTime::new();
    let keys = set(&time, 1_000);
    for key in 0..100 {
        keys.get(&key);
    }
    keys.get(&0).force_open();
    time.advance(secs(3600.0));
    for key in 1_000..1_200 {
        keys.get(&key);
    }
    let left: Vec<u64> = keys.all().into_iter().map(|(key, _)| key).collect();
    assert_eq!(
        left.iter().filter(|key| **key < 1_000).copied().collect::<Vec<_>>(),
        [0]
    );
    assert_eq!(left.len(), 201);
}

#[test]
fn a_removed_key_starts_anew() {
    let time = VirtualTime::new();
    let keys = set(&time, 10);
    keys.get(&1).force_open();
    assert_eq!(
        keys.remove(&1).expect("it was there").current_state(),
        CircuitState::ForcedOpen
    );
    assert!(keys.remove(&1).is_none() && keys.is_empty());
    assert_eq!(keys.get(&1).current_state(), CircuitState::Closed);
}

#[test]
fn a_change_reaches_all_keys_and_those_to_come() {
    let time = VirtualTime::new();
    let keys = set(&time, 10);
    keys.get(&1);
    let config = CircuitBreakerConfig::new().consecutive_failures(7);
    keys.reconfigure(config).expect("good");
    assert_eq!(keys.get(&1).config(), config);
    assert_eq!(keys.get(&2).config(), config);
    assert!(keys.reconfigure(CircuitBreakerConfig::new()).is_err());
}

#[test]
fn threads_that_ask_for_one_key_get_one_circuit() {
    let made = Arc::new(AtomicU64::new(0));
    let count = made.clone();
    let keys = KeyedBreakers::<u64>::builder(CircuitBreakerConfig::default())
        .each(move |_, breaker| {
            // Relaxed: read after the threads are joined.
            count.fetch_add(1, Ordering::Relaxed);
            breaker
        })
        .build()
        .expect("good");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for key in 0..100 {
                    keys.get(&key).try_acquire().expect("closed").success();
                }
            });
        }
    });
    // Relaxed: the threads are joined.
    assert!(
        made.load(Ordering::Relaxed) >= 100,
        "some may be made in vain, at a race"
    );
    assert_eq!(keys.len(), 100);
    for (_, breaker) in keys.all() {
        assert_eq!(breaker.metrics().success_count, 8);
    }
}

#[test]
fn a_compact_breaker_behaves_like_any_other() {
    let rule = FailureRate::new(0.5, Window::Time(secs(10.0)), 4);
    let time = VirtualTime::new();
    let breaker = CircuitBreaker::builder(CircuitBreakerConfig::new().failure_rate(rule))
        .env(time.clock())
        .compact()
        .build()
        .expect("good");
    let bench = Bench { time, breaker };
    bench
        .calls("SSSSFFF")
        .is(CircuitState::Closed)
        .calls("F")
        .is(CircuitState::Open);
}

#[test]
fn settings_of_the_set_that_make_no_sense_are_refused_by_name() {
    let build = |max_keys, idle, config| {
        KeyedBreakers::<u64>::builder(config)
            .max_keys(max_keys)
            .idle_after(idle)
            .env(Clock::system())
            .build()
            .expect_err("refused")
            .setting
    };
    let ok = CircuitBreakerConfig::default();
    assert_eq!(build(0, secs(1.0), ok), "max_keys");
    assert_eq!(build(usize::MAX, secs(1.0), ok), "max_keys");
    assert_eq!(build(1, Duration::ZERO, ok), "idle_after");
    for bytes in [0, (1 << 20) + 1] {
        let built = KeyedBreakers::<u64>::builder(ok).max_key_bytes(bytes).build();
        assert_eq!(built.expect_err("refused").setting, "max_key_bytes");
    }
    assert_eq!(build(1, secs(1.0), ok.consecutive_failures(0)), "consecutive_failures");
}
