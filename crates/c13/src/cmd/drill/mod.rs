//! `c13 drill`: rehearses an incident.

mod args;
mod command;

pub(crate) use args::DrillArgs;
pub(crate) use command::{Drilled, Form, run};
