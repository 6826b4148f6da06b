//! The packed state of a semaphore: how many permits are taken, how many there are, and whether anybody waits.

/// There are never more permits: 2³¹ − 1.
pub(crate) const MAX_PERMITS: u32 = (1 << 31) - 1;

/// Permits that are taken, by calls that run or because they lie on a stripe (bits 0 to 31), how many there are (bits 32
/// to 62), and whether the queue has waiters (bit 63).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedState(u64);

/// Set while the queue has waiters: newcomers join it, and whoever releases a permit serves it.
pub(super) const HAS_WAITERS: u64 = 1 << 63;
/// One permit that is taken, as it is added to the state and subtracted from it.
pub(super) const ONE_PERMIT: u64 = 1;
const LIMIT_SHIFT: u32 = 32;
const LIMIT_MASK: u64 = MAX_PERMITS as u64;

impl PackedState {
    /// None of `limit` permits is taken. `limit` is below 2³¹.
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

    pub(super) const fn has_waiters(self) -> bool {
        self.0 & HAS_WAITERS != 0
    }

    /// A newcomer takes a permit, if one is available and nobody waits.
    pub(super) const fn acquire(self) -> Option<Self> {
        if self.has_waiters() { None } else { self.grant() }
    }

    /// The first waiter takes a permit, if one is available.
    pub(super) const fn grant(self) -> Option<Self> {
        if self.taken() < self.limit() {
            Some(Self(self.0 + ONE_PERMIT))
        } else {
            None
        }
    }

    /// Whether at least half of all permits are available, and at least `least` of them, and nobody waits.
    pub(super) fn has_to_spare(self, least: u32) -> bool {
        let available = self.limit().saturating_sub(self.taken());
        !self.has_waiters() && available >= least.max(self.limit().div_ceil(2))
    }

    /// Whether lent permits may be used: nobody waits, and no more permits are taken than there are.
    pub(super) const fn may_lend(self) -> bool {
        !self.has_waiters() && self.taken() <= self.limit()
    }

    /// There are `limit` permits from now on, below 2³¹. Calls that run keep theirs.
    pub(super) const fn resize(self, limit: u32) -> Self {
        Self(self.0 & !(LIMIT_MASK << LIMIT_SHIFT) | (limit as u64) << LIMIT_SHIFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_permits_are_acquired_as_there_are_and_no_more() {
        let mut state = PackedState::new(3);
        for running in 0..3 {
            assert_eq!(state.taken(), running);
            state = state.acquire().unwrap();
        }
        assert_eq!((state.acquire(), state.grant()), (None, None));
        state = PackedState::from_bits(state.bits() - ONE_PERMIT);
        assert!(state.acquire().is_some());
    }

    #[test]
    fn a_newcomer_does_not_overtake_waiters() {
        let state = PackedState::from_bits(PackedState::new(3).bits() | HAS_WAITERS);
        assert_eq!(state.acquire(), None);
        assert!(state.grant().is_some_and(PackedState::has_waiters));
    }

    #[test]
    fn permits_are_to_spare_if_many_are_available_and_half_of_all_and_nobody_waits() {
        let state = |limit, taken| PackedState::from_bits(PackedState::new(limit).bits() + taken * ONE_PERMIT);
        assert!(state(20, 4).has_to_spare(16) && !state(20, 5).has_to_spare(16));
        assert!(state(100, 50).has_to_spare(16) && !state(100, 51).has_to_spare(16));
        assert!(!state(33, 17).has_to_spare(16));
        assert!(!PackedState::from_bits(state(100, 0).bits() | HAS_WAITERS).has_to_spare(16));
    }

    #[test]
    fn lent_permits_may_be_used_while_no_more_are_taken_than_there_are_and_nobody_waits() {
        let state = PackedState::from_bits(PackedState::new(5).bits() + 5 * ONE_PERMIT);
        assert!(state.may_lend() && !state.resize(4).may_lend());
        assert!(!PackedState::from_bits(PackedState::new(5).bits() | HAS_WAITERS).may_lend());
    }

    #[test]
    fn a_new_limit_leaves_running_and_waiting_calls_as_they_are() {
        let mut state = PackedState::new(MAX_PERMITS);
        assert_eq!(state.limit(), MAX_PERMITS);
        state = state.acquire().and_then(PackedState::acquire).unwrap();
        state = PackedState::from_bits(state.bits() | HAS_WAITERS).resize(1);
        assert_eq!((state.taken(), state.limit(), state.has_waiters()), (2, 1, true));
        assert_eq!(state.grant(), None, "a lower limit takes effect as calls end");
        state = PackedState::from_bits(state.bits() - 2 * ONE_PERMIT);
        assert_eq!(state.grant().map(PackedState::taken), Some(1));
    }
}
