//! The current version of a value that many read and that is rarely replaced, such as settings.

use crate::sync::primitive::Mutex;
use arc_swap::{ArcSwap, Guard};
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
