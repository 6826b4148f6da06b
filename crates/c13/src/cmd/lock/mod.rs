//! `c13 lock`: looks at locks.

mod args;
mod command;

pub(crate) use args::LockCommand;
pub(crate) use command::run;
