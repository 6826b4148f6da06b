//! `c13 health`: asks an address whether it is well.

mod args;
mod command;

pub(crate) use args::HealthArgs;
pub(crate) use command::{Health, run};
