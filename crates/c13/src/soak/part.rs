//! A part: a pattern under load, and what must add up in the end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use c13_reliability::sync::Random;
use c13_reliability::time::Clock;

use super::dependency::FaultyDependency;
use super::tally::{Counts, Seen};

/// A call through a part, as a task of its own.
pub(crate) type Call = Pin<Box<dyn Future<Output = Seen> + Send>>;

/// What all parts work with.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) clock: Clock,
    pub(crate) dependency: Arc<FaultyDependency>,
    pub(crate) random: Arc<Random>,
}

/// A pattern under load.
pub(crate) trait SoakPart: Send + Sync {
    /// Its name in the report.
    fn name(&self) -> &'static str;

    /// One call through it.
    fn call(self: Arc<Self>) -> Call;

    /// What does not add up, now that nothing runs any more and `seen` is all that its callers saw.
    fn audit(&self, seen: &Counts) -> Vec<String>;
}

/// Says that `what` is `found` where it must be `expected`, if so.
pub(crate) fn must_be(faults: &mut Vec<String>, what: &str, found: u64, expected: u64) {
    if found != expected {
        faults.push(format!("{what}: {found}, but {expected} were seen"));
    }
}
