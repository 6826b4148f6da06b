//! The settings of a bulkhead.

use crate::error::{ConfigError, Findings};
use crate::gate::semaphore::MAX_PERMITS;
use std::time::Duration;

/// The settings of a bulkhead.
///
/// ```
/// use c13_reliability::patterns::bulkhead::BulkheadConfig;
/// use std::time::Duration;
///
/// const CONFIG: BulkheadConfig = BulkheadConfig::new(10).queue(20, Duration::from_millis(500));
/// const _: () = assert!(CONFIG.validate().is_ok());
/// assert_eq!(CONFIG.max_queue, 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadConfig {
    /// Calls that run concurrently, from 1 to [`MAX_CONCURRENT`](BulkheadConfig::MAX_CONCURRENT).
    pub max_concurrent: u32,
    /// Calls that may queue. Default: 0, so that a call that gets no permit is refused at once.
    pub max_queue: u32,
    /// How long a call may queue; [`Duration::MAX`] is no limit. Above zero if and only if there is a queue.
    pub max_wait: Duration,
}

impl BulkheadConfig {
    /// No bulkhead is larger: 2³¹ − 1.
    pub const MAX_CONCURRENT: u32 = MAX_PERMITS;

    /// Up to `max_concurrent` concurrent calls and no queue.
    #[must_use]
    pub const fn new(max_concurrent: u32) -> Self {
        Self {
            max_concurrent,
            max_queue: 0,
            max_wait: Duration::ZERO,
        }
    }

    /// Lets up to `max_queue` calls queue for up to `max_wait` each; [`Duration::MAX`] is no limit.
    #[must_use]
    pub const fn queue(mut self, max_queue: u32, max_wait: Duration) -> Self {
        self.max_queue = max_queue;
        self.max_wait = max_wait;
        self
    }

    /// Checks all settings.
    ///
    /// # Errors
    ///
    /// The first setting that breaks its rule.
    pub const fn validate(&self) -> Result<(), ConfigError> {
        let mut found = Findings::of("bulkhead");
        self.check(&mut found);
        found.first()
    }

    pub(crate) const fn check(&self, found: &mut Findings) {
        let permits = self.max_concurrent;
        let rule = "must be from 1 to 2147483647";
        found.count(
            permits >= 1 && permits <= Self::MAX_CONCURRENT,
            "max_concurrent",
            permits as u64,
            rule,
        );
        found.queue(self.max_queue, self.max_wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let good = BulkheadConfig::new(1);
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(good.queue(1, Duration::MAX).validate(), Ok(()));
        for (bad, setting) in [
            (BulkheadConfig::new(0), "max_concurrent"),
            (BulkheadConfig::new(1 << 31), "max_concurrent"),
            (good.queue(1, Duration::ZERO), "max_wait"),
            (good.queue(0, Duration::from_secs(1)), "max_queue"),
        ] {
            assert_eq!(bad.validate().map_err(|error| error.setting), Err(setting), "{bad:?}");
        }
    }
}
