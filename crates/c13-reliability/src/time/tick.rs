//! A point in time, in nanoseconds since its clock's origin; all arithmetic saturates.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in time: nanoseconds since the origin of the [`Clock`](super::Clock) that gave it.
///
/// Ticks of two different clocks must never be compared. All arithmetic saturates: a tick never wraps, and the
/// distance to a later tick is zero. The range is 584 years.
///
/// ```
/// use c13_reliability::time::Tick;
/// use std::time::Duration;
///
/// let start = Tick::from_nanos(1_000);
/// assert_eq!(start + Duration::from_nanos(500) - start, Duration::from_nanos(500));
/// assert_eq!(Tick::MAX + Duration::from_secs(1), Tick::MAX);
/// assert_eq!(Tick::ZERO - start, Duration::ZERO);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// The far end of time: a deadline that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// The tick `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The tick `after` later, at most [`Tick::MAX`].
    #[must_use]
    pub const fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(nanos(after)))
    }

    /// The tick `before` earlier, at least [`Tick::ZERO`].
    #[must_use]
    pub const fn minus(self, before: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(before)))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A duration's nanoseconds, at most `u64::MAX` (584 years).
#[must_use]
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        nanos as u64
    }
}

impl Add<Duration> for Tick {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        self.plus(after)
    }
}

impl AddAssign<Duration> for Tick {
    fn add_assign(&mut self, after: Duration) {
        *self = self.plus(after);
    }
}

impl Sub<Duration> for Tick {
    type Output = Self;

    fn sub(self, before: Duration) -> Self {
        self.minus(before)
    }
}

impl Sub for Tick {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tick({:?})", Duration::from_nanos(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_never_wraps() {
        assert_eq!(Tick::MAX + Duration::MAX, Tick::MAX);
        assert_eq!(Tick::ZERO - Duration::MAX, Tick::ZERO);
        assert_eq!(Tick::ZERO - Tick::MAX, Duration::ZERO);
        assert_eq!(Tick::from_nanos(7) + Duration::MAX, Tick::MAX);
    }

    #[test]
    fn the_distance_of_two_ticks_is_exact() {
        let early = Tick::from_nanos(3);
        assert_eq!((early + Duration::from_nanos(u64::MAX - 3)).as_nanos(), u64::MAX);
        assert_eq!(Tick::from_nanos(10) - early, Duration::from_nanos(7));
    }
}
