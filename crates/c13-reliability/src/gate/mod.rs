//! Gates, the common part of breaker, limiter and bulkhead: they admit a call, it runs, and its outcome is recorded, once.
//!
//! - [`Gate`]: decides whether a call may run, and hands out a [`Permit`].
//! - [`Permit`]: the right to run one call. It records the call's [`Outcome`]; a permit that is dropped without one records
//!   the call as abandoned.
//! - [`Run`]: runs a future under a permit. A panic counts as a failure and goes on unwinding; a dropped future is
//!   abandoned.
//! - [`call`]: all of it in one future.
//! - `semaphore`: permits with a bounded queue, for bulkhead and adaptive limit; [`ConcurrentCalls`] is what both report.
//! - [`OwnedGate`]: a gate whose permits can be held apart from it. `GateLayer` (feature `tower`) puts any of them around
//!   services.
//! - [`Classify`]: what a result means; [`ByResult`] unless set otherwise.

mod admit;
mod call;
mod cause;
mod classify;
pub(crate) mod cut_short;
#[cfg(feature = "tower")]
mod layer;
pub(crate) mod losers;
mod outcome;
mod run;
pub(crate) mod semaphore;
mod suspend;

pub use admit::{Admittance, Gate, MayWait, NeverWaits, OwnedGate, Permit};
pub use call::{Call, Refusal, call};
pub use cause::Cause;
pub use classify::{ByResult, Classify};
#[cfg(feature = "tower")]
pub use layer::{GateLayer, GateService, ResponseFuture, TakeReady};
pub use outcome::Outcome;
pub use run::Run;
pub use semaphore::ConcurrentCalls;
pub(crate) use suspend::Suspend;
