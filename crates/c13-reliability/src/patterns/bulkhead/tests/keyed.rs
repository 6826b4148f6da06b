//! A bulkhead for each key.

use super::super::{BulkheadConfig, KeyedBulkhead};
use crate::gate::Gate;
use crate::keyed::KeySetConfig;
use crate::snapshot::{Observed, Registry, Value};
use crate::time::Executor;

fn set(max_concurrent: u32, max_keys: usize) -> KeyedBulkhead<u64> {
    let keys = KeySetConfig::DEFAULT.max_keys(max_keys);
    KeyedBulkhead::with_config(BulkheadConfig::new(max_concurrent), keys, Executor::new().clock()).expect("good")
}

#[test]
fn a_key_that_takes_all_of_its_permits_takes_none_of_another_s() {
    let tenants = set(2, 100);
    let (ann, bob) = (tenants.get(&1), tenants.get(&2));
    let taken = [ann.try_admit().expect("free"), ann.try_admit().expect("free")];
    assert!(tenants.get(&1).try_admit().is_err());
    let other = bob.try_admit().expect("bob has permits of his own");

    tenants.reconfigure(BulkheadConfig::new(3)).expect("good");
    let third = ann.try_admit().expect("one more, with the new settings");
    assert_eq!(tenants.get(&3).config().max_concurrent, 3);
    assert!(tenants.reconfigure(BulkheadConfig::new(0)).is_err());
    drop((taken, other, third));
}

#[test]
fn a_bulkhead_whose_permits_are_held_is_never_evicted() {
    let tenants = set(1, 4);
    let held = tenants.get(&0);
    let permit = held.try_admit().expect("free");
    for key in 1..1_000 {
        tenants.get(&key);
        assert!(tenants.snapshot().keys <= 4);
    }
    assert!(tenants.get(&0).try_admit().is_err(), "the same bulkhead");
    drop(permit);
    drop(held);
    let before = tenants.snapshot();
    for key in 2_000..2_100 {
        tenants.get(&key);
    }
    assert!(tenants.all().iter().all(|(key, _)| *key != 0));
    assert_eq!(before.without_room, 0);
}

#[test]
fn the_keys_that_find_no_room_share_one_bulkhead() {
    let tenants = set(1, 1);
    let held = tenants.get(&0);
    let permit = tenants.get(&1);
    let taken = permit.try_admit().expect("free");
    assert!(tenants.get(&2).try_admit().is_err(), "they share it");
    assert!(held.try_admit().is_ok());
    assert_eq!(tenants.snapshot().without_room, 2);
    drop(taken);
}

#[test]
fn a_set_reports_sums() {
    let tenants = set(2, 10);
    let registry = Registry::new();
    registry.register("tenants", &tenants).expect("nobody has the name");
    let held: Vec<_> = (0..3).map(|key| tenants.get(&key)).collect();
    let permits: Vec<_> = held
        .iter()
        .map(|bulkhead| bulkhead.try_admit().expect("free"))
        .collect();
    let level = |name: &str| {
        let snapshots = registry.snapshots();
        let found = snapshots[0].readings.iter().find(|reading| reading.metric.name == name);
        match found.map(|reading| reading.value.clone()) {
            Some(Value::Level(level)) => level,
            other => panic!("{name}: {other:?}"),
        }
    };
    assert_eq!(level("reliability.bulkhead.usage"), 3.0);
    assert_eq!(level("reliability.keyed.keys"), 3.0);
    drop(permits);
    assert_eq!(level("reliability.bulkhead.usage"), 0.0);
    let _source = tenants.source();
}
