//! What both kinds of sliding window do.

use super::config::SlidingWindowConfig;
use crate::time::Tick;

/// A sliding window of one kind.
pub(crate) trait SlidingWindow: Sized {
    /// Whether it holds something on the heap.
    const HAS_HEAP: bool = false;

    /// How many bytes it holds on the heap.
    fn heap(&self) -> usize {
        0
    }

    /// An empty window at `now`. The settings must be valid.
    fn empty(config: &SlidingWindowConfig, now: Tick) -> Self;

    /// Admits `n` requests at `now`, from 1 to the capacity, or returns when there will be room for them.
    fn admit_many(&mut self, now: Tick, n: u64) -> Result<(), Tick>;

    /// Forgets the last `n` requests that were admitted.
    fn give_back(&mut self, n: u64);

    /// When there will be room for a request behind `ahead` others, if all of them come at `now` and wait for their turn.
    fn opens_at(&self, now: Tick, ahead: u64) -> Tick;

    /// How many requests could be admitted at `now`.
    fn available(&self, now: Tick) -> u64;

    /// When it will be empty.
    fn empty_at(&self) -> Tick;

    /// A window with these settings that holds what `old` held at `now`.
    fn carry_over(config: &SlidingWindowConfig, old: &Self, now: Tick) -> Self;
}
