//! `c13 soak`: every pattern under load, faults, cancellation and reload in real time; then an audit.
//!
//! [`run`] is the run itself: callers that choose a part by chance, and a watch over what the process holds. A [`part`] is
//! a pattern under load, which in the end says what does not add up.

mod background;
mod dependency;
mod part;
mod parts;
mod process;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod table;
mod tally;
