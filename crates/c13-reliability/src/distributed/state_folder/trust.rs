//! Which files are trusted: the rules by owner, group, mode and kind, as pure functions, and their errors.

use crate::distributed::lock::{BackendError, BackendErrorKind};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use std::path::Path;

/// What the rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) names: u64,
}

/// The permission bits and those for the set-group-ID and sticky bits.
const MODE: u32 = 0o7777;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const SET_GROUP: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const SUPERUSER: u32 = 0;

impl From<&Stat> for Facts {
    fn from(stat: &Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & MODE,
            owner: stat.st_uid,
            group: stat.st_gid,
            #[allow(clippy::useless_conversion, reason = "of another width on other processors")]
            names: stat.st_nlink.into(),
        }
    }
}

impl Facts {
    fn others_write(self) -> bool {
        self.mode & (GROUP_WRITES | OTHERS_WRITE) != 0
    }

    /// Refuses a folder or a link on the way to a state folder whose owner could put another one in its place.
    pub(super) fn check_on_the_way(self, user: u32) -> Result<(), &'static str> {
        if ![SUPERUSER, user].contains(&self.owner) {
            return Err("belongs to another user, who could put another folder in its place");
        }
        if self.kind == FileType::Symlink {
            return Ok(());
        }
        if self.kind != FileType::Directory {
            return Err("is not a folder");
        }
        // A user's private group has the user's number, and such folders are writable by it where the umask is 002.
        let private = self.group == self.owner && self.mode & OTHERS_WRITE == 0;
        if self.others_write() && !private && self.mode & STICKY == 0 {
            return Err(
                "may be written to by others and is not sticky, so that they could put another folder in its place",
            );
        }
        Ok(())
    }

    /// Refuses a state folder that is not `user`'s alone. Where it `may_be_shared`, its group may write to it too; returns
    /// whether it may.
    pub(super) fn check_folder(self, user: u32, may_be_shared: bool) -> Result<bool, &'static str> {
        if self.kind != FileType::Directory {
            return Err("is not a folder");
        }
        if self.mode & OTHERS_WRITE != 0 {
            return Err("may be written to by everybody");
        }
        let shared = self.mode & GROUP_WRITES != 0;
        if shared && !may_be_shared {
            return Err("may be written to by its group");
        }
        if shared && self.mode & SET_GROUP == 0 {
            return Err("is shared with its group but has no set-group-ID bit, as with mode 2770");
        }
        match self.owner {
            owner if owner == user => Ok(shared),
            SUPERUSER if shared => Ok(shared),
            _ => Err("belongs to another user"),
        }
    }

    /// Refuses a file that is not `user`'s alone or, in a folder that is shared with a group, the group's.
    pub(super) fn check_file(self, user: u32, shared_with: Option<u32>) -> Result<(), &'static str> {
        if self.kind == FileType::Symlink {
            return Err("is a symbolic link");
        }
        if self.kind != FileType::RegularFile {
            return Err("is not a regular file");
        }
        if self.names > 1 {
            return Err("has another name elsewhere (a hard link)");
        }
        if self.mode & OTHERS_WRITE != 0 {
            return Err("may be written to by everybody");
        }
        match shared_with {
            Some(group) if self.group != group => Err("has not the group that its folder is shared with"),
            Some(_) => Ok(()),
            None if self.owner != user => Err("belongs to another user"),
            None if self.others_write() => Err("may be written to by its group"),
            None => Ok(()),
        }
    }

    /// The error for a file that breaks a rule.
    pub(super) fn refused(self, path: &Path, rule: &str) -> BackendError {
        let Self { owner, group, mode, .. } = self;
        BackendError::new(
            BackendErrorKind::Refused,
            format!(
                "{}: not trusted, as it {rule} (owner {owner}, group {group}, mode {mode:04o}; we are user {})",
                path.display(),
                user()
            ),
        )
    }
}

/// The user whose rights this process has.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The error for a system call that failed: a permanent one, unless the cause will pass.
pub(super) fn failed(path: &Path, errno: Errno) -> BackendError {
    const PASSING: [Errno; 14] = [
        Errno::INTR,
        Errno::AGAIN,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::IO,
        Errno::BUSY,
        Errno::NOLCK,
        Errno::STALE,
        // It was there a moment ago, or was not.
        Errno::NOENT,
        Errno::EXIST,
        Errno::TIMEDOUT,
    ];
    let kind = if PASSING.contains(&errno) {
        BackendErrorKind::Unable
    } else {
        BackendErrorKind::Refused
    };
    BackendError::new(kind, format!("{}: {}", path.display(), std::io::Error::from(errno)))
}

/// The same for an error of the standard library.
pub(super) fn io_failed(path: &Path, error: &std::io::Error) -> BackendError {
    match Errno::from_io_error(error) {
        Some(errno) => failed(path, errno),
        None => BackendError::new(BackendErrorKind::Unable, format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;
    const OTHER: u32 = 1001;
    const JOBS: u32 = 50;

    fn facts(kind: FileType, owner: u32, group: u32, mode: u32) -> Facts {
        Facts {
            kind,
            mode,
            owner,
            group,
            names: 1,
        }
    }

    #[test]
    fn a_way_that_others_could_turn_elsewhere_is_refused() {
        use FileType::{Directory, RegularFile, Symlink};
        for (kind, owner, group, mode, trusted) in [
            (Directory, 0, 0, 0o755, true),
            (Directory, ME, ME, 0o700, true),
            (Directory, 0, 0, 0o1777, true),
            (Directory, ME, ME, 0o1777, true),
            (Directory, 0, 0, 0o777, false),
            (Directory, ME, ME, 0o777, false),
            (Directory, ME, ME, 0o775, true),
            (Directory, ME, JOBS, 0o775, false),
            (Directory, 0, JOBS, 0o2775, false),
            (Directory, 0, JOBS, 0o3775, true),
            (Directory, OTHER, OTHER, 0o755, false),
            (Directory, OTHER, OTHER, 0o1777, false),
            (Symlink, 0, 0, 0o777, true),
            (Symlink, ME, ME, 0o777, true),
            (Symlink, OTHER, OTHER, 0o777, false),
            (RegularFile, ME, ME, 0o600, false),
        ] {
            let checked = facts(kind, owner, group, mode).check_on_the_way(ME);
            assert_eq!(
                checked.is_ok(),
                trusted,
                "{kind:?} {owner}:{group} {mode:o}: {checked:?}"
            );
        }
    }

    #[test]
    fn a_folder_is_ours_alone_or_shared_on_purpose() {
        // Of each: what a private folder says, and what one that may be shared says.
        for (owner, group, mode, private, shared) in [
            (ME, ME, 0o700, Some(false), Some(false)),
            (ME, JOBS, 0o755, Some(false), Some(false)),
            (ME, ME, 0o770, None, None),
            (ME, ME, 0o775, None, None),
            (ME, ME, 0o777, None, None),
            (ME, ME, 0o1777, None, None),
            (ME, ME, 0o702, None, None),
            (ME, JOBS, 0o2770, None, Some(true)),
            (0, JOBS, 0o2770, None, Some(true)),
            (0, JOBS, 0o2775, None, Some(true)),
            (0, JOBS, 0o2777, None, None),
            (0, JOBS, 0o3777, None, None),
            (0, JOBS, 0o770, None, None),
            (0, 0, 0o755, None, None),
            (OTHER, OTHER, 0o700, None, None),
            (OTHER, JOBS, 0o2770, None, None),
        ] {
            let folder = facts(FileType::Directory, owner, group, mode);
            assert_eq!(folder.check_folder(ME, false).ok(), private, "{owner}:{group} {mode:o}");
            assert_eq!(folder.check_folder(ME, true).ok(), shared, "{owner}:{group} {mode:o}");
        }
        assert!(
            facts(FileType::RegularFile, ME, ME, 0o600)
                .check_folder(ME, true)
                .is_err()
        );
    }

    #[test]
    fn a_file_is_regular_has_one_name_and_is_ours_or_the_groups() {
        use FileType::{Directory, Fifo, RegularFile, Symlink};
        for (kind, owner, group, mode, private, shared) in [
            (RegularFile, ME, ME, 0o600, true, false),
            (RegularFile, ME, JOBS, 0o644, true, true),
            (RegularFile, ME, JOBS, 0o660, false, true),
            (RegularFile, ME, JOBS, 0o666, false, false),
            (RegularFile, OTHER, JOBS, 0o660, false, true),
            (RegularFile, OTHER, OTHER, 0o660, false, false),
            (RegularFile, OTHER, OTHER, 0o600, false, false),
            (RegularFile, 0, 0, 0o644, false, false),
            (Symlink, ME, JOBS, 0o600, false, false),
            (Fifo, ME, JOBS, 0o600, false, false),
            (Directory, ME, JOBS, 0o700, false, false),
        ] {
            let file = facts(kind, owner, group, mode);
            assert_eq!(file.check_file(ME, None).is_ok(), private, "{file:?}");
            assert_eq!(file.check_file(ME, Some(JOBS)).is_ok(), shared, "{file:?}");
            let linked = Facts { names: 2, ..file };
            assert!(linked.check_file(ME, None).is_err() && linked.check_file(ME, Some(JOBS)).is_err());
        }
    }

    #[test]
    fn an_error_that_waiting_does_not_mend_is_refused_and_names_the_path() {
        let path = Path::new("/somewhere/k.lock");
        for errno in [
            Errno::ACCESS,
            Errno::PERM,
            Errno::NOTDIR,
            Errno::ROFS,
            Errno::LOOP,
            Errno::NAMETOOLONG,
            Errno::INVAL,
            Errno::ISDIR,
            Errno::NXIO,
            Errno::NODEV,
            Errno::OPNOTSUPP,
            Errno::NOSYS,
        ] {
            let error = failed(path, errno);
            assert_eq!(error.kind, BackendErrorKind::Refused, "{errno:?}");
            assert!(error.message.starts_with("/somewhere/k.lock: "), "{}", error.message);
        }
        for errno in [Errno::INTR, Errno::MFILE, Errno::NOSPC, Errno::IO, Errno::NOENT] {
            assert_eq!(failed(path, errno).kind, BackendErrorKind::Unable, "{errno:?}");
        }
    }
}
