//! Limits by key, one and several at once, in virtual time.

use super::handle::acquire_all;
use super::key::RequestKey;
use super::sharing::LimitSharing;
use super::*;
use crate::distributed::rate_limiter::{MemoryQuota, SharedLimitConfig};
use crate::patterns::rate_limiter::WithoutKey;
use crate::time::{Env, Executor};
use std::sync::Arc;
use std::time::Duration;

fn limit(executor: &Executor, name: &str, config: LimitConfig) -> RequestLimit {
    let backend = Arc::new(MemoryQuota::new().with_env(executor.clock()));
    let config_of_sharing = SharedLimitConfig::DEFAULT;
    let sharing = LimitSharing {
        backend,
        config: config_of_sharing,
    };
    RequestLimit::sharing(config, Some(sharing), Env::new(executor.clock()).name(name)).expect("good settings")
}

fn user(name: &str) -> RequestKey {
    RequestKey::Header(name.to_owned())
}

fn by_user(rate: f64, burst: u64) -> LimitConfig {
    LimitConfig::new(rate, burst, LimitKey::header("x-user").expect("it is a name"))
}

/// Asks the limits for one request of these keys: the name of the limit that refuses it, and for how long.
fn ask(executor: &Executor, limits: &[(&RequestLimit, RequestKey)]) -> Result<(), (String, Option<Duration>)> {
    let keyed = limits.iter().map(|(limit, key)| (*limit, Some(key.clone())));
    match executor.block_on(acquire_all(keyed.collect())) {
        Ok(passed) => {
            assert_eq!(passed.len(), limits.len());
            Ok(())
        }
        Err(refused) => Err((refused.limit, refused.retry_after)),
    }
}

#[test]
fn several_limits_take_all_or_nothing_and_the_tightest_is_named() {
    for shared in [false, true] {
        let executor = Executor::new();
        let clients = limit(&executor, "clients", by_user(1.0, 4).shared(shared));
        let users = limit(&executor, "users", by_user(0.1, 2).shared(shared));
        let both = |name| [(&clients, user(name)), (&users, user(name))];
        for _ in 0..2 {
            assert_eq!(ask(&executor, &both("ann")), Ok(()), "{shared}");
        }
        for _ in 0..5 {
            let (refusing, wait) = ask(&executor, &both("ann")).unwrap_err();
            assert_eq!(refusing, "users", "{shared}");
            assert!(wait.is_some_and(|wait| wait <= Duration::from_secs(10)), "{wait:?}");
        }
        // What the refused requests had taken of the other limit is there again.
        assert_eq!(ask(&executor, &[(&clients, user("ann"))]), Ok(()), "{shared}");
        assert_eq!(ask(&executor, &[(&clients, user("ann"))]), Ok(()), "{shared}");
        let (refusing, _) = ask(&executor, &[(&clients, user("ann"))]).unwrap_err();
        assert_eq!(refusing, "clients", "{shared}");
        if !shared {
            // Both are used up: the one that lets it pass last is named, in whatever order they stand.
            let [first, second] = both("ann");
            for limits in [[first.clone(), second.clone()], [second, first]] {
                assert_eq!(ask(&executor, &limits).unwrap_err().0, "users");
            }
        }
        assert_eq!(ask(&executor, &both("bob")), Ok(()), "{shared}");
    }
}

#[test]
fn a_request_without_a_key_is_refused_shares_a_quota_or_passes_and_is_counted() {
    for (choice, wanted) in [
        (WithoutKey::Refuse, [false; 3]),
        (WithoutKey::Share, [true, false, false]),
        (WithoutKey::Allow, [true; 3]),
    ] {
        let executor = Executor::new();
        let users = limit(&executor, "users", by_user(0.1, 1).without_key(choice));
        let passed = [(); 3].map(|()| executor.block_on(acquire_all(vec![(&users, None)])).is_ok());
        assert_eq!((passed, users.keyless()), (wanted, 3), "{choice:?}");
        assert_eq!(ask(&executor, &[(&users, user("ann"))]), Ok(()), "{choice:?}");
    }
    assert_eq!(
        LimitConfig::new(1.0, 1, LimitKey::Client).without_key,
        WithoutKey::Refuse
    );
    assert_eq!(by_user(1.0, 1).without_key, WithoutKey::Share);
}

#[test]
fn a_change_of_settings_keeps_what_keys_have_used() {
    let executor = Executor::new();
    let users = limit(&executor, "users", by_user(0.1, 2));
    for _ in 0..2 {
        assert_eq!(ask(&executor, &[(&users, user("ann"))]), Ok(()));
    }
    users.reconfigure(by_user(1.0, 2)).expect("good settings");
    let (_, wait) = ask(&executor, &[(&users, user("ann"))]).unwrap_err();
    assert_eq!(wait, Some(Duration::from_secs(1)), "used, at the new rate");
    assert!(users.reconfigure(by_user(0.0, 2)).is_err());
    assert_eq!(users.config(), by_user(1.0, 2));
    users
        .reconfigure(by_user(1.0, 2).shared(true))
        .expect("it has a backend");
    assert_eq!(
        ask(&executor, &[(&users, user("ann"))]),
        Ok(()),
        "it starts anew at the backend"
    );
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let refused = |config: LimitConfig| config.validate().expect_err("refused").setting;
    let good = LimitConfig::new(1.0, 1, LimitKey::Client);
    assert_eq!(refused(LimitConfig { rate: f64::NAN, ..good }), "rate");
    assert_eq!(refused(LimitConfig { burst: 0, ..good }), "burst");
    assert_eq!(refused(good.max_keys(0)), "max_keys");
    assert_eq!(refused(LimitConfig { burst: 1 << 24, ..good }.shared(true)), "burst");
    let proxies = crate::patterns::rate_limiter::Networks::parse(["10.0.0.0/8"]).expect("it is one");
    assert_eq!(refused(by_user(1.0, 1).proxies(proxies)), "proxies");
    for name in ["", "a b", "ä", &"x".repeat(65)] {
        assert!(LimitKey::header(name).is_err(), "{name}");
    }
    let alone = RequestLimit::new("clients", good.shared(true)).expect_err("no backend");
    assert_eq!(alone.setting, "shared");
}
