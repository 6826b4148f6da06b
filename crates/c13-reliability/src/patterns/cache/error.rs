//! Why a read through the cache gave no value.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a read through the cache gave no value. All reads that waited for a load share the loader's own error.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The load failed, and there was nothing stale to serve in its place.
    Failed(Arc<E>),
    /// The load that this read waited for panicked. The read that loaded got the panic itself.
    Panicked(Arc<str>),
    /// There is nothing under the key, as another read had found.
    Absent,
    /// The loader read the key that it was loading. The read would have waited for itself, so it ends at once.
    Recursive,
    /// The caller's deadline had passed before the load began, and there was nothing stale to serve in its place.
    DeadlinePassed,
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(error.clone()),
            Self::Panicked(words) => Self::Panicked(words.clone()),
            Self::Absent => Self::Absent,
            Self::Recursive => Self::Recursive,
            Self::DeadlinePassed => Self::DeadlinePassed,
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Panicked(words) => write!(f, "the load panicked: {words}"),
            Self::Absent => f.write_str("there is nothing under the key"),
            Self::Recursive => f.write_str("the loader read the key that it was loading"),
            Self::DeadlinePassed => f.write_str("the deadline had passed before the load began"),
        }
    }
}

impl<E: Error + 'static> Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The error's own message says enough.
            Self::Failed(error) => error.source(),
            Self::Panicked(_) | Self::Absent | Self::Recursive | Self::DeadlinePassed => None,
        }
    }
}
