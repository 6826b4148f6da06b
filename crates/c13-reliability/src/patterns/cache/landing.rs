//! How a load ended.

use std::any::Any;
use std::sync::Arc;

/// How a load ended, as all members of its flight get it.
pub(super) enum Landing<V> {
    /// The value, or that there is none.
    Found(Option<V>),
    /// The error, shared by all.
    Failed(Arc<dyn Any + Send + Sync>),
    /// The message of the panic.
    Panicked(Arc<str>),
}

impl<V: Clone> Clone for Landing<V> {
    fn clone(&self) -> Self {
        match self {
            Self::Found(value) => Self::Found(value.clone()),
            Self::Failed(error) => Self::Failed(error.clone()),
            Self::Panicked(words) => Self::Panicked(words.clone()),
        }
    }
}
