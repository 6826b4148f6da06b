//! The one concrete clock: where it reads the time, and how it waits.

#[cfg(any(test, feature = "test-util"))]
use super::VirtualTime;
#[cfg(feature = "tokio")]
use super::tick::nanos;
use super::{Sleep, Tick, Timeout};
use std::fmt;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

/// Where every part reads the time, and what it waits on.
///
/// A clock is a plain value, cheap to clone, and never a type parameter. Clones show the same time, and so do all
/// [system](Clock::system) clocks of a process.
///
/// ```
/// use c13_reliability::time::Clock;
///
/// let clock = Clock::system();
/// let before = clock.now();
/// assert!(clock.now() >= before);
/// ```
#[derive(Clone)]
pub struct Clock {
    pub(super) source: Source,
}

/// What a clock reads. Waiting goes by the same source.
#[derive(Clone)]
pub(super) enum Source {
    System(System),
    #[cfg(target_os = "linux")]
    SinceBoot,
    #[cfg(feature = "tokio")]
    Tokio(tokio::time::Instant),
    #[cfg(any(test, feature = "test-util"))]
    Virtual(VirtualTime),
}

/// The system's time, and how to wait by it. Small and without an owner, because every wait and every handle has one.
#[derive(Clone, Copy)]
pub(super) struct System {
    source: &'static SystemSource,
    /// Whether waits go by the library's timer thread wherever they are awaited.
    pub(super) own_timer: bool,
}

/// The processor's time-stamp counter, scaled to nanoseconds, or the kernel's monotonic clock where the counter does
/// not run evenly.
struct SystemSource {
    counter: quanta::Clock,
    origin: u64,
    /// Nanoseconds a tick of the counter, in units of 2⁻⁶⁴; 0 where a tick is a nanosecond or longer.
    nanos_per_tick: u64,
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only Linux has the coarse clock")
    )]
    coarse_origin: u64,
}

impl System {
    fn new(own_timer: bool) -> Self {
        Self {
            source: SystemSource::shared(),
            own_timer,
        }
    }
}

impl SystemSource {
    /// The process's one source; its first use calibrates the counter against the kernel's clock.
    fn shared() -> &'static Self {
        static SHARED: OnceLock<SystemSource> = OnceLock::new();
        SHARED.get_or_init(|| {
            let counter = quanta::Clock::new();
            let origin = counter.raw();
            Self {
                nanos_per_tick: nanos_per_tick(&counter),
                counter,
                origin,
                coarse_origin: kernel_coarse_nanos(),
            }
        })
    }

    #[inline]
    fn now(&self) -> Tick {
        let ticks = self.counter.raw().saturating_sub(self.origin);
        Tick::from_nanos(if self.nanos_per_tick == 0 {
            self.scaled(ticks)
        } else {
            // One multiplication, whose upper half is the result: the counter's own way of scaling needs a shift by any
            // number of bits, which costs as much again.
            ((u128::from(ticks) * u128::from(self.nanos_per_tick)) >> 64) as u64
        })
    }

    #[cold]
    fn scaled(&self, ticks: u64) -> u64 {
        self.counter.delta_as_nanos(0, ticks)
    }

    #[cfg(target_os = "linux")]
    fn coarse(&self) -> Tick {
        Tick::from_nanos(kernel_coarse_nanos().saturating_sub(self.coarse_origin))
    }

    #[cfg(not(target_os = "linux"))]
    fn coarse(&self) -> Tick {
        self.now()
    }
}

/// How long a tick of the counter is, as [`SystemSource`] keeps it.
fn nanos_per_tick(counter: &quanta::Clock) -> u64 {
    // So many ticks that nothing is lost to rounding: within 584 years at 1 GHz it comes to less than two nanoseconds.
    let half = counter.delta_as_nanos(0, 1 << 63);
    if half < 1 << 63 { half << 1 } else { 0 }
}

#[cfg(target_os = "linux")]
fn kernel_coarse_nanos() -> u64 {
    kernel_nanos(rustix::time::ClockId::MonotonicCoarse)
}

#[cfg(target_os = "linux")]
fn kernel_nanos(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    // The kernel's monotonic clocks start near zero and are never negative.
    (time.tv_sec as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec as u64)
}

#[cfg(not(target_os = "linux"))]
fn kernel_coarse_nanos() -> u64 {
    0
}

impl Clock {
    /// The machine's own time, read from the processor's time-stamp counter (about 10 ns a reading).
    ///
    /// It is monotonic and stands still while the machine is suspended. The first system clock of a process calibrates
    /// the counter against the kernel's clock, which takes from 1 ms to 200 ms once. Inside a tokio runtime it waits on
    /// tokio's timer (the runtime must have time enabled), elsewhere on one timer thread of its own.
    #[must_use]
    pub fn system() -> Self {
        Self {
            source: Source::System(System::new(false)),
        }
    }

    /// The [system](Clock::system) clock with sharper waits: they always go by the library's own timer thread, never by
    /// tokio's timer.
    ///
    /// Tokio's timer is 1 to 2 ms late, because it counts in milliseconds and rounds up twice. The timer thread is about
    /// a tenth of a millisecond late, at the price of a hand-over between threads for each wait: for periodic work, not
    /// for a time limit around every call. Its ticks are those of the system clock.
    #[must_use]
    pub fn precise() -> Self {
        Self {
            source: Source::System(System::new(true)),
        }
    }

    /// The kernel's clock that counts the time the machine is suspended too (about 25 ns a reading): for leases and
    /// other promises to other processes.
    ///
    /// Its origin is the machine's start, so all processes of a machine read the same. It waits on the same timers as
    /// the [system](Clock::system) clock, which stand still during a suspend; so that a wait whose end went by meanwhile
    /// is noticed, it looks at its clock at least once a second. Where there is no such clock, that is anywhere but on
    /// Linux, this is the system clock.
    #[must_use]
    pub fn since_boot() -> Self {
        #[cfg(target_os = "linux")]
        return Self {
            source: Source::SinceBoot,
        };
        #[cfg(not(target_os = "linux"))]
        return Self::system();
    }

    /// A clock that follows tokio's time: it stands still under `tokio::time::pause` and moves with
    /// `tokio::time::advance`. Its origin is now.
    ///
    /// For tests that use tokio's paused time. Waiting is as coarse as tokio's timer, 1 ms.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn tokio() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that follows tokio's time")]
        Self {
            source: Source::Tokio(tokio::time::Instant::now()),
        }
    }

    /// The time, to the nanosecond where the source has it.
    #[must_use]
    #[inline]
    pub fn now(&self) -> Tick {
        match &self.source {
            Source::System(system) => system.source.now(),
            #[cfg(any(target_os = "linux", test, feature = "tokio", feature = "test-util"))]
            _ => self.now_elsewhere(),
        }
    }

    /// The time of all other sources; not inlined, so that a reading of the system's is short enough to be inlined.
    #[cfg(any(target_os = "linux", test, feature = "tokio", feature = "test-util"))]
    #[inline(never)]
    fn now_elsewhere(&self) -> Tick {
        match &self.source {
            Source::System(system) => system.source.now(),
            #[cfg(target_os = "linux")]
            Source::SinceBoot => Tick::from_nanos(kernel_nanos(rustix::time::ClockId::Boottime)),
            #[cfg(feature = "tokio")]
            #[expect(clippy::disallowed_methods, reason = "this is the clock that follows tokio's time")]
            Source::Tokio(origin) => {
                Tick::from_nanos(nanos(tokio::time::Instant::now().saturating_duration_since(*origin)))
            }
            #[cfg(any(test, feature = "test-util"))]
            Source::Virtual(time) => time.now(),
        }
    }

    /// A cheaper reading (about 6 ns) that on Linux lags by up to one kernel tick, 1 to 10 ms; the same as
    /// [`now`](Clock::now) elsewhere and on other sources.
    ///
    /// For windows only: on the system source this is another clock, so its ticks must never be compared with those of
    /// [`now`](Clock::now).
    #[must_use]
    #[inline]
    pub fn coarse(&self) -> Tick {
        match &self.source {
            Source::System(system) => system.source.coarse(),
            #[cfg(any(target_os = "linux", test, feature = "tokio", feature = "test-util"))]
            _ => self.now_elsewhere(),
        }
    }

    /// Waits for `duration`. Nothing is registered before the first poll, but the time runs from now.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the wait and frees its timer.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// Waits until `deadline`, and not a moment less by this clock. A deadline that has passed is ready at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the wait and frees its timer.
    pub fn sleep_until(&self, deadline: Tick) -> Sleep {
        Sleep::new(self.clone(), deadline)
    }

    /// Runs `future` for at most `limit`, counted from the first time it has to wait.
    ///
    /// A future that is ready at its first poll costs no clock reading and no timer. See [`Timeout`].
    ///
    /// # Errors
    ///
    /// [`Elapsed`](super::Elapsed) once the limit is over; the future is dropped with the `Timeout`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside.
    pub fn timeout<F: Future>(&self, limit: Duration, future: F) -> Timeout<F> {
        Timeout::after(self.clone(), limit, future)
    }

    /// Runs `future` until `deadline` at the latest. See [`Timeout`].
    ///
    /// # Errors
    ///
    /// [`Elapsed`](super::Elapsed) once the deadline is reached; the future is dropped with the `Timeout`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future inside.
    pub fn timeout_at<F: Future>(&self, deadline: Tick, future: F) -> Timeout<F> {
        Timeout::at(self.clone(), deadline, future)
    }
}

impl Default for Clock {
    /// The [system](Clock::system) clock.
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::System(_) => "system",
            #[cfg(target_os = "linux")]
            Source::SinceBoot => "since boot",
            #[cfg(feature = "tokio")]
            Source::Tokio(_) => "tokio",
            #[cfg(any(test, feature = "test-util"))]
            Source::Virtual(_) => "virtual",
        };
        write!(f, "Clock({source}, {:?})", self.now())
    }
}

/// Which clock a tick belongs to: ticks may be compared where this is equal, or where both follow tokio's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    System,
    #[cfg(target_os = "linux")]
    SinceBoot,
    #[cfg(feature = "tokio")]
    Tokio(tokio::time::Instant),
    /// The address of the shared time, which stands for the virtual clocks that show it.
    #[cfg(any(test, feature = "test-util"))]
    Virtual(usize),
}

impl Clock {
    pub(super) fn origin(&self) -> Origin {
        match &self.source {
            Source::System(_) => Origin::System,
            #[cfg(target_os = "linux")]
            Source::SinceBoot => Origin::SinceBoot,
            #[cfg(feature = "tokio")]
            Source::Tokio(origin) => Origin::Tokio(*origin),
            #[cfg(any(test, feature = "test-util"))]
            Source::Virtual(time) => Origin::Virtual(time.address()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_never_goes_back_and_is_shared_by_the_process() {
        let (one, other) = (Clock::system(), Clock::system());
        let mut last = one.now();
        for _ in 0..10_000 {
            let next = other.now();
            assert!(next >= last, "{next:?} after {last:?}");
            last = one.now().max(next);
        }
    }

    #[test]
    fn a_reading_is_the_counters_own_to_the_nanosecond() {
        let system = SystemSource::shared();
        for ticks in (0..63).map(|bits| (1 << bits) - 1 + bits) {
            let exact = system.counter.delta_as_nanos(0, ticks);
            let scaled = (u128::from(ticks) * u128::from(system.nanos_per_tick)) >> 64;
            let known = system.nanos_per_tick != 0;
            assert!(
                !known || scaled.abs_diff(exact.into()) <= 1,
                "{ticks} ticks: {scaled}, {exact}"
            );
            assert_eq!(system.scaled(ticks), exact);
        }
    }

    #[test]
    fn the_coarse_reading_never_goes_back() {
        let clock = Clock::system();
        let mut last = clock.coarse();
        for _ in 0..10_000 {
            let next = clock.coarse();
            assert!(next >= last);
            last = next;
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_clock_since_boot_is_the_kernels_and_never_goes_back() {
        let clock = Clock::since_boot();
        let mut last = Tick::from_nanos(kernel_nanos(rustix::time::ClockId::Boottime));
        for _ in 0..10_000 {
            let next = clock.now();
            assert!(next >= last);
            last = next;
        }
        // Suspended time is what it counts beyond the clock that stands still meanwhile.
        assert!(last >= Tick::from_nanos(kernel_nanos(rustix::time::ClockId::MonotonicCoarse)));
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn the_tokio_clock_follows_paused_time() {
        let clock = Clock::tokio();
        let start = clock.now();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(clock.now() - start, Duration::from_secs(3));
        clock.sleep(Duration::from_secs(60)).await;
        assert!(clock.now() - start >= Duration::from_secs(63));
    }
}
