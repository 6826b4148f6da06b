//! Rehearses an incident: what a scenario says, and what came of it.

pub(crate) mod scenario;
