//! A guard process between the wrapper and its command, so that the command cannot outlive the wrapper.
//!
//! ```text
//! c13 run          holds the lock, keeps the time, passes signals on           (handle.rs)
//!   └ c13 __guard  starts the command; kills all of it when the wrapper is     (process.rs, tree.rs)
//!     │            gone or the lock's end has come; holds the lock's files too
//!     └ c13 __exec asks the kernel to be killed with the guard, then becomes   (exec.rs)
//!                  the command
//! ```
//!
//! Whichever of them is killed, the command goes with it: the guard sees the end of the wrapper by their socket; the kernel
//! kills the command when the guard dies; and what the command has started is adopted by the guard or, when that is gone,
//! by the wrapper, which kill it. The guard holds duplicates of the locked files, so a file lock is free only once all
//! of the command is gone.

mod exec;
mod handle;
mod process;
mod step;
mod tree;
mod wire;

pub(crate) use handle::{Guard, Start};
pub(crate) use step::step;
pub(crate) use tree::{children, is_orphaned, processes, reap};
pub(crate) use wire::{Event, Status};
