//! Permits that are lent to threads are as exact as any other, whichever threads acquire and release them.

use super::lending::MOST_FREE;
use super::*;
use crate::sync::Random;
use crate::time::{Clock, Executor};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{Scope, scope};
use std::time::Duration;

fn semaphore(limit: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limit, 0, Duration::ZERO, Clock::system()).lendable())
}

/// Permits that are lent already.
fn lent(limit: u32) -> Arc<Semaphore> {
    let semaphore = semaphore(limit);
    semaphore.permits.lending.begin();
    semaphore
}

/// Acquires a permit at once or not at all.
fn acquire(semaphore: &Arc<Semaphore>) -> Option<SemaphorePermit<Arc<Semaphore>>> {
    Semaphore::try_acquire_uncounted(semaphore.clone())
}

/// Acquires `n` permits, all of which must be available.
fn fill(semaphore: &Arc<Semaphore>, n: u32) -> Vec<SemaphorePermit<Arc<Semaphore>>> {
    (0..n).map(|_| acquire(semaphore).expect("there is room")).collect()
}

/// A thread that does one thing after another, so that a test decides the order in which threads acquire and release.
struct Hand<'scope>(Sender<Box<dyn FnOnce() + Send + 'scope>>);

impl<'scope> Hand<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>) -> Self {
        let (give, tasks) = channel::<Box<dyn FnOnce() + Send + 'scope>>();
        scope.spawn(move || tasks.into_iter().for_each(|task| task()));
        Self(give)
    }

    /// Does it on that thread, and waits for the result.
    fn run<T: Send + 'scope>(&self, task: impl FnOnce() -> T + Send + 'scope) -> T {
        let (give, result) = channel();
        let task = move || give.send(task()).expect("the test waits for it");
        self.0.send(Box::new(task)).expect("the thread runs");
        result.recv().expect("the task does not panic")
    }
}

#[test]
fn lending_begins_where_threads_contend_and_most_permits_are_available() {
    // At least two threads count, and 64 at most.
    let (two, all) = (MOST_FREE * 2, MOST_FREE * 64);
    for (limit, taken, begins) in [
        (two - 1, 0, false),
        (all, 0, true),
        (all * 2, all, true),
        (all * 4, all * 2, true),
        (all * 4, all * 2 + 1, false),
    ] {
        let semaphore = semaphore(limit);
        let held = fill(&semaphore, taken);
        scope(|scope| {
            drop(acquire(&semaphore));
            scope.spawn(|| drop(acquire(&semaphore)));
        });
        semaphore.permits.contended(semaphore.permits.state());
        assert_eq!(
            semaphore.permits.lending.is_lending(),
            begins,
            "limit {limit}, {taken} taken"
        );
        drop(held);
        assert_eq!(semaphore.in_flight(), 0);
    }
}

#[test]
fn a_thread_that_loses_a_permit_to_another_begins_to_lend() {
    let semaphore = semaphore(100_000);
    // It saw an available permit in this phase, and did not get it.
    assert!(
        semaphore
            .permits
            .acquire_slowly(semaphore.permits.lending.phase(), || ())
    );
    assert!(semaphore.permits.lending.is_lending());
    semaphore.release();
    assert_eq!((semaphore.in_flight(), semaphore.permits.lending.free()), (0, 1));
}

#[test]
fn permits_that_must_not_be_lent_are_not() {
    let semaphore = Semaphore::new(100_000, 0, Duration::ZERO, Clock::system());
    semaphore.permits.contended(semaphore.permits.state());
    assert!(!semaphore.permits.lending.is_lending());
}

#[test]
fn lending_ends_when_a_call_finds_no_permit_and_not_before() {
    let semaphore = lent(20);
    let mut held = fill(&semaphore, 20);
    assert!(semaphore.permits.lending.is_lending());
    assert!(acquire(&semaphore).is_none() && !semaphore.permits.lending.is_lending());
    held.truncate(10);
    assert_eq!((semaphore.in_flight(), semaphore.permits.lending.free()), (10, 0));
    semaphore.permits.lending.begin();
    held.clear();
    assert_eq!(
        (semaphore.in_flight(), semaphore.permits.lending.free()),
        (0, MOST_FREE)
    );
    assert_eq!(semaphore.permits.state().taken(), MOST_FREE);
    fill(&semaphore, 20).clear();
}

#[test]
fn no_call_is_refused_while_a_permit_is_available_and_no_other_thread_moves() {
    for limit in 1..40 {
        let semaphore = lent(limit);
        scope(|scope| {
            for visits in [1, 3, 7] {
                let (hand, semaphore) = (Hand::start(scope), &semaphore);
                hand.run(move || {
                    let held: Vec<_> = (0..visits).filter_map(|_| acquire(semaphore)).collect();
                    assert_eq!(held.len() as u32, visits.min(limit), "limit {limit}");
                });
                semaphore.permits.lending.begin();
                assert_eq!((semaphore.in_flight(), semaphore.available()), (0, limit));
            }
            let held = fill(&semaphore, limit);
            assert!(acquire(&semaphore).is_none());
            assert_eq!((semaphore.in_flight(), semaphore.available()), (limit, 0));
            drop(held);
        });
        let admitted = limit + [1, 3, 7].iter().map(|visits| limit.min(*visits)).sum::<u32>();
        let calls = semaphore.calls();
        assert_eq!((calls.in_flight, calls.admitted), (0, u64::from(admitted)));
    }
}

/// What a semaphore without a queue must do, however it does it.
#[test]
fn over_random_runs_on_many_threads_it_decides_as_a_plain_count_does() {
    for seed in 0..40 {
        let random = Random::new(seed);
        let mut limit = 1 + random.below(30) as u32;
        let semaphore = lent(limit);
        let semaphore = &semaphore;
        let mut held = Vec::new();
        scope(|scope| {
            let hands: Vec<_> = (0..4).map(|_| Hand::start(scope)).collect();
            for step in 0..400 {
                let hand = &hands[random.below(4) as usize];
                match random.below(40) {
                    0 => {
                        limit = 1 + random.below(30) as u32;
                        semaphore.resize(limit);
                    }
                    1..=4 => semaphore.permits.lending.begin(),
                    5..=21 => {
                        let permit = hand.run(|| acquire(semaphore));
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
                    (semaphore.in_flight(), semaphore.available()),
                    (running, limit.saturating_sub(running)),
                    "seed {seed}, step {step}"
                );
            }
        });
    }
}

#[test]
fn threads_that_pass_permits_on_never_exceed_the_limit_and_lose_none() {
    for limit in [1, 3, 20] {
        let semaphore = lent(limit);
        let (inside, passed_on) = (AtomicU32::new(0), Mutex::new(Vec::new()));
        scope(|scope| {
            for thread in 0..8 {
                let (semaphore, inside, passed_on) = (&semaphore, &inside, &passed_on);
                scope.spawn(move || {
                    for visit in 0..2_000 {
                        if visit % 50 == thread {
                            semaphore.permits.lending.begin();
                        }
                        if let Some(permit) = acquire(semaphore) {
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
        assert_eq!(semaphore.in_flight(), passed_on.lock().unwrap().len() as u32);
        passed_on.lock().unwrap().clear();
        assert_eq!((semaphore.in_flight(), semaphore.available()), (0, limit));
    }
}

#[test]
fn as_many_threads_as_there_are_permits_are_never_refused() {
    let semaphore = lent(4);
    let over = AtomicBool::new(false);
    scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| (0..20_000).for_each(|_| drop(acquire(&semaphore).expect("there is a permit for each"))))
            })
            .collect();
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                semaphore.permits.lending.begin();
            }
        });
        let done = calls.into_iter().map(|call| call.join().is_ok()).collect::<Vec<_>>();
        over.store(true, Ordering::SeqCst);
        assert_eq!(done, [true; 4]);
    });
    assert_eq!((semaphore.in_flight(), semaphore.available()), (0, 4));
}

#[test]
fn no_permit_is_lost_while_the_limit_changes_and_lending_begins() {
    let semaphore = lent(10);
    scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..5_000).for_each(|_| drop(acquire(&semaphore)))))
            .collect();
        for change in (1..).take_while(|_| !calls.iter().all(|call| call.is_finished())) {
            semaphore.resize(1 + change % 10);
            semaphore.permits.lending.begin();
        }
    });
    for limit in [1, 10] {
        semaphore.resize(limit);
        semaphore.permits.lending.begin();
        let held = fill(&semaphore, limit);
        assert!(acquire(&semaphore).is_none());
        drop(held);
    }
}

#[test]
fn a_waiter_gets_the_permit_that_any_thread_releases_and_no_newcomer_overtakes_it() {
    let executor = Executor::new();
    let semaphore = Semaphore::new(5, 2, Duration::from_secs(1), executor.clock()).lendable();
    let semaphore = Arc::new(semaphore);
    semaphore.permits.lending.begin();
    scope(|scope| {
        let hands = [Hand::start(scope), Hand::start(scope)];
        // Three permits lie free with another thread, and are found.
        drop(hands[0].run(|| fill(&semaphore, 3)));
        let mut held = hands[0].run(|| fill(&semaphore, 3));
        held.extend(fill(&semaphore, 2));
        let mut waiting = pin!(Semaphore::acquire(&*semaphore));
        let mut poll = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        semaphore.permits.lending.begin();
        let permit = held.pop();
        hands[1].run(move || drop(permit));
        assert!(hands[1].run(|| acquire(&semaphore).is_none()), "the waiter is first");
        assert!(matches!(poll(), Poll::Ready(Ok(_))));
    });
    assert_eq!((semaphore.in_flight(), executor.time().waiting()), (0, 0));
}
