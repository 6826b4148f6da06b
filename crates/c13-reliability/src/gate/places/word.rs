//! What is decided, as a value of one word: how many places are taken, how many there are, and whether anybody is in line.

/// Places that are taken, by calls that run or because they lie free with a thread they are lent to (bits 0 to 31), how many
/// there are (bits 32 to 62), and whether anybody is in line (bit 63).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

/// Set while anybody is in line: newcomers queue, and whoever leaves serves the queue.
pub(super) const WAITING: u64 = 1 << 63;
/// One place that is taken, as it is added to the word and taken off it.
pub(super) const ONE: u64 = 1;
const LIMIT_SHIFT: u32 = 32;
const LIMIT_MASK: u64 = super::MAX_PLACES as u64;

impl Word {
    /// Nothing is taken of `limit` places, below 2³¹.
    pub(super) const fn new(limit: u32) -> Self {
        Self((limit as u64) << LIMIT_SHIFT)
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn taken(self) -> u32 {
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

    /// Whether at least half of all places are free, and at least `least` of them, and nobody is in line.
    pub(super) fn has_to_spare(self, least: u32) -> bool {
        let room = self.limit().saturating_sub(self.taken());
        !self.is_waited_for() && room >= least.max(self.limit().div_ceil(2))
    }

    /// Whether places that are lent may be used: nobody is in line, and no more are taken than there are.
    pub(super) const fn may_lend(self) -> bool {
        !self.is_waited_for() && self.taken() <= self.limit()
    }

    /// Lets the first in line in, if there is room.
    pub(super) const fn grant(self) -> Option<Self> {
        if self.taken() < self.limit() {
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
            assert_eq!(word.taken(), running);
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

    #[test]
    fn places_are_to_spare_where_many_are_free_and_half_of_all_and_nobody_is_in_line() {
        let word = |limit, taken| Word::from_bits(Word::new(limit).bits() + taken * ONE);
        assert!(word(20, 4).has_to_spare(16) && !word(20, 5).has_to_spare(16));
        assert!(word(100, 50).has_to_spare(16) && !word(100, 51).has_to_spare(16));
        assert!(!word(33, 17).has_to_spare(16));
        assert!(!Word::from_bits(word(100, 0).bits() | WAITING).has_to_spare(16));
    }

    #[test]
    fn what_is_lent_may_be_used_while_no_more_is_taken_than_there_is_and_nobody_is_in_line() {
        let word = Word::from_bits(Word::new(5).bits() + 5 * ONE);
        assert!(word.may_lend() && !word.resize(4).may_lend());
        assert!(!Word::from_bits(Word::new(5).bits() | WAITING).may_lend());
    }

    const LARGEST: u32 = LIMIT_MASK as u32;

    #[test]
    fn a_new_limit_leaves_those_who_run_and_wait_as_they_are() {
        let mut word = Word::new(LARGEST);
        assert_eq!(word.limit(), LARGEST);
        word = word.admit().and_then(Word::admit).unwrap();
        word = Word::from_bits(word.bits() | WAITING).resize(1);
        assert_eq!((word.taken(), word.limit(), word.is_waited_for()), (2, 1, true));
        assert_eq!(word.grant(), None, "down takes effect as calls end");
        word = Word::from_bits(word.bits() - 2 * ONE);
        assert_eq!(word.grant().map(Word::taken), Some(1));
    }
}
