//! Which loads this thread is polling, so that a loader that reads its own key is found out instead of waiting for itself.
//!
//! A loader that waits in another task for a read of its own key is not seen here; such a read ends with the load's lease.

use std::cell::RefCell;

thread_local! {
    /// The addresses of the flights, the innermost last.
    static POLLED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Marks a load as polled by this thread until it is dropped.
pub(super) struct Polled(());

impl Polled {
    pub(super) fn new(address: usize) -> Self {
        // Where the thread is ending and has no list any more, nothing is noted and nothing found out.
        let _ = POLLED.try_with(|polled| polled.borrow_mut().push(address));
        Self(())
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        let _ = POLLED.try_with(|polled| polled.borrow_mut().pop());
    }
}

/// Whether this thread is polling that load, further up its stack.
pub(super) fn is_polled(address: usize) -> bool {
    POLLED
        .try_with(|polled| polled.borrow().contains(&address))
        .unwrap_or(false)
}
