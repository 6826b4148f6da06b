//! One folder for each command: `args.rs` holds its arguments and their help, `command.rs` turns them into a value.
//! Nothing here prints.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod drill;
mod failure;
pub(crate) mod health;
pub(crate) mod line;
pub(crate) mod lock;
pub(crate) mod man;
mod redis;
pub(crate) mod run;
mod runtime;
pub(crate) mod soak;
pub(crate) mod source;

pub(crate) use failure::Failure;
