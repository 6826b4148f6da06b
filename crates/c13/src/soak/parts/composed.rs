//! Compositions under load: policies whose file changes all the time, and a lock.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, io};

use c13_reliability::distributed::lock::{Lock, LockConfig, MemoryBackend};
use c13_reliability::policy::PolicyRegistry;
use c13_reliability::policy::file::PolicyFiles;

use crate::soak::part::{Call, Ground, SoakPart, must_be};
use crate::soak::tally::{Counts, Seen};

/// A policy out of a file that is rewritten while calls run, sometimes with nonsense.
pub(crate) struct Reloaded {
    ground: Ground,
    registry: PolicyRegistry,
    file: PathBuf,
    written: AtomicU64,
}

impl Reloaded {
    /// Writes its file into `folder`.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(crate) fn new(ground: &Ground, folder: &Path) -> io::Result<Self> {
        let file = folder.join("soak.toml");
        fs::write(&file, contents(0))?;
        let registry = PolicyRegistry::open(PolicyFiles::new(), [&file]).map_err(io::Error::other)?;
        Ok(Self {
            ground: ground.clone(),
            registry,
            file,
            written: AtomicU64::new(0),
        })
    }

    /// Writes the file anew and has it read: every fifth time it is nonsense.
    pub(crate) fn reload(&self) {
        // Relaxed: one task reloads.
        let number = self.written.fetch_add(1, Ordering::Relaxed) + 1;
        let _unwritable = fs::write(&self.file, contents(number));
        let _refused = self.registry.reload();
    }
}

/// The file as it is written for the `number`th time.
fn contents(number: u64) -> String {
    if number % 5 == 4 {
        return "[policy.soak]\nretry.max_retries = \"many\"\n".to_owned();
    }
    format!(
        "[policy.soak]\n\
         timeout.total = \"100ms\"\n\
         timeout.attempt = \"{}ms\"\n\
         rate_limit.rate = \"{}/s\"\n\
         bulkhead.max_concurrent = {}\n\
         retry.max_retries = 2\n\
         retry.backoff = {{ base = \"1ms\", max = \"5ms\" }}\n\
         circuit_breaker = {{ failure_rate = \"50%\", window = \"1s\", min_calls = 10, open_for = \"{}ms\" }}\n",
        10 + number % 7,
        2_000 + number % 11 * 100,
        8 + number % 5,
        100 + number % 3 * 50,
    )
}

impl SoakPart for Reloaded {
    fn name(&self) -> &'static str {
        "policy, reloaded"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            let policy = self.registry.policy("soak").expect("the file always names it");
            match policy.call(|| self.ground.dependency.call()).await {
                Ok(_) => Seen::Success,
                Err(error) if error.is_rejected() => Seen::Refusal,
                Err(_) => Seen::Failure,
            }
        })
    }

    fn audit(&self, _: &Counts) -> Vec<String> {
        let policy = self.registry.policy("soak").expect("the file always names it");
        let mut faults = Vec::new();
        if let Some(bulkhead) = policy.bulkhead() {
            must_be(
                &mut faults,
                "calls in flight at rest",
                bulkhead.snapshot().calls.in_flight.into(),
                0,
            );
        }
        if let Some(breaker) = policy.circuit_breaker() {
            let metrics = breaker.snapshot().metrics;
            let sum = metrics.success_count
                + metrics.failure_count
                + metrics.ignored_count
                + metrics.abandoned_count
                + metrics.rejection_count;
            must_be(
                &mut faults,
                "the sum of the breaker's outcomes",
                sum,
                metrics.total_requests,
            );
        }
        // Relaxed: nothing reloads any more.
        let written = self.written.load(Ordering::Relaxed);
        let status = self.registry.status();
        must_be(
            &mut faults,
            "contents that were refused",
            status.rejected,
            (written + 1) / 5,
        );
        faults
    }
}

/// How long a lock is held without a renewal: longer than a machine may stand still under a soak, for that loses no lock
/// then.
const LEASE: Duration = Duration::from_secs(60);

/// A lock in memory that all callers contend for.
pub(crate) struct Exclusion {
    ground: Ground,
    lock: Lock,
    inside: AtomicBool,
    overlaps: AtomicU64,
}

impl Exclusion {
    pub(crate) fn new(ground: &Ground) -> Self {
        let backend = Arc::new(MemoryBackend::new());
        Self {
            lock: Lock::new(backend, "soak", LockConfig::new(LEASE)),
            ground: ground.clone(),
            inside: AtomicBool::new(false),
            overlaps: AtomicU64::new(0),
        }
    }
}

/// Counts the holders of the lock: one more now, and one less when this is dropped, also by a panic.
struct Inside<'a>(&'a AtomicBool);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // Release: the next holder sees what was done here.
        self.0.store(false, Ordering::Release);
    }
}

impl SoakPart for Exclusion {
    fn name(&self) -> &'static str {
        "lock"
    }

    fn call(self: Arc<Self>) -> Call {
        Box::pin(async move {
            let Ok(guard) = self.lock.acquire(Duration::from_millis(5)).await else {
                return Seen::Refusal;
            };
            // AcqRel: sees what the holder before has done.
            if self.inside.swap(true, Ordering::AcqRel) {
                // Relaxed: a count.
                self.overlaps.fetch_add(1, Ordering::Relaxed);
            }
            let inside = Inside(&self.inside);
            self.ground.clock.sleep(Duration::from_micros(200)).await;
            drop(inside);
            match guard.release().await {
                Ok(_) => Seen::Success,
                Err(_) => Seen::Failure,
            }
        })
    }

    fn audit(&self, seen: &Counts) -> Vec<String> {
        let mut faults = Vec::new();
        // Relaxed: nothing runs any more.
        let overlaps = self.overlaps.load(Ordering::Relaxed);
        must_be(&mut faults, "times that two held it", overlaps, 0);
        must_be(&mut faults, "releases that failed", seen.failures, 0);
        faults
    }
}
