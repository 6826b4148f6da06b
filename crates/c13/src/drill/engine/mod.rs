//! The drill engine: a simulated caller and a simulated dependency in virtual time, with the library's own policy code
//! between them.
//!
//! - `load`: when the calls arrive.
//! - `latency`: how long the dependency works on a call.
//! - `fault`: what is wrong with the dependency at a moment.
//! - `dependency`: servers, queue, slowness under load.
//! - `measure`: what came of the calls.
//! - `run`: one variant from start to end.
//! - `rehearse`: all variants, on all processors.

mod dependency;
mod fault;
mod latency;
mod load;
mod measure;
mod rehearse;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use rehearse::rehearse;
