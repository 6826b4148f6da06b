//! `c13 config`: checks, explains and shows a service's policies, and starts a file of them.

mod args;
mod command;
mod explain;
mod json;
mod known;
#[cfg(test)]
mod tests;

pub(crate) use args::ConfigArgs;
pub(crate) use command::{ConfigAnswer, run};
