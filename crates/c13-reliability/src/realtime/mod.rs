//! Periodic tasks that run on time, and tasks that are kept running.
//!
//! - [`scheduler`]: periodic tasks with absolute deadlines, on a runtime or on a thread of their own.
//! - [`supervisor`]: starts tasks and threads again when they fail or panic.
//! - [`StopSource`] and [`StopSignal`]: how tasks and threads are asked to stop.

mod panic_message;
pub mod scheduler;
mod stop;
pub mod supervisor;

pub use stop::{StopSignal, StopSource, Stopped};
