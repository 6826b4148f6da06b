//! `c13 man`: the manual pages.

mod args;
mod command;

pub(crate) use args::ManArgs;
pub(crate) use command::run;
