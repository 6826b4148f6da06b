//! What stays when settings change.

use super::*;
use crate::patterns::adaptive::{AdaptiveConfig, Algorithm};
use std::pin::Pin;
use std::rc::Rc;

type Work = Pin<Box<dyn Future<Output = Result<(), ()>>>>;

/// What makes calls that take so long.
fn takes(clock: &Clock, time: Duration) -> impl FnMut() -> Work + use<> {
    let clock = clock.clone();
    move || {
        let clock = clock.clone();
        Box::pin(async move {
            clock.sleep(time).await;
            Ok(())
        })
    }
}

#[test]
fn an_adaptive_limit_bounds_the_calls_from_before_a_change_and_after_it_together() {
    let executor = Executor::new();
    let clock = executor.clock();
    let limit = AdaptiveConfig::new(Algorithm::AIMD)
        .limits(3, 1, 3)
        .queue(1, 60 * SECOND);
    let policy = policy(PolicyConfig::NONE.adaptive(limit), &clock);
    let (running, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let calls: Vec<_> = (0..12)
        .map(|call| {
            if call % 4 == 0 {
                let other = limit.window(MS * (100 + call), 10);
                assert_eq!(policy.reconfigure(PolicyConfig::NONE.adaptive(other)), Ok(()));
            }
            let (policy, mut work) = (policy.clone(), takes(&clock, SECOND));
            let (running, most) = (running.clone(), most.clone());
            let call = executor.spawn(async move {
                let work = || {
                    running.set(running.get() + 1);
                    most.set(most.get().max(running.get()));
                    let (running, work) = (running.clone(), work());
                    async move {
                        let result = work.await;
                        running.set(running.get() - 1);
                        result
                    }
                };
                policy.call(work).await.is_ok()
            });
            executor.run_for(MS);
            call
        })
        .collect();
    let before = policy.adaptive().expect("it has one").snapshot();
    assert_eq!((before.in_flight, before.queued, before.rejected), (3, 1, 8));
    executor.run_until_idle();
    let served = calls.into_iter().filter(|call| call.take() == Some(true)).count();
    assert_eq!(
        (most.get(), served),
        (3, 4),
        "three run, and the one in line after them"
    );
}
