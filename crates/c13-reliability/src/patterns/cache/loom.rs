//! Interleavings of reads that note their time at one entry, and of readers that come and leave while one loads.

use super::entry::LastUse;
use super::flight::{Flights, Landing, Ticket, Turn};
use crate::sync::loom::block_on;
use crate::time::Tick;
use loom::sync::Arc;
use loom::thread;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

#[test]
fn a_read_that_was_held_up_does_not_undo_a_later_one() {
    loom::model(|| {
        let used = Arc::new(LastUse::new(at(0), Duration::from_nanos(10)));
        let readers = [5, 9].map(|now| {
            let used = used.clone();
            thread::spawn(move || assert!(used.touch(at(now))))
        });
        assert!(used.touch(at(7)));
        for reader in readers {
            reader.join().unwrap();
        }
        assert!(used.touch(at(18)), "the read at 9 counts, whoever came last");
    });
}

#[test]
fn an_entry_that_was_left_too_long_stays_lost_for_all_who_come_too_late() {
    loom::model(|| {
        let used = Arc::new(LastUse::new(at(0), Duration::from_nanos(10)));
        let other = used.clone();
        let late = thread::spawn(move || other.touch(at(10)));
        assert!(!used.touch(at(11)));
        assert!(!late.join().unwrap(), "neither keeps it for the other");
    });
}

/// Waits until there is something to do.
async fn turn(ticket: &mut Ticket<u8, u8>) -> Turn<u8> {
    poll_fn(|cx| match ticket.poll(cx, at(0)) {
        Turn::Wait(_) => Poll::Pending,
        turn => Poll::Ready(turn),
    })
    .await
}

fn join(flights: &std::sync::Arc<Flights<u8, u8>>) -> Ticket<u8, u8> {
    match flights.join(&1, at(0), || None::<()>) {
        Ok(ticket) => ticket,
        Err(()) => unreachable!("nothing is known"),
    }
}

#[test]
fn a_reader_that_leaves_as_another_comes_leaves_it_to_load_and_no_key_behind() {
    loom::model(|| {
        let flights = std::sync::Arc::new(Flights::new(Duration::MAX));
        let other = flights.clone();
        let leaver = thread::spawn(move || {
            let mut ticket = join(&other);
            // Whether it was to load or to wait: it goes.
            let _ = ticket.poll(&Context::from_waker(Waker::noop()), at(0));
        });
        let mut ticket = join(&flights);
        match block_on(turn(&mut ticket)) {
            Turn::Lead => ticket.land(Landing::Found(Some(7)), || ()),
            _ => panic!("nobody else loads"),
        }
        drop(ticket);
        leaver.join().unwrap();
        assert_eq!(flights.len(), 0);
    });
}

#[test]
fn a_reader_that_comes_while_another_loads_is_served_or_loads_itself() {
    loom::model(|| {
        let flights = std::sync::Arc::new(Flights::new(Duration::MAX));
        let other = flights.clone();
        let read = |flights: &std::sync::Arc<Flights<u8, u8>>| {
            let mut ticket = join(flights);
            match block_on(turn(&mut ticket)) {
                Turn::Lead => ticket.land(Landing::Found(Some(7)), || ()),
                turn => assert!(matches!(turn, Turn::Landed(Landing::Found(Some(7))))),
            }
        };
        let reader = thread::spawn(move || read(&other));
        read(&flights);
        reader.join().unwrap();
        assert_eq!(flights.len(), 0);
    });
}
