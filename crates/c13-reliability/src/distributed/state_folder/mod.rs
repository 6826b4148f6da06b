//! A folder of this machine in which processes keep what they share: locks, fences, limits, journals. Whom it trusts is
//! decided in `trust`, the way to it is walked in `walk`, and `folder` is what users hold.

mod file;
mod folder;
mod trust;
mod walk;

pub use file::{FileLock, Turn};
pub use folder::StateFolder;
