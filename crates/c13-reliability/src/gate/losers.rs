//! Attempts that are dropped because another one of the same call was faster: their permits have nothing to say, whatever
//! a dropped call counts for otherwise.

use std::cell::Cell;

thread_local! {
    static BEING_DROPPED: Cell<bool> = const { Cell::new(false) };
}

/// Whether what is dropped now on this thread has lost against another attempt.
pub(super) fn are_being_dropped() -> bool {
    BEING_DROPPED.get()
}

/// Drops losers by `drop_them`.
pub(crate) fn drop_by(drop_them: impl FnOnce()) {
    /// Ends it even where a loser panics.
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            BEING_DROPPED.set(self.0);
        }
    }

    let _before = Before(BEING_DROPPED.replace(true));
    drop_them();
}
