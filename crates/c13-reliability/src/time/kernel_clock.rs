//! The clock of a thread that blocks: the kernel's monotonic time, read and waited for by the same clock.

use super::Tick;

/// The kernel's monotonic clock. Waiting is absolute, so that nothing between reading the time and falling asleep makes
/// a wait longer.
///
/// Its ticks must not be compared with those of a [`Clock`](super::Clock): the kernel slews its clock, and the
/// time-stamp counter knows nothing of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelClock;

#[cfg(target_os = "linux")]
impl KernelClock {
    /// The time, about 25 ns a reading.
    pub(crate) fn now(self) -> Tick {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // The kernel's monotonic clock starts near zero and is never negative.
        Tick::from_nanos(
            (time.tv_sec as u64)
                .saturating_mul(1_000_000_000)
                .saturating_add(time.tv_nsec as u64),
        )
    }

    /// Blocks the thread until `deadline`, and not a moment less.
    pub(crate) fn sleep_until(self, deadline: Tick) {
        let nanos = deadline.as_nanos();
        let request = rustix::time::Timespec {
            tv_sec: (nanos / 1_000_000_000) as i64,
            tv_nsec: (nanos % 1_000_000_000) as _,
        };
        // A signal ends the wait early. No other error is possible: the clock exists and the time is in range.
        while self.now() < deadline {
            let _ = rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &request);
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl KernelClock {
    /// The time since the process first asked.
    #[expect(clippy::disallowed_methods, reason = "this is the clock of threads that block")]
    pub(crate) fn now(self) -> Tick {
        use std::sync::OnceLock;
        use std::time::Instant;

        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        let now = Instant::now();
        Tick::ZERO + now.saturating_duration_since(*ORIGIN.get_or_init(|| now))
    }

    /// Blocks the thread until `deadline`, and not a moment less.
    #[expect(clippy::disallowed_methods, reason = "this is the clock of threads that block")]
    pub(crate) fn sleep_until(self, deadline: Tick) {
        while self.now() < deadline {
            std::thread::sleep(deadline - self.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_blocking_wait_never_ends_early_and_a_past_one_at_once() {
        let clock = KernelClock;
        let deadline = clock.now() + Duration::from_micros(300);
        clock.sleep_until(deadline);
        let after = clock.now();
        assert!(after >= deadline);
        clock.sleep_until(deadline);
        assert!(clock.now() - after < Duration::from_secs(1));
    }
}
