//! Interleavings of learning and of new settings.

use super::{AdaptiveConfig, AdaptiveLimit, Algorithm};
use crate::gate::{Gate, Outcome, Permit as _};
use crate::time::{Env, VirtualTime};
use loom::thread;
use std::time::Duration;

const WINDOW: Duration = Duration::from_nanos(1);

#[test]
fn a_limit_that_learns_while_its_bounds_change_ends_within_the_new_ones() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let settings = |limit| {
            AdaptiveConfig::new(Algorithm::AIMD)
                .limits(limit, 1, limit)
                .window(WINDOW, 1)
        };
        let time = VirtualTime::new();
        let limit = AdaptiveLimit::with_config(settings(50), Env::new(time.clock()).seed(1)).expect("good settings");
        let fail = |limit: &AdaptiveLimit| {
            let permit = limit.try_admit().expect("nobody else runs");
            permit.record(Outcome::FAILURE);
        };
        // Its window begins with this one and ends with the next.
        fail(&limit);
        time.advance(WINDOW);
        let other = limit.clone();
        let changing = thread::spawn(move || other.reconfigure(settings(5)));
        fail(&limit);
        assert_eq!(changing.join().unwrap(), Ok(()));
        assert!(limit.limit() <= 5, "{}", limit.limit());
    });
}
