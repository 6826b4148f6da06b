//! The current version of a value that many read and that is rarely replaced, such as settings.

use super::primitive::{AtomicU64, Mutex, Ordering};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use std::ops::Deref;
use std::sync::Arc;

/// A value that is read without a lock and replaced as a whole. A reader keeps the version that it has loaded.
#[derive(Debug)]
pub(crate) struct Current<T> {
    value: ArcSwap<T>,
    /// Held while the value is replaced, so that changes happen one after another. No reader takes it.
    changing: Mutex<()>,
}

impl<T> Current<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: ArcSwap::from_pointee(value),
            changing: Mutex::new(()),
        }
    }

    #[inline]
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.value.load()
    }

    /// Replaces the value by what `next` makes of it; an error leaves it as it is.
    pub(crate) fn change<E>(&self, next: impl FnOnce(&T) -> Result<T, E>) -> Result<(), E> {
        let _changing = self.changing.lock();
        let next = next(&self.value.load())?;
        self.value.store(Arc::new(next));
        Ok(())
    }
}

/// As [`Current`], but the first version lies here: it takes no allocation of its own, and a reader reaches it by one load.
/// It stays until the end.
pub(crate) struct InlineCurrent<T> {
    first: T,
    /// Whether there is a later version: 1 or 0.
    is_changed: AtomicU64,
    later: ArcSwapOption<T>,
    /// Held while the value is replaced, so that changes happen one after another. No reader takes it.
    changing: Mutex<()>,
}

impl<T> InlineCurrent<T> {
    pub(crate) fn new(first: T) -> Self {
        Self {
            first,
            is_changed: AtomicU64::new(0),
            later: ArcSwapOption::empty(),
            changing: Mutex::new(()),
        }
    }

    #[inline]
    pub(crate) fn load(&self) -> Version<'_, T> {
        // Acquire: pairs with the release in `change`, so that the later version is found.
        if self.is_changed.load(Ordering::Acquire) == 0 {
            Version::First(&self.first)
        } else {
            Version::Later(self.later.load())
        }
    }

    /// The first version, whether or not there is a later one.
    pub(crate) fn first(&self) -> &T {
        &self.first
    }

    /// Replaces the value by what `next` makes of it; an error leaves it as it is.
    pub(crate) fn change<E>(&self, next: impl FnOnce(&T) -> Result<T, E>) -> Result<(), E> {
        let _changing = self.changing.lock();
        let next = next(&self.load())?;
        self.later.store(Some(Arc::new(next)));
        // Release: pairs with the acquire in `load`.
        self.is_changed.store(1, Ordering::Release);
        Ok(())
    }
}

/// The version that a reader has loaded. It keeps it.
pub(crate) enum Version<'a, T> {
    First(&'a T),
    Later(Guard<Option<Arc<T>>>),
}

impl<T> Deref for Version<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Self::First(first) => first,
            Self::Later(later) => later.as_deref().expect("nothing takes a later version away"),
        }
    }
}
