//! Interleavings of the bucket's word with changes of its plan, and with those who wait for it.

use super::super::waiting::{Wait, Waitable};
use super::config::RateLimiterConfig;
use super::gcra::Plan;
use super::packed::{FastTake, PackedBucket, Taker};
use super::shared::SharedBucket;
use crate::sync::Stripes;
use crate::sync::loom::block_on;
use crate::time::{Tick, VirtualTime};
use loom::sync::Arc;
use loom::thread;
use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

/// A token a second: within a model, where no time passes, none comes.
const ONE: RateLimiterConfig = RateLimiterConfig::new(1.0, 1);
/// Another size and another rate, so that a token is another number of units.
const OTHER: RateLimiterConfig = RateLimiterConfig::new(1_000.0, 5);

/// Checks all interleavings in which a thread is interrupted at most so many times. Unbounded, the plan's six parts make
/// for hours.
fn explore(interruptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(interruptions);
    model.check(check);
}

fn took(packed: &PackedBucket) -> u64 {
    match packed.take(Tick::ZERO, 1) {
        FastTake::Taken => 1,
        FastTake::Short(_) | FastTake::NeedsLock => u64::from(packed.take_slowly(Tick::ZERO, 1, Taker::Newcomer)),
    }
}

fn available(packed: &PackedBucket) -> u64 {
    let view = packed.view(Tick::ZERO);
    view.plan.available(view.arrival, view.plan.units(Tick::ZERO))
}

#[test]
fn of_two_who_want_the_last_token_one_gets_it() {
    explore(2, || {
        let packed = Arc::new(PackedBucket::new(&ONE, Tick::ZERO));
        let other = packed.clone();
        let handle = thread::spawn(move || took(&other));
        assert_eq!(took(&packed) + handle.join().unwrap(), 1);
    });
}

#[test]
fn a_change_of_the_plan_neither_makes_nor_loses_a_token() {
    explore(2, || {
        let packed = Arc::new(PackedBucket::new(&ONE, Tick::ZERO));
        let other = packed.clone();
        let handle = thread::spawn(move || took(&other));
        packed.change(Tick::ZERO, &OTHER);
        assert_eq!(handle.join().unwrap() + available(&packed), 1);
    });
}

#[test]
fn two_changes_in_a_row_let_no_old_decision_through() {
    explore(1, || {
        let packed = Arc::new(PackedBucket::new(&ONE, Tick::ZERO));
        let other = packed.clone();
        let handle = thread::spawn(move || took(&other));
        packed.change(Tick::ZERO, &OTHER);
        packed.change(Tick::ZERO, &ONE);
        assert_eq!(handle.join().unwrap() + available(&packed), 1);
    });
}

#[test]
fn a_look_sees_one_plan_or_the_other() {
    explore(2, || {
        let packed = Arc::new(PackedBucket::new(&ONE, Tick::ZERO));
        let other = packed.clone();
        let handle = thread::spawn(move || other.change(Tick::ZERO, &OTHER));
        let view = packed.view(Tick::ZERO);
        let plans = [ONE, OTHER].map(|config| Plan::new(&config, Tick::ZERO));
        assert!(plans.contains(&view.plan), "{view:?}");
        assert_eq!(view.plan.available(view.arrival, 0), 1, "{view:?}");
        handle.join().unwrap();
    });
}

#[test]
fn a_refusal_says_what_one_plan_or_the_other_says() {
    explore(2, || {
        let packed = Arc::new(PackedBucket::new(&ONE.start_empty(true), Tick::ZERO));
        let other = packed.clone();
        let handle = thread::spawn(move || other.change(Tick::ZERO, &OTHER));
        match packed.take(Tick::ZERO, 1) {
            FastTake::Taken => panic!("the bucket is empty by either plan"),
            FastTake::NeedsLock => {}
            FastTake::Short(untaken) => {
                let wait = packed.shortfall(&untaken).map(|short| short.wait);
                let waits = [None, Some(Duration::from_secs(1)), Some(Duration::from_millis(1))];
                assert!(waits.contains(&wait), "{wait:?} by {untaken:?}");
            }
        }
        handle.join().unwrap();
    });
}

#[test]
fn a_refund_that_races_with_a_newcomer_reaches_it() {
    explore(3, || {
        let config = ONE.max_wait(Duration::from_secs(10)).start_empty(true);
        let time = VirtualTime::new();
        let bucket = Arc::new(SharedBucket::on(
            &Stripes::new(SharedBucket::WORDS),
            &config,
            time.clock(),
        ));
        let other = bucket.clone();
        let handle = thread::spawn(move || other.refund(Tick::ZERO, 1));
        // Time stands still, so that only the refund can serve it.
        let wait = Wait::join(bucket.clone(), Tick::ZERO, 1).unwrap();
        assert_eq!(block_on(wait), Ok(()));
        handle.join().unwrap();
        assert_eq!(bucket.available(Tick::ZERO), 0);
    });
}

#[test]
fn a_loan_that_races_with_a_taker_lends_no_more_than_there_is() {
    explore(2, || {
        let packed = Arc::new(PackedBucket::new(&RateLimiterConfig::new(1.0, 2), Tick::ZERO));
        let other = packed.clone();
        let handle = thread::spawn(move || took(&other));
        let lent = packed.lend(Tick::ZERO, 2);
        assert_eq!(lent + handle.join().unwrap(), 2);
    });
}

#[test]
fn a_waiter_that_leaves_while_a_refund_comes_takes_nothing_with_it() {
    explore(2, || {
        let config = ONE.max_wait(Duration::from_secs(10)).start_empty(true);
        let time = VirtualTime::new();
        let bucket = Arc::new(SharedBucket::on(
            &Stripes::new(SharedBucket::WORDS),
            &config,
            time.clock(),
        ));
        let other = bucket.clone();
        let handle = thread::spawn(move || other.refund(Tick::ZERO, 1));
        let mut wait = Box::pin(Wait::join(bucket.clone(), Tick::ZERO, 1).unwrap());
        let served = wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        drop(wait);
        handle.join().unwrap();
        assert_eq!(bucket.available(Tick::ZERO), u64::from(!served));
    });
}
