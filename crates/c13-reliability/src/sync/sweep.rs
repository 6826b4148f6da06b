//! When a map in memory is looked through for entries that say nothing any more.

/// The fewest entries that are worth a look.
const LEAST: usize = 64;

/// Tells when to look through a map again: once it is twice as large as what the last look left.
///
/// So the map holds at most twice what is in use, and a look costs each entry a constant share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    at: usize,
}

impl Default for Sweep {
    fn default() -> Self {
        Self::new()
    }
}

impl Sweep {
    pub(crate) const fn new() -> Self {
        Self { at: LEAST }
    }

    /// Whether a map of so many entries is due.
    pub(crate) const fn is_due(self, entries: usize) -> bool {
        entries >= self.at
    }

    /// A look has left so many entries.
    pub(crate) fn done(&mut self, left: usize) {
        self.at = left.saturating_mul(2).max(LEAST);
    }
}
