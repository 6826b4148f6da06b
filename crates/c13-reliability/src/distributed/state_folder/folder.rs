//! The folder as its users hold it: locks that are tried, records that are read and replaced.

use super::file::{FileLock, Turn};
use super::trust::{Facts, failed, io_failed, user};
use super::walk::Opened;
use crate::distributed::lock::{BackendError, BackendErrorKind};
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Tick};
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, fstat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A folder of this machine for what processes share: locks, fences, limits, journals.
///
/// # Whom it trusts
///
/// Files where others can write are not trusted. Before anything is opened, the whole path to the folder is walked from the
/// root, link by link:
///
/// | what | must |
/// |---|---|
/// | each folder on the way, each link | belong to the superuser or to us |
/// | each folder on the way | not be writable by others, unless it is sticky as `/tmp` is |
/// | the folder itself | be no link, belong to us, and be writable by us alone |
/// | each file in it | be a regular file with one name, belong to us, and be writable by us alone |
///
/// "Others" are the folder's group too, unless the group's number is the owner's: that is a user's private group. A folder
/// that is not there is made with the mode 0700, its files with 0600.
///
/// A [shared](Self::shared) folder is one that several users share on purpose: it belongs to the superuser or to us,
/// its group may write to it, and its set-group-ID bit is set, so that all files in it get its group (`root:jobs`, mode
/// 2770). There, each file must have the folder's group instead of our user, and is made with the mode 0660.
///
/// # What survives
///
/// Records are written as a new file that is renamed over the old one, so that a reader, also after a process was killed,
/// finds the old or the new record whole. They are not flushed to the disk: a machine that loses its power may lose the last
/// of them. No call waits in the kernel for the lock of another process.
///
/// Cheap to clone; all clones are one folder.
#[derive(Clone)]
pub struct StateFolder {
    shared: Arc<CheckedFolder>,
}

struct CheckedFolder {
    path: PathBuf,
    may_be_shared: bool,
    opened: Mutex<Arc<Opened>>,
    report: Option<Report>,
    /// The record that was last reported as damaged: it may be read more than once before it is replaced.
    damaged: Mutex<Option<PathBuf>>,
}

type Report = Box<dyn Fn(&str) + Send + Sync>;

/// The most bytes of a record that are read. Ours are far shorter.
const LONGEST_RECORD: u64 = 16 * 1024;
/// How often a file may be replaced or removed by others while it is being locked.
const TRIES: usize = 16;
/// How long another process may keep its turn, for which ours need some microseconds.
const TURN: Duration = Duration::from_secs(2);
/// How long to wait between two looks whether it has done: at first, and in the end. Many wait at once.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(10);
/// How much of that time one look accounts for at most, however late it is: this process may have been stopped.
const LONGEST_LOOK: Duration = Duration::from_millis(100);

const COMMON: OFlags = OFlags::NOFOLLOW
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

impl StateFolder {
    /// The folder at this path, for the processes of this user alone. It is made if it is not there.
    ///
    /// # Errors
    ///
    /// The folder or the path to it cannot be trusted, or cannot be made; with the path and the rule.
    pub fn private(path: impl Into<PathBuf>) -> Result<Self, BackendError> {
        Self::open(path.into(), false)
    }

    /// The folder at this path, which several users may share: those of its group, if the group may write to it.
    ///
    /// It is made for this user alone if it is not there.
    ///
    /// # Errors
    ///
    /// The folder or the path to it cannot be trusted, or cannot be made; with the path and the rule.
    pub fn shared(path: impl Into<PathBuf>) -> Result<Self, BackendError> {
        Self::open(path.into(), true)
    }

    fn open(path: PathBuf, may_be_shared: bool) -> Result<Self, BackendError> {
        // Of an empty path, and where the present folder is gone.
        let path = std::path::absolute(&path).map_err(|error| {
            let message = format!("the state folder `{}`: {error}", path.display());
            BackendError::new(BackendErrorKind::Refused, message)
        })?;
        let opened = Opened::at(&path, may_be_shared)?;
        Ok(Self {
            shared: Arc::new(CheckedFolder {
                path,
                may_be_shared,
                opened: Mutex::new(Arc::new(opened)),
                report: None,
                damaged: Mutex::default(),
            }),
        })
    }

    /// Calls `report` with a line of text when a record is damaged and is taken for empty. With the feature `tracing` that is
    /// an event too.
    ///
    /// # Panics
    ///
    /// The folder was cloned before.
    #[must_use]
    pub fn on_damage(mut self, report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("it is set before the folder is cloned");
        shared.report = Some(Box::new(report));
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Where a file of it is.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.shared.path.join(name)
    }

    /// Locks a file, which is made if it is not there, unless another process has it locked. Never waits.
    ///
    /// # Errors
    ///
    /// The file cannot be trusted, or the system refuses.
    pub fn try_lock(&self, name: &str) -> Result<Option<FileLock>, BackendError> {
        self.lock_with(name, File::try_lock)
    }

    /// As [`try_lock`](Self::try_lock), but shared with other processes that lock it in this way.
    ///
    /// # Errors
    ///
    /// The file cannot be trusted, or the system refuses.
    pub fn try_lock_shared(&self, name: &str) -> Result<Option<FileLock>, BackendError> {
        self.lock_with(name, File::try_lock_shared)
    }

    fn lock_with(
        &self,
        name: &str,
        lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<FileLock>, BackendError> {
        for _ in 0..TRIES {
            let folder = self.current()?;
            let file = match self.open_or_make(&folder, name)? {
                Some(file) => file,
                None => continue,
            };
            match lock(&file) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(io_failed(&self.file(name), &error)),
            }
            let lock = FileLock::new(self.clone(), folder, name, file);
            // Removed or replaced before it was locked, it keeps no other process out.
            if lock.is_in_place()? {
                return Ok(Some(lock));
            }
        }
        let message = format!("{}: others remove it again and again", self.file(name).display());
        Err(BackendError::new(BackendErrorKind::Unable, message))
    }

    /// Waits until no other process has a turn at the record of this name, and keeps others out as long as the turn lasts.
    ///
    /// It waits as long as others take turns, in no order, and gives up when one of them has kept its turn for two seconds.
    /// Bound it by a time limit of your own.
    ///
    /// # Errors
    ///
    /// The file cannot be trusted, or one other process keeps it locked.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves nothing locked.
    pub async fn turn(&self, name: &str) -> Result<Turn, BackendError> {
        if let Some(lock) = self.try_lock(name)? {
            return Ok(Turn::new(lock));
        }
        let clock = Clock::since_boot();
        let mut others = OthersTurn::seen(self.taken_at(name)?, clock.now());
        let mut look = FIRST_LOOK;
        loop {
            clock.sleep(look).await;
            look = (look * 2).min(LAST_LOOK);
            if let Some(lock) = self.try_lock(name)? {
                return Ok(Turn::new(lock));
            }
            if others.lasts_too_long(self.taken_at(name)?, clock.now()) {
                let message = format!(
                    "{}: one other process has had it locked for {TURN:?}",
                    self.file(name).display()
                );
                return Err(BackendError::new(BackendErrorKind::Unable, message));
            }
        }
    }

    /// When the last turn of this name began, by the file's time; nothing if the file is gone.
    fn taken_at(&self, name: &str) -> Result<Option<(i64, u64)>, BackendError> {
        match statat(&self.current()?.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) => Ok(Some((facts.st_mtime, facts.st_mtime_nsec))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(&self.file(name), errno)),
        }
    }

    /// Reads a record: `None` if there is none, and also if `parse` can make nothing of it, which is reported.
    ///
    /// # Errors
    ///
    /// The file cannot be trusted, or the system refuses.
    pub fn read<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, BackendError> {
        let folder = self.current()?;
        let Some(file) = self.open_file(&folder, name, OFlags::RDONLY)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let path = self.file(name);
        let read = file.take(LONGEST_RECORD + 1).read_to_end(&mut bytes);
        read.map_err(|error| io_failed(&path, &error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(&bytes).ok();
        let parsed = text.filter(|text| text.len() as u64 <= LONGEST_RECORD).and_then(parse);
        let is_news = || self.shared.damaged.lock().replace(path.clone()).as_ref() != Some(&path);
        if parsed.is_none() && is_news() {
            let message = format!("{}: damaged, and taken for empty", path.display());
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "c13::state", "{message}");
            if let Some(report) = &self.shared.report {
                report(&message);
            }
        }
        Ok(parsed)
    }

    /// Replaces a record, all of it or nothing. Only the process that has the turn may do so.
    ///
    /// # Errors
    ///
    /// The system refuses: the old record stays.
    pub fn replace(&self, name: &str, text: &str) -> Result<(), BackendError> {
        let folder = self.current()?;
        let written = format!("{name}.new");
        let path = self.file(&written);
        let mut file = self.make(&folder, &written)?;
        let done = file
            .write_all(text.as_bytes())
            .map_err(|error| io_failed(&path, &error));
        let done = done.and_then(|()| {
            renameat(&folder.descriptor, &written, &folder.descriptor, name)
                .map_err(|errno| failed(&self.file(name), errno))
        });
        if done.is_err() {
            // What is left there is replaced next time.
            let _: Result<(), _> = unlinkat(&folder.descriptor, &written, AtFlags::empty());
        }
        done
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn remove(&self, name: &str) -> Result<(), BackendError> {
        match unlinkat(&self.current()?.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(&self.file(name), errno)),
        }
    }

    /// The folder that other processes find at the path now, checked.
    pub(super) fn current(&self) -> Result<Arc<Opened>, BackendError> {
        let shared = &self.shared;
        let opened = shared.opened.lock().clone();
        if opened.is_at(&shared.path) {
            return Ok(opened);
        }
        let opened = Arc::new(Opened::at(&shared.path, shared.may_be_shared)?);
        *shared.opened.lock() = opened.clone();
        Ok(opened)
    }

    /// Opens a file and checks it; `None` if it is not there.
    fn open_file(&self, folder: &Opened, name: &str, access: OFlags) -> Result<Option<File>, BackendError> {
        let path = self.file(name);
        match openat(&folder.descriptor, name, access | COMMON, Mode::empty()) {
            Ok(file) => {
                let facts = Facts::from(&fstat(&file).map_err(|errno| failed(&path, errno))?);
                let checked = facts.check_file(user(), folder.shared_with);
                checked.map_err(|rule| facts.refused(&path, rule))?;
                Ok(Some(file.into()))
            }
            Err(Errno::NOENT) => Ok(None),
            // If it cannot be opened because of what it is, the error says what it is.
            Err(errno) => Err(self.why_not(folder, name).unwrap_or_else(|| failed(&path, errno))),
        }
    }

    /// The rule that a file breaks which cannot be opened.
    fn why_not(&self, folder: &Opened, name: &str) -> Option<BackendError> {
        let facts = Facts::from(&statat(&folder.descriptor, name, AtFlags::SYMLINK_NOFOLLOW).ok()?);
        let rule = facts.check_file(user(), folder.shared_with).err()?;
        Some(facts.refused(&self.file(name), rule))
    }

    /// Opens a file to be locked, and makes it if it is not there; `None` if others were quicker, and removed it again.
    fn open_or_make(&self, folder: &Opened, name: &str) -> Result<Option<File>, BackendError> {
        if let Some(file) = self.open_file(folder, name, OFlags::RDWR)? {
            return Ok(Some(file));
        }
        if folder.shared_with.is_none() {
            let access = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | COMMON;
            return match openat(&folder.descriptor, name, access, Mode::RUSR | Mode::WUSR) {
                Ok(file) => Ok(Some(file.into())),
                Err(Errno::EXIST) => self.open_file(folder, name, OFlags::RDWR),
                Err(errno) => Err(failed(&self.file(name), errno)),
            };
        }
        // Others must never find it before it has the mode that lets them open it.
        let made = format!("{name}.{}", std::process::id());
        let file = self.make(folder, &made)?;
        let (from, to) = ((&folder.descriptor, &made), (&folder.descriptor, name));
        let renamed = renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE);
        if renamed.is_err() {
            let _: Result<(), _> = unlinkat(&folder.descriptor, &made, AtFlags::empty());
        }
        match renamed {
            Ok(()) => Ok(Some(file)),
            Err(Errno::EXIST) => self.open_file(folder, name, OFlags::RDWR),
            Err(errno) => Err(failed(&self.file(name), errno)),
        }
    }

    /// Makes a new file, and replaces what a killed process may have left under this name.
    fn make(&self, folder: &Opened, name: &str) -> Result<File, BackendError> {
        let access = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | COMMON;
        let mut made = openat(&folder.descriptor, name, access, Mode::RUSR | Mode::WUSR);
        if matches!(made, Err(Errno::EXIST)) {
            unlinkat(&folder.descriptor, name, AtFlags::empty()).map_err(|errno| failed(&self.file(name), errno))?;
            made = openat(&folder.descriptor, name, access, Mode::RUSR | Mode::WUSR);
        }
        let file = made.map_err(|errno| failed(&self.file(name), errno))?;
        if folder.shared_with.is_some() {
            // The umask may have taken the group's rights.
            let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP;
            fchmod(&file, mode).map_err(|errno| failed(&self.file(name), errno))?;
        }
        Ok(file.into())
    }
}

/// The turn of another process, as a waiting process sees it.
struct OthersTurn {
    /// Distinguishes it from the next turn.
    taken: Option<(i64, u64)>,
    seen: Tick,
    held: Duration,
}

impl OthersTurn {
    fn seen(taken: Option<(i64, u64)>, now: Tick) -> Self {
        Self {
            taken,
            seen: now,
            held: Duration::ZERO,
        }
    }

    /// Whether one process has had its turn for longer than any needs.
    fn lasts_too_long(&mut self, taken: Option<(i64, u64)>, now: Tick) -> bool {
        if taken != self.taken {
            *self = Self::seen(taken, now);
        }
        self.held += (now - self.seen).min(LONGEST_LOOK);
        self.seen = now;
        self.held >= TURN
    }
}

impl fmt::Debug for StateFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateFolder")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Timespec, Timestamps, futimens};
    use std::cell::Cell;
    use std::fs;

    /// A state folder of its own for one test, gone afterwards.
    struct Place {
        folder: PathBuf,
        state: StateFolder,
    }

    impl Place {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("c13-folder-{name}-{}", std::process::id()));
            drop(fs::remove_dir_all(&folder));
            let state = StateFolder::private(folder.join("state")).unwrap();
            Self { folder, state }
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.folder));
        }
    }

    #[test]
    fn what_is_removed_between_being_opened_and_locked_is_not_taken_for_locked() {
        for whole_folder in [false, true] {
            let place = Place::new("removed");
            let (state, tried) = (&place.state, Cell::new(0));
            let locked = state.lock_with("k.lock", |file| {
                tried.set(tried.get() + 1);
                if tried.get() == 1 {
                    if whole_folder {
                        fs::rename(state.path(), place.folder.join("moved")).unwrap();
                    } else {
                        fs::remove_file(state.file("k.lock")).unwrap();
                    }
                }
                file.try_lock()
            });
            let locked = locked.unwrap().expect("nobody else has it");
            assert_eq!(tried.get(), 2, "the first one keeps nobody out");
            assert!(locked.is_in_place().unwrap());
            assert!(
                state.try_lock("k.lock").unwrap().is_none(),
                "others find the one that is locked"
            );
        }
        let place = Place::new("again");
        let removing = |file: &File| {
            fs::remove_file(place.state.file("k.lock")).unwrap();
            file.try_lock()
        };
        let error = place.state.lock_with("k.lock", removing).unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Unable, "{error}");
    }

    #[test]
    fn a_turn_is_given_up_only_when_one_other_process_keeps_it() {
        let at = |ms: u64| Tick::ZERO + Duration::from_millis(ms);
        let gives_up = |turn_of: fn(u64) -> i64, looks: &[u64]| {
            let mut others = OthersTurn::seen(Some((turn_of(0), 0)), at(0));
            let mut looks = looks.iter().copied();
            looks.find(|ms| others.lasts_too_long(Some((turn_of(*ms), 0)), at(*ms)))
        };
        let every_10_ms: Vec<u64> = (10..60_000).step_by(10).collect();
        assert_eq!(gives_up(|_| 0, &every_10_ms), Some(2_000), "one has it for ever");
        assert_eq!(
            gives_up(|ms| (ms / 1_900) as i64, &every_10_ms),
            None,
            "one after the other"
        );
        assert_eq!(gives_up(|ms| (ms / 5_000) as i64, &every_10_ms), Some(2_000));
        // Two looks an hour apart say nothing of the time between them.
        assert_eq!(gives_up(|_| 0, &[10, 3_600_000, 3_600_010]), None);
    }

    #[test]
    fn each_turn_marks_its_file() {
        let place = Place::new("mark");
        let before = || place.state.taken_at("k.lock").unwrap();
        assert_eq!(before(), None);
        let turn = Turn::new(place.state.try_lock("k.lock").unwrap().unwrap());
        let first = before();
        let old = Timestamps {
            last_access: Timespec::default(),
            last_modification: Timespec::default(),
        };
        drop(turn);
        futimens(
            File::options().write(true).open(place.state.file("k.lock")).unwrap(),
            &old,
        )
        .unwrap();
        assert_ne!(before(), first);
        let forgotten = before();
        drop(Turn::new(place.state.try_lock("k.lock").unwrap().unwrap()));
        assert_ne!(before(), forgotten);
    }

    #[test]
    fn a_record_is_replaced_whole_whatever_a_killed_process_has_left() {
        let place = Place::new("record");
        let state = &place.state;
        let read = || state.read("r", |text| Some(text.to_owned())).unwrap();
        assert_eq!(read(), None);
        state.replace("r", "old").unwrap();
        // Killed while it wrote: the new file is there, and not all of it.
        fs::write(state.file("r.new"), "ne").unwrap();
        assert_eq!(read().as_deref(), Some("old"));
        state.replace("r", "new").unwrap();
        assert_eq!(read().as_deref(), Some("new"));
        assert!(!state.file("r.new").exists());
        // What stands in the way of the new file leaves the old record.
        fs::create_dir(state.file("r.new")).unwrap();
        let error = state.replace("r", "newer").unwrap_err();
        assert_eq!(error.kind, BackendErrorKind::Refused, "{error}");
        assert_eq!(read().as_deref(), Some("new"));
    }
}
