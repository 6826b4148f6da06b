//! The outages of a shared limit's backend: since when, why, and when they were last reported. Pure.

use crate::distributed::lock::BackendError;
use crate::time::Tick;
use std::sync::Arc;
use std::time::Duration;

/// How often an outage that goes on is reported.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// A backend's failures. Pure: each method is given the time.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    failures: u64,
    /// What it failed with last, also when it has answered since.
    last: Option<Arc<BackendError>>,
    standing: bool,
    /// Until when the backend is left alone.
    until: Tick,
    reported: Tick,
}

impl Outage {
    pub(super) const NONE: Self = Self {
        failures: 0,
        last: None,
        standing: false,
        until: Tick::ZERO,
        reported: Tick::ZERO,
    };

    /// Records that the backend failed at `now` and is left alone until `until`. Returns whether that is to be reported: the
    /// backend answered before, or the last report is old.
    pub(super) fn failed(&mut self, cause: Arc<BackendError>, now: Tick, until: Tick) -> bool {
        let is_news = !self.standing || now >= self.reported + REPORT_EVERY;
        if is_news {
            self.reported = now;
        }
        self.failures += 1;
        self.last = Some(cause);
        self.standing = true;
        self.until = until;
        is_news
    }

    /// Records that the backend has answered. Returns whether that ends an outage.
    pub(super) fn answered(&mut self) -> bool {
        std::mem::replace(&mut self.standing, false)
    }

    /// While the backend is left alone: for how long from `now`, and why.
    pub(super) fn standing(&self, now: Tick) -> Option<(Duration, Arc<BackendError>)> {
        let cause = self.last.as_ref().filter(|_| self.standing && now < self.until)?;
        Some((self.until - now, cause.clone()))
    }

    pub(super) const fn is_standing(&self) -> bool {
        self.standing
    }

    pub(super) const fn failures(&self) -> u64 {
        self.failures
    }

    pub(super) fn last(&self) -> Option<Arc<BackendError>> {
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributed::lock::BackendErrorKind;

    #[test]
    fn an_outage_is_reported_when_it_begins_and_now_and_again_but_not_each_time() {
        let at = |seconds: u64| Tick::from_nanos(seconds * 1_000_000_000);
        let cause = Arc::new(BackendError::new(BackendErrorKind::Unable, "loading"));
        let mut outage = Outage::NONE;
        let reports = (0..100).filter(|n| outage.failed(cause.clone(), at(*n), at(n + 1)));
        assert_eq!(reports.collect::<Vec<_>>(), [0, 30, 60, 90]);
        assert_eq!(outage.failures(), 100);
        assert_eq!(outage.standing(at(99)), Some((Duration::from_secs(1), cause.clone())));
        assert_eq!(outage.standing(at(100)), None, "it is asked again");
        assert!(outage.is_standing() && outage.answered() && !outage.answered());
        assert_eq!(outage.last(), Some(cause.clone()), "what it was is kept");
        assert!(outage.failed(cause, at(100), at(101)), "another one is news");
    }
}
