//! Which flights this thread is polling, so that work that waits for itself is found instead of waiting for ever.
//!
//! Work that waits for itself by way of another task is not seen here; such a wait ends with the flight's lease.

use std::cell::RefCell;

thread_local! {
    /// The addresses of the flights, the innermost last.
    static POLLED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Marks a flight's work as polled by this thread until it is dropped.
pub(crate) struct Polled(());

impl Polled {
    pub(crate) fn new(address: usize) -> Self {
        // A thread that is ending has no list any more: nothing is marked, and nothing found.
        let _ = POLLED.try_with(|polled| polled.borrow_mut().push(address));
        Self(())
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        let _ = POLLED.try_with(|polled| polled.borrow_mut().pop());
    }
}

/// Whether this thread is polling that flight's work, further up its stack.
pub(crate) fn is_polled(address: usize) -> bool {
    POLLED
        .try_with(|polled| polled.borrow().contains(&address))
        .unwrap_or(false)
}
