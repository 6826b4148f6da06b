//! The peers' rate limiters, with plenty and with nothing left.

use super::tower_call::call;
use crate::case::Cases;
use crate::cases::drive::{HOUR, keys, succeed};
use governor::{Quota, RateLimiter};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tower::Layer as _;
use tower_resilience_ratelimiter::{RateLimiterLayer, WindowType};

pub(in crate::cases) fn add(cases: &mut Cases) {
    governor(cases);
    leaky_bucket(cases);
    ratelimit(cases);
    tower_resilience(cases);
}

fn governor(cases: &mut Cases) {
    let plenty = Quota::per_second(NonZeroU32::new(1_000_000_000).expect("not zero"));
    let scarce = Quota::per_hour(NonZeroU32::MIN);
    cases.other(
        "limiter/governor, allowed",
        move || Arc::new(RateLimiter::direct(plenty)),
        |limiter, _| {
            let limiter = limiter.clone();
            move || assert!(black_box(limiter.check()).is_ok())
        },
    );
    let empty = move || {
        let limiter = RateLimiter::direct(scarce);
        assert!(limiter.check().is_ok());
        Arc::new(limiter)
    };
    cases.other("limiter/governor, refused", empty, |limiter, _| {
        let limiter = limiter.clone();
        move || assert!(black_box(limiter.check()).is_err())
    });
    for (name, count) in [
        ("limiter/governor keyed, 1,000 keys", 1_000),
        ("limiter/governor keyed, 1,000,000 keys", 1_000_000),
    ] {
        let setup = move || {
            let limiter = RateLimiter::dashmap(plenty);
            for key in 0..count {
                assert!(limiter.check_key(&key).is_ok());
            }
            (Arc::new(limiter), [keys(count, 1), keys(count, 2)])
        };
        let case = cases.other(name, setup, |(limiter, keys), thread| {
            let (limiter, keys) = (limiter.clone(), keys[thread % 2].clone());
            let mut next = 0;
            move || {
                let key = u64::from(keys[next & (keys.len() - 1)]);
                next += 1;
                assert!(black_box(limiter.check_key(&key)).is_ok());
            }
        });
        if count > 1_000 {
            case.uncounted();
        }
    }
}

fn leaky_bucket(cases: &mut Cases) {
    let plenty = || {
        let mut bucket = leaky_bucket::RateLimiter::builder();
        bucket
            .max(1 << 60)
            .initial(1 << 60)
            .refill(1_000_000)
            .interval(Duration::from_secs(1));
        Arc::new(bucket.build())
    };
    cases.other("limiter/leaky-bucket, allowed", plenty, |limiter, _| {
        let limiter = limiter.clone();
        move || assert!(black_box(limiter.try_acquire(1)))
    });
    let empty = || {
        Arc::new(
            leaky_bucket::RateLimiter::builder()
                .max(1)
                .initial(0)
                .refill(1)
                .interval(HOUR)
                .build(),
        )
    };
    cases.other("limiter/leaky-bucket, refused", empty, |limiter, _| {
        let limiter = limiter.clone();
        move || assert!(!black_box(limiter.try_acquire(1)))
    });
}

fn ratelimit(cases: &mut Cases) {
    const PLENTY: u64 = 10_000_000_000_000;
    let plenty = || {
        let limiter = ratelimit::Ratelimiter::builder(1_000_000_000)
            .max_tokens(PLENTY)
            .initial_available(PLENTY);
        Arc::new(limiter.build().expect("the settings are good"))
    };
    cases.other("limiter/ratelimit, allowed", plenty, |limiter, _| {
        let limiter = limiter.clone();
        move || assert!(black_box(limiter.try_wait()).is_ok())
    });
    let empty = || {
        let limiter = ratelimit::Ratelimiter::builder(1).period(HOUR).max_tokens(1);
        Arc::new(limiter.build().expect("the settings are good"))
    };
    cases.other("limiter/ratelimit, refused", empty, |limiter, _| {
        let limiter = limiter.clone();
        move || assert!(black_box(limiter.try_wait()).is_err())
    });
}

fn tower_resilience(cases: &mut Cases) {
    macro_rules! plenty {
        ($name:expr, $layer:expr) => {{
            let setup = || {
                let layer = $layer.limit_for_period(1 << 50).refresh_period(HOUR).build();
                layer.expect("the settings are good").layer(tower::service_fn(succeed))
            };
            cases.other($name, setup, |service, _| {
                let mut service = service.clone();
                move || assert!(call(&mut service, 1_u64).is_ok())
            });
        }};
    }
    plenty!(
        "limiter/tower-resilience, token bucket",
        RateLimiterLayer::builder().burst_size(1 << 50)
    );
    // Its exact window is asked with many times in it, as ours is.
    let exact = || {
        let layer = RateLimiterLayer::builder()
            .limit_for_period(1 << 22)
            .refresh_period(Duration::from_millis(1));
        let layer = layer.window_type(WindowType::SlidingLog).build();
        layer.expect("the settings are good").layer(tower::service_fn(succeed))
    };
    cases.other("limiter/tower-resilience, exact sliding window", exact, |service, _| {
        let mut service = service.clone();
        move || assert!(call(&mut service, 1_u64).is_ok())
    });
}
