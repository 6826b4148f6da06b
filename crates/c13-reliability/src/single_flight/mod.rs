//! Single flight: of all that want the same thing at one time, one does the work and the others wait for its result.
//!
//! The cache loads a key this way, and the health service runs a check. See [`Flights`].

mod flight;
#[cfg(all(test, c13_loom))]
mod loom;
mod polled;

pub(crate) use flight::{Flights, Ticket, Turn};
