//! The results of the soak's calls as their callers saw them: one tally for each part, with which the part's own counts are
//! compared.

use std::sync::atomic::{AtomicU64, Ordering};

/// How a call ended, as its caller saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It gave a value.
    Success,
    /// It was made, and gave an error.
    Failure,
    /// It was not made, or cut short, by the part.
    Refusal,
}

/// Counts the results of all calls through one part.
#[derive(Debug, Default)]
pub(crate) struct CallerTally {
    successes: AtomicU64,
    failures: AtomicU64,
    refusals: AtomicU64,
    dropped: AtomicU64,
    panics: AtomicU64,
}

/// The counts of a tally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Counts {
    /// Calls that gave a value.
    pub(crate) successes: u64,
    /// Calls that gave an error.
    pub(crate) failures: u64,
    /// Calls that the part refused or cut short.
    pub(crate) refusals: u64,
    /// Calls whose future was dropped before it was ready.
    pub(crate) dropped: u64,
    /// Calls that panicked.
    pub(crate) panics: u64,
}

impl Counts {
    /// All calls.
    pub(crate) fn calls(&self) -> u64 {
        self.successes + self.failures + self.refusals + self.dropped + self.panics
    }
}

impl CallerTally {
    /// Counts a call that begins now.
    pub(crate) fn enter(&self) -> Entry<'_> {
        Entry {
            tally: self,
            seen: None,
        }
    }

    /// The counts. Exact once no call runs.
    pub(crate) fn counts(&self) -> Counts {
        // Relaxed: a reader that needs exact counts has joined the calls.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            successes: read(&self.successes),
            failures: read(&self.failures),
            refusals: read(&self.refusals),
            dropped: read(&self.dropped),
            panics: read(&self.panics),
        }
    }
}

/// A running call. Dropped without a result, the call was dropped or panicked.
#[must_use]
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    tally: &'a CallerTally,
    seen: Option<Seen>,
}

impl Entry<'_> {
    /// Notes how the call ended.
    pub(crate) fn close(mut self, seen: Seen) {
        self.seen = Some(seen);
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let count = match self.seen {
            Some(Seen::Success) => &self.tally.successes,
            Some(Seen::Failure) => &self.tally.failures,
            Some(Seen::Refusal) => &self.tally.refusals,
            None if std::thread::panicking() => &self.tally.panics,
            None => &self.tally.dropped,
        };
        // Relaxed: a count, read once the calls are joined.
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn each_call_is_counted_once_by_how_it_ended() {
        let tally = CallerTally::default();
        tally.enter().close(Seen::Success);
        tally.enter().close(Seen::Failure);
        tally.enter().close(Seen::Refusal);
        drop(tally.enter());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _entry = tally.enter();
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        let one = Counts {
            successes: 1,
            failures: 1,
            refusals: 1,
            dropped: 1,
            panics: 1,
        };
        assert_eq!((tally.counts(), tally.counts().calls()), (one, 5));
    }
}
