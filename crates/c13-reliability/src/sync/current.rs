//! The current version of a value that many read and that is rarely replaced, such as settings.

use super::primitive::Mutex;
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

/// As [`Current`], for a small value: the first version lies here without an allocation of its own, and stays until the end.
pub(crate) struct InlineCurrent<T> {
    first: T,
    /// Empty until the first change.
    later: ArcSwapOption<T>,
    /// Held while the value is replaced, so that changes happen one after another. No reader takes it.
    changing: Mutex<()>,
}

impl<T> InlineCurrent<T> {
    pub(crate) fn new(first: T) -> Self {
        Self {
            first,
            later: ArcSwapOption::empty(),
            changing: Mutex::new(()),
        }
    }

    pub(crate) fn load(&self) -> impl Deref<Target = T> + '_ {
        Version {
            first: &self.first,
            later: self.later.load(),
        }
    }

    /// Replaces the value by what `next` makes of it; an error leaves it as it is.
    pub(crate) fn change<E>(&self, next: impl FnOnce(&T) -> Result<T, E>) -> Result<(), E> {
        let _changing = self.changing.lock();
        let next = next(&self.load())?;
        self.later.store(Some(Arc::new(next)));
        Ok(())
    }
}

/// The version that a reader has loaded.
struct Version<'a, T> {
    first: &'a T,
    later: Guard<Option<Arc<T>>>,
}

impl<T> Deref for Version<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.later.as_deref().unwrap_or(self.first)
    }
}
