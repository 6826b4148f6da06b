//! A file that is locked, and whether it is still the one that other processes find.

use super::folder::StateFolder;
use super::trust::{failed, io_failed};
use super::walk::Opened;
use crate::distributed::lock::BackendError;
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW, fstat, futimens, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// A file of a [`StateFolder`] that this process has locked. When it is dropped it is closed, and unlocked unless there is a duplicate.
#[derive(Debug)]
pub struct FileLock {
    folder: StateFolder,
    opened: Arc<Opened>,
    name: String,
    file: File,
}

impl FileLock {
    pub(super) fn new(folder: StateFolder, opened: Arc<Opened>, name: &str, file: File) -> Self {
        Self {
            folder,
            opened,
            name: name.to_owned(),
            file,
        }
    }

    /// Whether the locked file is the one that other processes find.
    ///
    /// # Errors
    ///
    /// The system refuses to say.
    pub fn is_in_place(&self) -> Result<bool, BackendError> {
        let path = self.folder.file(&self.name);
        if !self.opened.is_at(self.folder.path()) {
            return Ok(false);
        }
        let ours = fstat(&self.file).map_err(|errno| failed(&path, errno))?;
        match statat(&self.opened.descriptor, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(theirs) => Ok((ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(failed(&path, errno)),
        }
    }

    /// Another descriptor of the same open file: a process that has it holds the lock too.
    ///
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub fn duplicate(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Unlocks it, for all duplicates.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn unlock(self) -> Result<(), BackendError> {
        let unlocked = self.file.unlock();
        unlocked.map_err(|error| io_failed(&self.folder.file(&self.name), &error))
    }
}

/// One process's turn, in which no other process writes the record. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "the turn is over when this is dropped"]
pub struct Turn {
    lock: FileLock,
}

impl Turn {
    /// Marks the file with the present time, by which waiting processes see that another turn has begun.
    pub(super) fn new(lock: FileLock) -> Self {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        // Without the mark, a process that waits through many turns may take them for one.
        futimens(&lock.file, &times).unwrap_or_default();
        Self { lock }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Not left to the close: a child that another thread is just starting may have the descriptor too.
        drop(self.lock.file.unlock());
    }
}
