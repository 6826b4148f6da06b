//! Attempts that are dropped because another attempt of the same call was faster. Their outcome is ignored: they were neither
//! failures nor abandoned.

use std::cell::Cell;

thread_local! {
    static BEING_DROPPED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the attempt that is dropped now on this thread has lost against another one.
pub(super) fn are_being_dropped() -> bool {
    BEING_DROPPED.get()
}

/// Runs `drop_them`, which drops losers.
pub(crate) fn drop_by(drop_them: impl FnOnce()) {
    /// Restores the cell even if a loser panics.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            BEING_DROPPED.set(self.0);
        }
    }

    let _before = Before(BEING_DROPPED.replace(true));
    drop_them();
}
