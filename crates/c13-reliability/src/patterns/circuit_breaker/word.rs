//! The packed state of the machine: one word, which is enough to admit a call and to count its success.

use super::snapshot::CircuitState;

/// The machine's state as callers see it without the lock.
///
/// If two readings are equal, nothing happened in between that matters to a result: every transition has a generation of its
/// own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

const PHASE: u64 = 0b111;
/// Every call is admitted.
const ADMITS: u64 = 1 << 3;
/// A success changes nothing but counts.
const PLAIN: u64 = 1 << 4;
/// Calls are timed, for the slow rule.
const MEASURED: u64 = 1 << 5;
/// How many windows over time count successes.
const TIMED_SHIFT: u32 = 6;
const TIMED: u64 = 0b11 << TIMED_SHIFT;
const GENERATION_SHIFT: u32 = 8;

impl Word {
    pub(super) fn new(state: CircuitState, generation: u64) -> Self {
        Self(generation << GENERATION_SHIFT | state as u64)
    }

    pub(super) fn with_admits(self, admits: bool) -> Self {
        self.with(ADMITS, admits)
    }

    pub(super) fn with_plain(self, plain: bool) -> Self {
        self.with(PLAIN, plain)
    }

    pub(super) fn with_measured(self, measured: bool) -> Self {
        self.with(MEASURED, measured)
    }

    pub(super) fn with_timed(self, windows: usize) -> Self {
        Self(self.0 & !TIMED | (windows as u64) << TIMED_SHIFT)
    }

    fn with(self, bit: u64, set: bool) -> Self {
        Self(if set { self.0 | bit } else { self.0 & !bit })
    }

    pub(super) fn state(self) -> CircuitState {
        match self.0 & PHASE {
            0 => CircuitState::Closed,
            1 => CircuitState::Open,
            2 => CircuitState::HalfOpen,
            3 => CircuitState::ForcedOpen,
            4 => CircuitState::ForcedClosed,
            _ => CircuitState::MetricsOnly,
        }
    }

    #[inline]
    pub(super) fn admits(self) -> bool {
        self.0 & ADMITS != 0
    }

    /// A success changes nothing but counts.
    #[inline]
    pub(super) fn plain(self) -> bool {
        self.0 & PLAIN != 0
    }

    /// Every call is admitted, and nobody asks when it began.
    #[inline]
    pub(super) fn admits_untimed(self) -> bool {
        self.0 & (ADMITS | MEASURED) == ADMITS
    }

    /// A success changes nothing but counts, however long it took.
    #[inline]
    pub(super) fn plain_untimed(self) -> bool {
        self.0 & (PLAIN | MEASURED) == PLAIN
    }

    #[inline]
    pub(super) fn measured(self) -> bool {
        self.0 & MEASURED != 0
    }

    #[inline]
    pub(super) fn timed(self) -> usize {
        ((self.0 & TIMED) >> TIMED_SHIFT) as usize
    }

    #[inline]
    pub(super) fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }
}
