//! A policy for each key, from one template.

use super::*;
use crate::keyed::KeySetConfig;
use crate::patterns::circuit_breaker::{CircuitBreakerConfig, CircuitState};
use crate::policy::{KeyedPolicies, Profile};
use crate::snapshot::{Registry, Value};
use crate::time::Env;

const TRIPS_AT_ONCE: CircuitBreakerConfig = CircuitBreakerConfig::new().consecutive_failures(1);

fn set(executor: &Executor, config: PolicyConfig, max_keys: usize) -> KeyedPolicies<u64> {
    let env = Env::new(executor.clock()).seed(7).name("tenant");
    KeyedPolicies::with_config(config, KeySetConfig::DEFAULT.max_keys(max_keys), env).expect("good")
}

fn fail(policy: &Policy) {
    let _down = policy.call_sync(|| Err::<(), _>("down"));
}

#[test]
fn keys_fail_on_their_own_and_change_together() {
    let executor = Executor::new();
    let tenants = set(&executor, PolicyConfig::NONE.circuit_breaker(TRIPS_AT_ONCE), 100);
    fail(&tenants.get(&1));
    assert!(tenants.get(&1).call_sync(|| Ok::<_, ()>(())).is_err());
    assert!(tenants.get(&2).call_sync(|| Ok::<_, ()>(())).is_ok());

    let held = tenants.get(&2);
    tenants.reconfigure(Profile::Critical.config()).expect("good");
    assert_eq!(held.config(), Profile::Critical.config());
    assert_eq!(
        tenants.get(&3).config(),
        Profile::Critical.config(),
        "those to come too"
    );
    let breaker = tenants.get(&1).circuit_breaker().expect("it has one");
    assert_eq!(breaker.current_state(), CircuitState::Open, "state stays");
    assert_eq!(breaker.name(), "tenant[1]");
}

#[test]
fn a_stranger_s_keys_make_no_circuit_and_no_limit_start_anew() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .circuit_breaker(TRIPS_AT_ONCE.open_for(SECOND))
        .rate_limit(RateLimiterConfig::new(1.0, 2));
    let tenants = set(&executor, config, 8);
    fail(&tenants.get(&0));
    for _ in 0..2 {
        assert!(tenants.get(&1).call_sync(|| Ok::<_, ()>(())).is_ok());
    }
    let held = tenants.get(&2);
    for key in 100..1_000 {
        tenants.get(&key);
        assert!(tenants.snapshot().keys <= 8);
    }
    let open = tenants.get(&0).circuit_breaker().expect("it has one").current_state();
    assert_eq!(open, CircuitState::Open);
    assert!(
        tenants.get(&1).call_sync(|| Ok::<_, ()>(())).is_err(),
        "its tokens are used up"
    );
    fail(&held);
    assert!(
        tenants.get(&2).call_sync(|| Ok::<_, ()>(())).is_err(),
        "one key, one policy"
    );

    // Eight that are not at rest leave no room: all others share one.
    for key in 0..8 {
        for _ in 0..2 {
            let _ = tenants.get(&(key + 2_000)).call_sync(|| Ok::<_, ()>(()));
        }
    }
    let full = tenants.snapshot();
    assert!(full.without_room > 0 && full.keys == 8, "{full:?}");
    executor.run_for(10 * SECOND);
    tenants.get(&3_000);
    assert!(tenants.snapshot().evictions > full.evictions, "they are at rest again");
}

#[test]
fn a_set_reports_sums_that_never_go_backwards_and_no_key() {
    let executor = Executor::new();
    let tenants = set(&executor, Profile::Standard.config(), 16);
    let registry = Registry::new();
    registry.register("tenant", &tenants).expect("nobody has the name");
    let mut before = 0;
    for key in 0..1_000 {
        assert!(tenants.get(&key).call_sync(|| Ok::<_, ()>(())).is_ok());
        executor.run_for(Duration::from_millis(10));
        let snapshots = registry.snapshots();
        let readings = &snapshots[0].readings;
        let find = |name: &str| readings.iter().find(|reading| reading.metric.name == name);
        let Some(Value::Count(allowed)) = find("reliability.rate_limit.allowed").map(|reading| reading.value.clone())
        else {
            panic!("the limiters' calls are counted: {readings:?}");
        };
        assert_eq!(allowed, before + 1, "key {key}");
        before = allowed;
        assert!(
            find("reliability.circuit_breaker.state").is_none(),
            "states do not add up"
        );
        assert_eq!(
            readings
                .iter()
                .filter(|reading| reading.metric.name == "reliability.keyed.keys")
                .count(),
            1
        );
        assert!(
            readings
                .iter()
                .all(|reading| reading.labels.iter().all(|(_, value)| !value.contains("tenant[")))
        );
    }
    assert!(tenants.snapshot().evictions > 900);
}

#[test]
fn settings_of_a_set_that_make_no_sense_are_refused_by_name() {
    let refused = |keys: KeySetConfig| {
        let made = KeyedPolicies::<u64>::with_config(PolicyConfig::NONE, keys, Env::default());
        made.expect_err("refused").setting
    };
    assert_eq!(refused(KeySetConfig::DEFAULT.max_keys(0)), "max_keys");
    assert_eq!(refused(KeySetConfig::DEFAULT.max_keys(usize::MAX)), "max_keys");
    assert_eq!(refused(KeySetConfig::DEFAULT.max_key_bytes(0)), "max_key_bytes");
    assert_eq!(refused(KeySetConfig::DEFAULT.idle_after(Duration::ZERO)), "idle_after");
}
