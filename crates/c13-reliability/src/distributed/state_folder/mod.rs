//! A folder of this machine in which processes keep what they share: locks, fences, limits, journals. `trust` decides which
//! owners and modes are trusted, `walk` walks the path to the folder, and `folder` is what users hold.

mod file;
mod folder;
mod trust;
mod walk;

pub use file::{FileLock, Turn};
pub use folder::StateFolder;
