//! The drill engine: simulated callers and a simulated dependency in virtual time, with the library's own policy code
//! between them.
//!
//! - `load`: when the calls arrive.
//! - `latency`: how long the dependency works on a call.
//! - `fault`: the condition of an instance of the dependency at a moment.
//! - `dependency`: instances, their servers and queues, slowness under load.
//! - `balancer`: which instance takes a call.
//! - `instance`: the state of one instance.
//! - `job`: a call that the dependency has received.
//! - `fleet`: the instances of a caller, each with a policy of its own.
//! - `calls`: the calls that a request or a service makes, in steps.
//! - `end`: how a call ends.
//! - `circuits`: when breakers were open.
//! - `recovery`, `incident`: when a fault was detected, and when goodput was back.
//! - `series`: what happened over time.
//! - `traffic`: what a dependency had to do.
//! - `measure`: how the calls ended, counted.
//! - `one`: one variant from start to end.
//! - `all`: all variants under all seeds, on all processors.

mod all;
mod balancer;
mod calls;
#[cfg(test)]
mod calls_tests;
mod circuits;
mod dependency;
#[cfg(test)]
mod dependency_tests;
mod end;
mod fault;
mod fleet;
mod incident;
mod instance;
mod job;
mod latency;
mod load;
mod measure;
mod one;
mod recovery;
mod series;
#[cfg(test)]
mod tests;
mod traffic;

pub(crate) use all::run;
pub(crate) use end::CallEnd;
pub(crate) use incident::{Incident, overall};
pub(crate) use measure::{CallCounts, Measured, Times};
#[cfg(test)]
pub(crate) use recovery::TOO_FEW;
pub(crate) use recovery::{LEAST_CALLS, Recovery, WINDOW_CALLS};
pub(crate) use series::{Point, capacity};
pub(crate) use traffic::{Traffic, wasted};
