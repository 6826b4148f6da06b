//! A word that shares its cache lines with nothing.

use super::primitive::AtomicU64;
use std::ops::Deref;

/// A word on lines of its own, so that who reads what lies beside it never waits for a processor that writes to it. Two
/// lines, because processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Line(AtomicU64);

impl Line {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }
}

impl Deref for Line {
    type Target = AtomicU64;

    #[inline]
    fn deref(&self) -> &AtomicU64 {
        &self.0
    }
}
