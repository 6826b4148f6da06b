//! Every interleaving of a check and a renewal: nobody is told that a lost lock is safe again.

use super::validity::Validity;
use crate::time::Tick;
use loom::sync::Arc;
use loom::thread;

fn at(n: u64) -> Tick {
    Tick::from_nanos(n)
}

#[test]
fn a_lock_that_was_reported_lost_is_never_reported_safe_again() {
    loom::model(|| {
        let validity = Arc::new(Validity::new(at(10)));
        let renewing = {
            let validity = validity.clone();
            thread::spawn(move || validity.extend(at(10), at(20)))
        };
        let other = {
            let validity = validity.clone();
            thread::spawn(move || validity.check(at(10)).is_some())
        };
        let first = validity.check(at(10)).is_some();
        let second = validity.check(at(11)).is_some();
        let (renewed, other) = (renewing.join().unwrap(), other.join().unwrap());
        assert!(first || !second, "it came back");
        assert_eq!(renewed, second);
        assert!(
            other <= renewed && first <= renewed,
            "a check held although the renewal came too late"
        );
    });
}
