//! `c13 soak`: runs every part under load and checks that everything adds up.

mod args;
mod command;

pub(crate) use args::SoakArgs;
pub(crate) use command::{Soaked, run};
