//! `c13 completions`: the script with which a shell completes command lines of `c13`.

mod args;
mod command;

pub(crate) use args::CompletionsArgs;
pub(crate) use command::run;
