//! The result of one run of a scenario: for every variant its figures, and its goodput over time.

use super::engine::{Incident, Point};
use super::figures::Figures;
use super::traffic_figure::TrafficValues;

/// The result of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DrillReport {
    /// The seed it ran with.
    pub(crate) seed: u64,
    /// Every variant, in the order of the scenario.
    pub(crate) variants: Vec<VariantReport>,
}

/// The result of one variant in one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VariantReport {
    /// The variant's name.
    pub(crate) name: String,
    /// Its figures.
    pub(crate) figures: Figures,
    /// Its figures in each phase of the scenario.
    pub(crate) phases: Vec<Figures>,
    /// What it did about each fault of the scenario.
    pub(crate) incidents: Vec<Incident>,
    /// What each dependency had to do, in the order of the scenario.
    pub(crate) traffic: Vec<TrafficValues>,
    /// What happened over time, in steps of equal length; requests count by their intended arrival.
    pub(crate) series: Vec<Point>,
}
