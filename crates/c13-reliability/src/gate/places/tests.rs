//! Places that are lent to threads: as exact as any other, whichever thread comes and whichever goes.

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

fn places(limit: u32) -> Arc<Places> {
    Arc::new(Places::new(limit, 0, Duration::ZERO, Clock::system()).lendable())
}

/// Places that are lent already.
fn lent(limit: u32) -> Arc<Places> {
    let places = places(limit);
    places.begin_lending();
    places
}

/// Comes in at once or not at all.
fn enter(places: &Arc<Places>) -> Option<Place<Arc<Places>>> {
    Places::enter(places.clone())
}

/// Takes `n` places, all of which must be there.
fn fill(places: &Arc<Places>, n: u32) -> Vec<Place<Arc<Places>>> {
    (0..n).map(|_| enter(places).expect("there is room")).collect()
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
fn lending_begins_where_threads_meet_and_most_places_are_free() {
    // At least two threads count, and 64 at most.
    let (two, all) = (MOST_FREE * 2, MOST_FREE * 64);
    for (limit, taken, begins) in [
        (two - 1, 0, false),
        (all, 0, true),
        (all * 2, all, true),
        (all * 4, all * 2, true),
        (all * 4, all * 2 + 1, false),
    ] {
        let places = places(limit);
        let held = fill(&places, taken);
        scope(|scope| {
            drop(enter(&places));
            scope.spawn(|| drop(enter(&places)));
        });
        places.meet(places.word());
        assert_eq!(places.is_lending(), begins, "limit {limit}, {taken} taken");
        drop(held);
        assert_eq!(places.in_flight(), 0);
    }
}

#[test]
fn who_loses_a_place_in_the_word_to_another_begins_to_lend() {
    let places = places(100_000);
    // It saw a free place in this era, and did not get it.
    assert!(places.enter_in_full(places.lending.era()));
    assert!(places.is_lending());
    places.leave();
    assert_eq!((places.in_flight(), places.lending.free()), (0, 1));
}

#[test]
fn nothing_is_lent_of_places_that_must_not_be() {
    let places = Places::new(100_000, 0, Duration::ZERO, Clock::system());
    places.meet(places.word());
    assert!(!places.is_lending());
}

#[test]
fn lending_ends_when_a_call_finds_no_place_and_not_before() {
    let places = lent(20);
    let mut held = fill(&places, 20);
    assert!(places.is_lending());
    assert!(enter(&places).is_none() && !places.is_lending());
    held.truncate(10);
    assert_eq!((places.in_flight(), places.lending.free()), (10, 0));
    places.begin_lending();
    held.clear();
    assert_eq!((places.in_flight(), places.lending.free()), (0, MOST_FREE));
    assert_eq!(places.word().taken(), MOST_FREE);
    fill(&places, 20).clear();
}

#[test]
fn no_call_is_refused_while_a_place_is_free_and_nobody_moves() {
    for limit in 1..40 {
        let places = lent(limit);
        scope(|scope| {
            for visits in [1, 3, 7] {
                let (hand, places) = (Hand::start(scope), &places);
                hand.run(move || {
                    let held: Vec<_> = (0..visits).filter_map(|_| enter(places)).collect();
                    assert_eq!(held.len() as u32, visits.min(limit), "limit {limit}");
                });
                places.begin_lending();
                assert_eq!((places.in_flight(), places.available()), (0, limit));
            }
            let held = fill(&places, limit);
            assert!(enter(&places).is_none());
            assert_eq!((places.in_flight(), places.available()), (limit, 0));
            drop(held);
        });
        let entered = limit + [1, 3, 7].iter().map(|visits| limit.min(*visits)).sum::<u32>();
        let counts = places.counts();
        assert_eq!((counts.in_flight, counts.entered), (0, u64::from(entered)));
    }
}

/// What places without a queue must do, whatever they do it with.
#[test]
fn over_random_runs_on_many_threads_it_decides_as_a_plain_count_does() {
    for seed in 0..40 {
        let random = Random::new(seed);
        let mut limit = 1 + random.below(30) as u32;
        let places = lent(limit);
        let places = &places;
        let mut held = Vec::new();
        scope(|scope| {
            let hands: Vec<_> = (0..4).map(|_| Hand::start(scope)).collect();
            for step in 0..400 {
                let hand = &hands[random.below(4) as usize];
                match random.below(40) {
                    0 => {
                        limit = 1 + random.below(30) as u32;
                        places.resize(limit);
                    }
                    1..=4 => places.begin_lending(),
                    5..=21 => {
                        let place = hand.run(|| enter(places));
                        let room = (held.len() as u32) < limit;
                        assert_eq!(place.is_some(), room, "seed {seed}, step {step}");
                        held.extend(place);
                    }
                    _ if held.is_empty() => {}
                    _ => {
                        let place = held.swap_remove(random.below(held.len() as u64) as usize);
                        hand.run(move || drop(place));
                    }
                }
                let running = held.len() as u32;
                assert_eq!(
                    (places.in_flight(), places.available()),
                    (running, limit.saturating_sub(running)),
                    "seed {seed}, step {step}"
                );
            }
        });
    }
}

#[test]
fn threads_that_pass_places_on_never_exceed_the_limit_and_leave_it_whole() {
    for limit in [1, 3, 20] {
        let places = lent(limit);
        let (inside, passed_on) = (AtomicU32::new(0), Mutex::new(Vec::new()));
        scope(|scope| {
            for thread in 0..8 {
                let (places, inside, passed_on) = (&places, &inside, &passed_on);
                scope.spawn(move || {
                    for visit in 0..2_000 {
                        if visit % 50 == thread {
                            places.begin_lending();
                        }
                        if let Some(place) = enter(places) {
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < limit, "limit {limit}");
                            passed_on.lock().unwrap().push(place);
                        }
                        if (visit + thread) % 3 > 0 {
                            let place = passed_on.lock().unwrap().pop();
                            inside.fetch_sub(place.is_some().into(), Ordering::SeqCst);
                            drop(place);
                        }
                    }
                });
            }
        });
        assert_eq!(places.in_flight(), passed_on.lock().unwrap().len() as u32);
        passed_on.lock().unwrap().clear();
        assert_eq!((places.in_flight(), places.available()), (0, limit));
    }
}

#[test]
fn as_many_threads_as_there_are_places_are_never_refused() {
    let places = lent(4);
    let over = AtomicBool::new(false);
    scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..20_000).for_each(|_| drop(enter(&places).expect("there is a place for each")))))
            .collect();
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                places.begin_lending();
            }
        });
        let done = calls.into_iter().map(|call| call.join().is_ok()).collect::<Vec<_>>();
        over.store(true, Ordering::SeqCst);
        assert_eq!(done, [true; 4]);
    });
    assert_eq!((places.in_flight(), places.available()), (0, 4));
}

#[test]
fn no_place_is_lost_while_the_limit_changes_and_lending_begins_under_way() {
    let places = lent(10);
    scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..5_000).for_each(|_| drop(enter(&places)))))
            .collect();
        for change in (1..).take_while(|_| !calls.iter().all(|call| call.is_finished())) {
            places.resize(1 + change % 10);
            places.begin_lending();
        }
    });
    for limit in [1, 10] {
        places.resize(limit);
        places.begin_lending();
        let held = fill(&places, limit);
        assert!(enter(&places).is_none());
        drop(held);
    }
}

#[test]
fn a_call_in_line_gets_the_place_that_any_thread_gives_back_and_nobody_overtakes() {
    let executor = Executor::new();
    let places = Places::new(5, 2, Duration::from_secs(1), executor.clock()).lendable();
    let places = Arc::new(places);
    places.begin_lending();
    scope(|scope| {
        let hands = [Hand::start(scope), Hand::start(scope)];
        // Three places lie free with another thread, and are found.
        drop(hands[0].run(|| fill(&places, 3)));
        let mut held = hands[0].run(|| fill(&places, 3));
        held.extend(fill(&places, 2));
        let mut waiting = pin!(Places::admission(&*places));
        let mut poll = || waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        places.begin_lending();
        let place = held.pop();
        hands[1].run(move || drop(place));
        assert!(hands[1].run(|| enter(&places).is_none()), "the call in line is first");
        assert!(matches!(poll(), Poll::Ready(Ok(_))));
    });
    assert_eq!((places.in_flight(), executor.time().waiting()), (0, 0));
}
