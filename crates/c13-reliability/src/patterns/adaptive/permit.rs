//! The right to run one call within an adaptive limit.

use super::shared::Shared;
use super::state::{Ended, Sample};
use crate::gate::places::Place;
use crate::gate::{self, Outcome};
use crate::time::Tick;
use std::fmt;

/// The right to run one call within an adaptive limit.
///
/// Dropping it gives the place back and takes the call for abandoned.
#[must_use = "a permit that is dropped gives its place back"]
pub struct Permit<'a> {
    shared: &'a Shared,
    part: Option<usize>,
    began: Tick,
    in_flight: u32,
    /// Given back first or last, never twice.
    place: Option<Place<'a>>,
    told: bool,
}

impl<'a> Permit<'a> {
    pub(super) fn new(shared: &'a Shared, place: Place<'a>, part: Option<usize>) -> Self {
        Self {
            shared,
            part,
            began: shared.now(),
            in_flight: shared.places.in_flight(),
            place: Some(place),
            told: false,
        }
    }

    fn end(&mut self, ended: Ended) {
        self.told = true;
        // The place first: whoever waits for it need not wait for the measuring.
        if let Some(part) = self.part {
            self.shared.leave_part(part);
        }
        self.place = None;
        self.shared.record(Sample {
            began: self.began,
            in_flight: self.in_flight,
            ended,
        });
    }

    /// An abandoned call says nothing, unless it had run for so long that it counts as dropped anyway.
    fn abandoned(&self) -> Ended {
        if self.shared.now() - self.began > self.shared.config.timeout {
            Ended::Dropped
        } else {
            Ended::Ignored
        }
    }
}

impl gate::Permit for Permit<'_> {
    fn record(mut self, outcome: Outcome) {
        let ended = match outcome {
            Outcome::Success => Ended::Succeeded,
            Outcome::Failure { .. } => Ended::Dropped,
            Outcome::Ignored => Ended::Ignored,
            Outcome::Abandoned => self.abandoned(),
        };
        self.end(ended);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.told {
            // A panic says nothing about the dependency's load.
            let ended = if std::thread::panicking() {
                Ended::Ignored
            } else {
                self.abandoned()
            };
            self.end(ended);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
