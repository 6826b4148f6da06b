//! Rehearses an incident: what a scenario says, and what came of it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`scenario`] | what is rehearsed, read from TOML |
//! | [`engine`] | the simulation: callers, the policy under test, the dependency |
//! | [`watch`] | how a drill that is running is watched and stopped |
//! | [`report`] | what came of one run |
//! | [`summary`] | what came of all runs together, and whether the objectives are met |
//! | [`json`], [`table`] | the summary for programs and for people |

pub(crate) mod engine;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod figures_text;
#[cfg(test)]
mod fuzz;
pub(crate) mod json;
pub(crate) mod report;
pub(crate) mod scenario;
pub(crate) mod summary;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod watch;
