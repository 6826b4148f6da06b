//! Calls of wakers and listeners that other code supplied, whose panics must go no further.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Calls `code` and says whether it returned. A panic ends here: it neither ends a thread that serves others nor keeps the
/// next in a list from being served. The process's panic hook has reported it.
pub(crate) fn returns(code: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(code)).is_ok()
}

/// Wakes, whatever the waker does.
pub(crate) fn wake(waker: Waker) {
    returns(|| waker.wake());
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    /// A waker that panics when it is woken.
    pub(crate) struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of somebody else's");
        }
    }

    #[test]
    fn a_waker_that_panics_is_survived() {
        wake(Arc::new(Panics).into());
        assert!(returns(|| ()));
    }
}
