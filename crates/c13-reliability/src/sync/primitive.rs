//! The atomics and the lock that every shared state is made of: std's, or loom's under `--cfg c13_loom`.

#[cfg(c13_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(c13_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(c13_loom)]
use loom::sync as imp;
#[cfg(not(c13_loom))]
use std::sync as imp;

use std::sync::{PoisonError, TryLockError};

/// A load that takes part in the one order of all `SeqCst` operations.
///
/// Loom knows that order of fences only, so that under it there is one before the load.
#[inline]
pub(crate) fn load_in_order(atomic: &AtomicU64) -> u64 {
    #[cfg(c13_loom)]
    // SeqCst: as said above.
    fence(Ordering::SeqCst);
    // SeqCst: as said above.
    atomic.load(Ordering::SeqCst)
}

/// A lock whose guard comes without a `Result`: no user code ever runs under it, so what it protects is whole even
/// after a panic.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

pub(crate) type MutexGuard<'a, T> = imp::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    /// The lock, unless somebody has it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
