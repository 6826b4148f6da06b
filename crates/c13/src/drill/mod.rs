//! Rehearses an incident: what a scenario says, and how each variant went through it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`scenario`] | what is rehearsed, read from TOML |
//! | [`engine`] | the simulation: callers, the policy under test, the dependency |
//! | [`warning`] | what is said of a scenario before it runs |
//! | [`watch`] | how a drill that is running is watched and stopped |
//! | [`figure`] | the figures: one row a figure, with its unit, how it is read, shown and judged |
//! | [`figures`] | the values of the figures |
//! | [`traffic_figure`] | the figures of each dependency, where there are several |
//! | [`phase`] | the phases of a drill: before, during, between and after the faults |
//! | [`shares`] | shares that add up as printed |
//! | [`report`] | the result of one run |
//! | [`summary`] | the result of all runs together, and whether the objectives are met |
//! | [`verdict`], [`baseline`] | what is no chance, and how a drill differs from an earlier one |
//! | [`files`] | the summary as a page, a picture, a comment of a pull request, and test results |
//! | [`json`], [`table`] | the summary for programs and for people |

pub(crate) mod baseline;
pub(crate) mod engine;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod figure;
pub(crate) mod figures;
pub(crate) mod figures_text;
pub(crate) mod files;
#[cfg(test)]
mod fuzz;
pub(crate) mod json;
pub(crate) mod phase;
pub(crate) mod report;
pub(crate) mod scenario;
mod shares;
pub(crate) mod summary;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod traffic_figure;
mod unit;
pub(crate) mod verdict;
pub(crate) mod warning;
pub(crate) mod watch;
