//! `c13 run`: runs a command under a lock, a rate limit, a time limit and retries.

mod args;
mod command;

pub(crate) use args::RunArgs;
pub(crate) use command::run;
