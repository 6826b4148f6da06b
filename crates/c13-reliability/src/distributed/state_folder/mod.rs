//! A folder of this machine in which processes keep what they share: locks, fences, limits, journals.
//!
//! # Whom it trusts
//!
//! What lies in a place that others can write to is not trusted. Before anything is opened, the whole way to the folder is
//! walked from the root, link by link:
//!
//! | what | must |
//! |---|---|
//! | each folder on the way, each link | belong to the superuser or to us |
//! | each folder on the way | not be writable by others, unless it is sticky as `/tmp` is |
//! | the folder itself | be no link, belong to us, and be writable by nobody else |
//! | each file in it | be a regular file with one name, belong to us, and be writable by nobody else |
//!
//! "Others" are the folder's group too, unless the group's number is the owner's: that is a user's private group. A folder
//! that is not there is made with the mode 0700, its files with 0600.
//!
//! A [shared](StateFolder::shared) folder is one that several users share on purpose: it belongs to the superuser or to us,
//! its group may write to it, and its set-group-ID bit is set, so that all files in it get its group (`root:jobs`, mode
//! 2770). There, each file must have the folder's group instead of our user, and is made with the mode 0660.
//!
//! # What survives
//!
//! Records are written as a new file that is renamed over the old one, so that a reader, and whoever comes after a process
//! that was killed, finds the old or the new record whole. They are not flushed to the disk: a machine that loses its
//! power may forget the last of them. No call waits in the kernel for somebody else's lock.

mod file;
mod folder;
mod trust;
mod walk;

pub use file::{FileLock, Turn};
pub use folder::StateFolder;
