//! The fencing token: a number that grows with every grant of a lock, for the resource to compare.

use std::fmt;

/// A fencing token. Of two grants of one lock the later has the greater one.
///
/// It has no arithmetic: it is made by a lock and compared by a resource. A resource that keeps the greatest token it has
/// seen, and refuses smaller ones, is safe from holders that have been paused beyond their lease; without that, no lock
/// with a lease is more than an optimisation.
///
/// It is at least the backend's time in microseconds since 1970 (in-process backends: since the machine started), so that
/// it grows even when the backend forgets, and it fits an `i64` and an `f64` exactly until the year 2255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// The greatest token there is: 2⁵³ - 1, which every store and every language holds exactly.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The token of this number, as read from a store.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(if number > Self::MAX.0 { Self::MAX.0 } else { number })
    }

    /// The number, for a store to compare.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The number, as databases without unsigned numbers keep it.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// The token after this one, and no smaller than `floor`; `None` if that would be greater than the greatest.
    #[must_use]
    pub(crate) const fn next(self, floor: u64) -> Option<Self> {
        let after = self.0 + 1;
        let next = if after > floor { after } else { floor };
        if next > Self::MAX.0 { None } else { Some(Self(next)) }
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
