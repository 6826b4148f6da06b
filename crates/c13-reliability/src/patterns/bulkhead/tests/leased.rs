//! Bulkheads whose places are lent to threads: as exact as any other, whichever thread comes and whichever goes.

use super::*;
use crate::gate::OwnedGate;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{Scope, scope};

fn leased(limit: u32) -> Bulkhead {
    Bulkhead::with_config(BulkheadConfig::new(limit).leased(true), crate::time::Clock::system())
        .expect("the test's settings are good")
}

/// Comes in at once or not at all.
fn enter(bulkhead: &Bulkhead) -> Option<OwnedPermit> {
    match poll(pin!(bulkhead.admit_owned())) {
        Poll::Ready(result) => result.ok(),
        Poll::Pending => None,
    }
}

/// A thread that does one thing after another, so that a test decides in which order threads come and go.
struct Hand<'scope>(Sender<Box<dyn FnOnce() + Send + 'scope>>);

impl<'scope> Hand<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>) -> Self {
        let (give, tasks) = channel::<Box<dyn FnOnce() + Send + 'scope>>();
        scope.spawn(move || tasks.into_iter().for_each(|task| task()));
        Self(give)
    }

    /// Does it on that thread, and waits for what comes of it.
    fn run<T: Send + 'scope>(&self, task: impl FnOnce() -> T + Send + 'scope) -> T {
        let (give, result) = channel();
        let task = move || give.send(task()).expect("the test waits for it");
        self.0.send(Box::new(task)).expect("the thread runs");
        result.recv().expect("the task does not panic")
    }
}

#[test]
fn no_call_is_refused_while_a_place_is_free_and_nobody_moves() {
    for limit in 1..40 {
        let bulkhead = leased(limit);
        scope(|scope| {
            for visits in [1, 3, 7] {
                let hand = Hand::start(scope);
                let bulkhead = &bulkhead;
                hand.run(move || {
                    let held: Vec<_> = (0..visits).filter_map(|_| bulkhead.try_admit().ok()).collect();
                    assert_eq!(held.len() as u32, visits.min(limit), "limit {limit}");
                });
                assert_eq!((bulkhead.in_flight(), bulkhead.available()), (0, limit));
            }
            let held: Vec<_> = (0..limit).map(|_| bulkhead.try_admit().unwrap()).collect();
            let full = BulkheadRejected::Full { max_concurrent: limit };
            assert_eq!(bulkhead.try_admit().unwrap_err(), full);
            assert_eq!((bulkhead.in_flight(), bulkhead.available()), (limit, 0));
            drop(held);
        });
        let snapshot = bulkhead.snapshot();
        let entered = limit + [1, 3, 7].iter().map(|visits| limit.min(*visits)).sum::<u32>();
        assert_eq!(snapshot.in_flight, 0);
        assert_eq!(snapshot.entered, u64::from(entered));
        assert_eq!(snapshot.rejected, u64::from(1 + 3 + 7 + limit + 1 - entered));
    }
}

/// What a bulkhead without a queue must do, whatever it does it with.
#[test]
fn over_random_runs_on_many_threads_it_decides_as_a_plain_count_does() {
    for seed in 0..40 {
        let random = Random::new(seed);
        let mut limit = 1 + random.below(30) as u32;
        let bulkhead = leased(limit);
        let bulkhead = &bulkhead;
        let mut held = Vec::new();
        scope(|scope| {
            let hands: Vec<_> = (0..4).map(|_| Hand::start(scope)).collect();
            for step in 0..400 {
                let hand = &hands[random.below(4) as usize];
                match random.below(40) {
                    0 => {
                        limit = 1 + random.below(30) as u32;
                        bulkhead.resize(limit).unwrap();
                    }
                    1 => {
                        let config = BulkheadConfig::new(limit).leased(random.below(2) == 0);
                        bulkhead.reconfigure(config).unwrap();
                        assert_eq!(bulkhead.config(), config);
                    }
                    2..=21 => {
                        let permit = hand.run(|| enter(bulkhead));
                        let room = (held.len() as u32) < limit;
                        assert_eq!(permit.is_some(), room, "seed {seed}, step {step}");
                        held.extend(permit);
                    }
                    _ if held.is_empty() => {}
                    _ => {
                        let permit = held.swap_remove(random.below(held.len() as u64) as usize);
                        hand.run(move || drop(permit));
                    }
                }
                let running = held.len() as u32;
                assert_eq!(
                    (bulkhead.in_flight(), bulkhead.available()),
                    (running, limit.saturating_sub(running)),
                    "seed {seed}, step {step}"
                );
            }
        });
    }
}

#[test]
fn threads_that_pass_permits_on_never_exceed_the_limit_and_leave_it_whole() {
    for limit in [1, 3, 20] {
        let bulkhead = leased(limit);
        let (inside, passed_on) = (AtomicU32::new(0), Mutex::new(Vec::new()));
        scope(|scope| {
            for thread in 0..8 {
                let (bulkhead, inside, passed_on) = (&bulkhead, &inside, &passed_on);
                scope.spawn(move || {
                    for visit in 0..2_000 {
                        if let Ok(permit) = bulkhead.try_admit() {
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < limit, "limit {limit}");
                            passed_on.lock().unwrap().push(permit);
                        }
                        if (visit + thread) % 3 > 0 {
                            let permit = passed_on.lock().unwrap().pop();
                            inside.fetch_sub(permit.is_some().into(), Ordering::SeqCst);
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert_eq!(bulkhead.in_flight(), passed_on.lock().unwrap().len() as u32);
        passed_on.lock().unwrap().clear();
        assert_eq!((bulkhead.in_flight(), bulkhead.available()), (0, limit));
    }
}

#[test]
fn no_place_is_lost_while_limit_and_leasing_change_under_way() {
    let bulkhead = leased(10);
    scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..5_000).for_each(|_| drop(bulkhead.try_admit()))))
            .collect();
        for change in (1..).take_while(|_| !calls.iter().all(|call| call.is_finished())) {
            let config = BulkheadConfig::new(1 + change % 10).leased(change % 3 > 0);
            bulkhead.reconfigure(config).unwrap();
        }
    });
    for limit in [1, 10] {
        bulkhead
            .reconfigure(BulkheadConfig::new(limit).leased(limit > 1))
            .unwrap();
        let held: Vec<_> = (0..limit).map(|_| bulkhead.try_admit().unwrap()).collect();
        assert!(bulkhead.try_admit().is_err());
        drop(held);
    }
}

#[test]
fn a_call_in_line_gets_the_place_that_any_thread_gives_back_and_nobody_overtakes() {
    let executor = Executor::new();
    let bulkhead = on(&executor, BulkheadConfig::new(5).queue(2, SECOND).leased(true));
    scope(|scope| {
        let hands = [Hand::start(scope), Hand::start(scope)];
        let bulkhead = &bulkhead;
        // Two places lie free on another thread's stripe, and are found.
        let mut held = hands[0].run(|| (0..3).map(|_| bulkhead.try_admit().unwrap()).collect::<Vec<_>>());
        held.extend((0..2).map(|_| bulkhead.try_admit().unwrap()));
        let mut waiting = pin!(bulkhead.admit());
        assert!(poll(waiting.as_mut()).is_pending());
        for hand in &hands {
            let permit = held.pop();
            hand.run(move || drop(permit));
            assert!(hand.run(|| bulkhead.try_admit().is_err()) || bulkhead.snapshot().queued == 0);
        }
        assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Ok(_))));
    });
    assert_empty(&bulkhead, &executor);
}
