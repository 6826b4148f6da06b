//! A queue over the smallest owner.

use super::queue::GRANT_LEASE;
use super::semaphore::Semaphore;
use super::*;
use crate::sync::Random;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake};

/// A task that counts how often it was woken.
#[derive(Default)]
struct Task(AtomicU64);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn woken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A waiter, the task that polls it, and what it asked for.
struct Polled {
    waiter: Waiter<Arc<Semaphore>>,
    task: Arc<Task>,
    n: u64,
}

impl Polled {
    fn new(semaphore: &Arc<Semaphore>, n: u64) -> Self {
        Self {
            waiter: Semaphore::acquire(semaphore.clone(), n, usize::MAX).expect("no such queue is ever full"),
            task: Arc::default(),
            n,
        }
    }

    fn poll(&mut self) -> Turn {
        self.waiter.poll(&Context::from_waker(&self.task.clone().into()))
    }
}

fn waiters<const N: usize>(semaphore: &Arc<Semaphore>, weights: [u64; N]) -> [Polled; N] {
    weights.map(|n| {
        let mut waiter = Polled::new(semaphore, n);
        assert_ne!(waiter.poll(), Turn::Granted);
        waiter
    })
}

#[test]
fn the_first_to_come_is_the_first_to_be_served_and_nobody_else_is_woken() {
    let semaphore = Arc::new(Semaphore::new(0));
    let mut all = waiters(&semaphore, [1, 1, 1]);
    assert_eq!(
        all.each_mut().map(Polled::poll),
        [Turn::Front, Turn::Behind, Turn::Behind]
    );
    for served in 0..3 {
        semaphore.release(1);
        let woken: Vec<_> = all.iter().map(|waiter| waiter.task.woken()).collect();
        let expected: Vec<_> = (0..3).map(|at| u64::from(at <= served)).collect();
        assert_eq!(woken, expected);
        assert_eq!(all[served].poll(), Turn::Granted);
    }
    assert!(!semaphore.is_waited_for() && semaphore.available() == 0);
}

#[test]
fn a_light_request_does_not_overtake_a_heavy_one() {
    let semaphore = Arc::new(Semaphore::new(2));
    let [mut heavy, mut light] = waiters(&semaphore, [3, 1]);
    assert_eq!((heavy.poll(), light.poll()), (Turn::Front, Turn::Behind));
    assert!(!semaphore.try_acquire(1), "a newcomer does not overtake either");
    semaphore.release(1);
    assert_eq!((heavy.poll(), light.poll()), (Turn::Granted, Turn::Front));
}

#[test]
fn a_grant_that_is_not_taken_in_time_goes_to_the_next_and_its_waiter_to_the_front() {
    let semaphore = Arc::new(Semaphore::new(0));
    let [mut first, mut second, mut third] = waiters(&semaphore, [2, 1, 2]);
    semaphore.release(2);
    semaphore.pass(GRANT_LEASE - 1);
    semaphore.queue().settle(&*semaphore);
    assert_eq!([second.poll(), third.poll()], [Turn::Front, Turn::Behind]);
    semaphore.pass(1);
    semaphore.queue().settle(&*semaphore);
    assert_eq!([second.poll(), third.poll()], [Turn::Granted, Turn::Front]);
    assert_eq!([first.poll(), third.poll()], [Turn::Front, Turn::Behind]);
    assert_eq!((first.task.woken(), semaphore.available()), (1, 1));
    semaphore.release(1);
    assert_eq!([first.poll(), third.poll()], [Turn::Granted, Turn::Front]);
    drop(third);
    assert!(!semaphore.is_waited_for() && semaphore.available() == 0);
}

#[test]
fn a_waiter_that_was_set_aside_asks_again_in_an_empty_queue_or_leaves_nothing() {
    for asks in [true, false] {
        let semaphore = Arc::new(Semaphore::new(0));
        let [mut waiter] = waiters(&semaphore, [1]);
        semaphore.release(1);
        semaphore.pass(GRANT_LEASE);
        semaphore.queue().settle(&*semaphore);
        assert!(semaphore.available() == 1 && !semaphore.is_waited_for());
        assert!(semaphore.try_acquire(1));
        if asks {
            assert_eq!(waiter.poll(), Turn::Front);
            assert!(semaphore.is_waited_for(), "newcomers queue behind it");
            semaphore.release(1);
            assert_eq!(waiter.poll(), Turn::Granted);
        } else {
            drop(waiter);
            semaphore.release(1);
            assert_eq!(semaphore.available(), 1);
        }
        assert!(!semaphore.is_waited_for());
    }
}

#[test]
fn one_release_serves_all_it_suffices_for() {
    let semaphore = Arc::new(Semaphore::new(0));
    let mut all = waiters(&semaphore, [2, 1, 2, 1]);
    semaphore.release(4);
    let turns = all.each_mut().map(Polled::poll);
    assert_eq!(turns, [Turn::Granted, Turn::Granted, Turn::Front, Turn::Behind]);
    assert_eq!(all.each_ref().map(|waiter| waiter.task.woken()), [1, 1, 0, 0]);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_heavy_waiter_that_leaves_the_front_lets_the_next_in_at_once() {
    let semaphore = Arc::new(Semaphore::new(2));
    let [heavy, mut light, mut last] = waiters(&semaphore, [3, 1, 2]);
    drop(heavy);
    assert_eq!((light.task.woken(), last.task.woken()), (1, 0));
    assert_eq!((light.poll(), last.poll()), (Turn::Granted, Turn::Front));
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_waiter_that_leaves_the_middle_wakes_nobody() {
    let semaphore = Arc::new(Semaphore::new(0));
    let [mut first, middle, mut last] = waiters(&semaphore, [1, 1, 1]);
    drop(middle);
    assert_eq!((first.task.woken(), last.task.woken()), (0, 0));
    semaphore.release(2);
    assert_eq!((first.poll(), last.poll()), (Turn::Granted, Turn::Granted));
}

#[test]
fn a_grant_that_nobody_took_goes_to_the_next() {
    let semaphore = Arc::new(Semaphore::new(0));
    let [first, mut second] = waiters(&semaphore, [1, 1]);
    semaphore.release(1);
    drop(first);
    assert_eq!(second.task.woken(), 1);
    assert_eq!(second.poll(), Turn::Granted);
    semaphore.release(1);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn the_last_to_leave_opens_the_way_for_newcomers() {
    let semaphore = Arc::new(Semaphore::new(1));
    let [waiter] = waiters(&semaphore, [2]);
    assert!(!semaphore.try_acquire(1));
    drop(waiter);
    assert!(semaphore.try_acquire(1));
}

#[test]
fn a_full_queue_takes_nobody_and_a_place_given_up_is_free_at_once() {
    let semaphore = Arc::new(Semaphore::new(0));
    let [first, _second] = waiters(&semaphore, [1, 5]);
    let full = Semaphore::acquire(semaphore.clone(), 1, 2).unwrap_err();
    assert_eq!(full, Ahead { waiting: 2, weight: 6 });
    drop(first);
    assert!(Semaphore::acquire(semaphore, 1, 2).is_ok());
}

#[test]
fn a_place_is_granted_from_the_start_where_nobody_waits_and_there_is_enough() {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut waiter = Polled::new(&semaphore, 1);
    assert_eq!(waiter.poll(), Turn::Granted);
    assert!(!semaphore.is_waited_for());
}

#[test]
fn permits_are_never_lost_or_made_over_random_histories() {
    const PERMITS: u64 = 7;
    for seed in 0..300 {
        let random = Random::new(seed);
        let semaphore = Arc::new(Semaphore::new(PERMITS));
        let mut queued: VecDeque<Polled> = VecDeque::new();
        let mut held = Vec::new();
        for step in 0..300 {
            match random.below(6) {
                0..=2 => queued.push_back(Polled::new(&semaphore, 1 + random.below(PERMITS))),
                3 if !held.is_empty() => {
                    semaphore.release(held.swap_remove(random.below(held.len() as u64) as usize));
                }
                4 if !queued.is_empty() => {
                    queued.remove(random.below(queued.len() as u64) as usize);
                }
                _ => {
                    let n = 1 + random.below(PERMITS);
                    if semaphore.try_acquire(n) {
                        held.push(n);
                    }
                }
            }
            // Whoever is served stands before all who are not.
            while let Some(front) = queued.front_mut() {
                if front.poll() != Turn::Granted {
                    break;
                }
                held.push(front.n);
                queued.pop_front();
            }
            for waiter in queued.iter_mut().skip(1) {
                assert_eq!(waiter.poll(), Turn::Behind, "seed {seed}, step {step}");
            }
            let available = semaphore.available();
            assert_eq!(
                held.iter().sum::<u64>() + available,
                PERMITS,
                "seed {seed}, step {step}"
            );
            assert_eq!(
                semaphore.is_waited_for(),
                !queued.is_empty(),
                "seed {seed}, step {step}"
            );
            if let Some(front) = queued.front() {
                assert!(
                    front.n > available,
                    "seed {seed}, step {step}: the front could be served"
                );
            }
        }
        drop(queued);
        held.drain(..).for_each(|n| semaphore.release(n));
        assert_eq!(semaphore.available(), PERMITS, "seed {seed}");
    }
}
