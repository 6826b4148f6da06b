//! A word that shares its cache line with nothing.

use super::primitive::AtomicU64;
use std::ops::Deref;

/// A word on a cache line of its own, so that a thread which reads what lies beside it never waits for a thread that writes
/// to it.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct CacheLine(AtomicU64);

impl CacheLine {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
}

impl Deref for CacheLine {
    type Target = AtomicU64;

    #[inline]
    fn deref(&self) -> &AtomicU64 {
        &self.0
    }
}
