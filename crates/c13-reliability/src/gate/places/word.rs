//! What is decided, as a value of one word: how many calls run, how many may, and whether anybody is in line.

/// Calls that run (bits 0 to 31), how many may (bits 32 to 62), and whether anybody is in line (bit 63).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

/// Set while anybody is in line: newcomers queue, and whoever leaves serves the queue.
pub(super) const WAITING: u64 = 1 << 63;
/// One call that runs, as it is added to the word and taken off it.
pub(super) const ONE: u64 = 1;
const LIMIT_SHIFT: u32 = 32;
const LIMIT_MASK: u64 = super::MAX_PLACES as u64;

impl Word {
    /// Nobody runs, and `limit` calls may at a time, below 2³¹.
    pub(super) const fn new(limit: u32) -> Self {
        Self((limit as u64) << LIMIT_SHIFT)
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn in_flight(self) -> u32 {
        self.0 as u32
    }

    pub(super) const fn limit(self) -> u32 {
        ((self.0 >> LIMIT_SHIFT) & LIMIT_MASK) as u32
    }

    pub(super) const fn is_waited_for(self) -> bool {
        self.0 & WAITING != 0
    }

    /// Lets a newcomer in, if there is room and nobody is in line.
    pub(super) const fn admit(self) -> Option<Self> {
        if self.is_waited_for() { None } else { self.grant() }
    }

    /// Lets the first in line in, if there is room.
    pub(super) const fn grant(self) -> Option<Self> {
        if self.in_flight() < self.limit() {
            Some(Self(self.0 + ONE))
        } else {
            None
        }
    }

    /// Lets `limit` calls run at a time from now on, below 2³¹; who runs already stays.
    pub(super) const fn resize(self, limit: u32) -> Self {
        Self(self.0 & !(LIMIT_MASK << LIMIT_SHIFT) | (limit as u64) << LIMIT_SHIFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_the_limit_come_in_and_no_more() {
        let mut word = Word::new(3);
        for running in 0..3 {
            assert_eq!(word.in_flight(), running);
            word = word.admit().unwrap();
        }
        assert_eq!((word.admit(), word.grant()), (None, None));
        word = Word::from_bits(word.bits() - ONE);
        assert!(word.admit().is_some());
    }

    #[test]
    fn a_newcomer_does_not_overtake_those_in_line() {
        let word = Word::from_bits(Word::new(3).bits() | WAITING);
        assert_eq!(word.admit(), None);
        assert!(word.grant().is_some_and(Word::is_waited_for));
    }

    const LARGEST: u32 = LIMIT_MASK as u32;

    #[test]
    fn a_new_limit_leaves_those_who_run_and_wait_as_they_are() {
        let mut word = Word::new(LARGEST);
        assert_eq!(word.limit(), LARGEST);
        word = word.admit().and_then(Word::admit).unwrap();
        word = Word::from_bits(word.bits() | WAITING).resize(1);
        assert_eq!((word.in_flight(), word.limit(), word.is_waited_for()), (2, 1, true));
        assert_eq!(word.grant(), None, "down takes effect as calls end");
        word = Word::from_bits(word.bits() - 2 * ONE);
        assert_eq!(word.grant().map(Word::in_flight), Some(1));
    }
}
