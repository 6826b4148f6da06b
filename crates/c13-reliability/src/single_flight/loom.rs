//! Interleavings of members that join and leave while one leads.

use super::flight::{Flights, Ticket, Turn};
use crate::sync::loom::block_on;
use crate::time::Tick;
use loom::thread;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
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
        let flights = std::sync::Arc::new(Flights::new(1, Duration::MAX));
        let other = flights.clone();
        let leaver = thread::spawn(move || {
            let mut ticket = join(&other);
            // Whether it was to load or to wait: it goes.
            let _ = ticket.poll(&Context::from_waker(Waker::noop()), at(0));
        });
        let mut ticket = join(&flights);
        match block_on(turn(&mut ticket)) {
            Turn::Lead => ticket.land(7, true, || ()),
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
        let flights = std::sync::Arc::new(Flights::new(1, Duration::MAX));
        let other = flights.clone();
        let read = |flights: &std::sync::Arc<Flights<u8, u8>>| {
            let mut ticket = join(flights);
            match block_on(turn(&mut ticket)) {
                Turn::Lead => ticket.land(7, true, || ()),
                turn => assert!(matches!(turn, Turn::Landed(7))),
            }
        };
        let reader = thread::spawn(move || read(&other));
        read(&flights);
        reader.join().unwrap();
        assert_eq!(flights.len(), 0);
    });
}
