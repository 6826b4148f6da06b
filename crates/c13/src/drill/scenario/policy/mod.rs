//! A policy's settings and how they are read: the same names and rules in a scenario and in a service's own file.

mod breaker;
mod fit;
mod read;
pub(crate) mod settings;

pub(crate) use read::read_policy;
pub(crate) use settings::PolicySettings;
