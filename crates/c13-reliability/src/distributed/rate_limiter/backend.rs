//! What keeps shared limits: the trait, and the backend inside the process.

use super::config::Limit;
use super::state::Cell;
use crate::distributed::lock::{Answer, BackendError};
use crate::error::ConfigError;
use crate::sync::primitive::Mutex;
use crate::time::Clock;
use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::time::Duration;

/// Where shared limits are kept.
pub trait QuotaBackend: fmt::Debug + Send + Sync + 'static {
    /// Whether this backend can keep a limit of this key.
    ///
    /// # Errors
    ///
    /// Which rule the key breaks.
    fn check_key(&self, key: &str) -> Result<(), ConfigError>;

    /// Takes up to `want` tokens of every one of `limits`, but not fewer than `least`; then it takes none of any.
    /// `process` names who asks.
    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, process: &'a str) -> Answer<'a, Taken>;
}

/// What a backend gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// How many tokens; zero if the least that was asked for could not be had.
    pub granted: u64,
    /// When the least can be had; `None` if it was had, or never can be.
    pub retry_after: Option<Duration>,
    /// How many processes asked lately.
    pub active: u32,
}

/// Keeps limits in this process, for one machine without a server and for tests.
pub struct MemoryQuota {
    clock: Clock,
    cells: Mutex<HashMap<String, Cell>>,
}

impl MemoryQuota {
    /// No limits yet, by this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            cells: Mutex::default(),
        }
    }
}

impl QuotaBackend for MemoryQuota {
    fn check_key(&self, _key: &str) -> Result<(), ConfigError> {
        Ok(())
    }

    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, _process: &'a str) -> Answer<'a, Taken> {
        let mut cells = self.cells.lock();
        let now = self.clock.now().as_nanos() as f64 / 1e3;
        let mut granted = want;
        let mut retry_after = Some(Duration::ZERO);
        for limit in limits {
            // On a copy: all limits give, or none does.
            let mut cell = cells.get(&limit.key).copied().unwrap_or_default();
            let decision = cell.take(limit.rate, limit.burst as f64, now, granted, least);
            granted = decision.granted.min(granted);
            if decision.granted == 0 {
                retry_after = retry_after.zip(decision.retry_after).map(|(a, b)| a.max(b));
                granted = 0;
                break;
            }
        }
        if granted > 0 {
            for limit in limits {
                let cell = cells.entry(limit.key.clone()).or_default();
                cell.take(limit.rate, limit.burst as f64, now, granted, granted);
            }
        }
        let taken = Taken {
            granted,
            retry_after: if granted > 0 { None } else { retry_after },
            active: 1,
        };
        Box::pin(ready(Ok::<_, BackendError>(taken)))
    }
}

impl fmt::Debug for MemoryQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQuota").finish_non_exhaustive()
    }
}
