//! The atomics and the lock that every shared state is made of: std's, or loom's under `--cfg c13_loom`.

#[cfg(c13_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(c13_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(c13_loom)]
pub(crate) use once_lock::OnceLock;
#[cfg(not(c13_loom))]
pub(crate) use std::sync::OnceLock;

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
    #[cfg(not(c13_loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    #[cfg(c13_loom)]
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

#[cfg(c13_loom)]
mod once_lock {
    use super::{AtomicU64, Mutex, Ordering};

    /// Std's cell, which loom does not see, with a lock and an atomic that it sees: a thread that finds the value sees all that
    /// the thread that set it wrote before. A thread may find nothing for a while after it was set.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        cell: std::sync::OnceLock<T>,
        is_set: AtomicU64,
        setting: Mutex<()>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self::holding(std::sync::OnceLock::new(), 0)
        }

        fn holding(cell: std::sync::OnceLock<T>, is_set: u64) -> Self {
            Self {
                cell,
                is_set: AtomicU64::new(is_set),
                setting: Mutex::new(()),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            // Acquire: sees what the thread that set the value wrote.
            let is_set = self.is_set.load(Ordering::Acquire) == 1;
            is_set.then(|| self.cell.get()).flatten()
        }

        pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
            if let Some(value) = self.get() {
                return value;
            }
            let _setting = self.setting.lock();
            let value = self.cell.get_or_init(init);
            // Release: lets others see what this thread wrote.
            self.is_set.store(1, Ordering::Release);
            value
        }
    }

    impl<T> Default for OnceLock<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    impl<T> From<T> for OnceLock<T> {
        fn from(value: T) -> Self {
            Self::holding(value.into(), 1)
        }
    }
}
