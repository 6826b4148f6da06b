//! The result of a load, and for how long to keep it.

use super::state::Keep;
use std::time::Duration;

/// The result of a load: a value, or that there is none, and for how long to keep it.
///
/// ```
/// use c13_reliability::patterns::cache::Loaded;
/// use std::time::Duration;
///
/// let from_header = Loaded::found("body").keep_for(Duration::from_secs(30));
/// let private = Loaded::found("body").not_kept();
/// let nothing = Loaded::<&str>::absent();
/// assert_ne!(from_header, private);
/// assert_eq!(nothing.value, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded<V> {
    /// The value, `None` if there is nothing under the key.
    pub value: Option<V>,
    pub(super) keep: Keep,
}

impl<V> Loaded<V> {
    /// A value, kept as the settings say.
    #[must_use]
    pub const fn found(value: V) -> Self {
        Self {
            value: Some(value),
            keep: Keep::AsSet,
        }
    }

    /// That there is nothing, remembered as the settings say.
    #[must_use]
    pub const fn absent() -> Self {
        Self {
            value: None,
            keep: Keep::AsSet,
        }
    }

    /// Keeps it fresh for exactly this long instead.
    #[must_use]
    pub fn keep_for(mut self, ttl: Duration) -> Self {
        self.keep = Keep::For(ttl);
        self
    }

    /// Serves it to the reads that wait for it now, and does not keep it.
    #[must_use]
    pub fn not_kept(mut self) -> Self {
        self.keep = Keep::Not;
        self
    }
}

impl<V> From<Option<V>> for Loaded<V> {
    fn from(value: Option<V>) -> Self {
        Self {
            value,
            keep: Keep::AsSet,
        }
    }
}
