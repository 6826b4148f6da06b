//! One module for each command: arguments in, a value out. Nothing here prints.

pub(crate) mod config;
pub(crate) mod drill;
mod failure;
pub(crate) mod health;
pub(crate) mod run;
pub(crate) mod soak;
pub(crate) mod source;

pub(crate) use failure::Failure;
