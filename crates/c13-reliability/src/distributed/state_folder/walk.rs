//! The path to a state folder, walked from the root, so that only the superuser and we decide where it ends.

use super::trust::{Facts, failed, user};
use crate::distributed::lock::BackendError;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// A folder that was checked, by a descriptor, so that it stays the same one whatever happens to its name.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) descriptor: OwnedFd,
    /// The group that it is shared with on purpose.
    pub(super) shared_with: Option<u32>,
    looks: Looks,
}

/// Identifies a folder, with its rights.
type Looks = (u64, u64, u32, u32, u32);

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;
/// How often a folder that was just made may be gone again.
const TRIES: usize = 16;

const HOLD: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Opened {
    /// Goes to the folder at this absolute path, and checks it and the way to it; makes what is missing, for us alone.
    pub(super) fn at(path: &Path, may_be_shared: bool) -> Result<Self, BackendError> {
        let mut walk = Walk::begin()?;
        let mut left: VecDeque<OsString> = path.components().filter_map(step).collect();
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            let (next, facts) = walk.look_at(&name)?;
            if facts.kind != FileType::Symlink {
                walk.go(&name, next, facts, left.is_empty())?;
                continue;
            }
            let here = walk.path.join(&name);
            if left.is_empty() {
                return Err(facts.refused(&here, "is a symbolic link"));
            }
            facts
                .check_on_the_way(user())
                .map_err(|rule| facts.refused(&here, rule))?;
            links += 1;
            if links > MOST_LINKS {
                return Err(failed(&here, Errno::LOOP));
            }
            let target = readlinkat(&next, "", Vec::new()).map_err(|errno| failed(&here, errno))?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            if target.is_absolute() {
                walk = Walk::begin()?;
            }
            for part in target.components().rev().filter_map(step) {
                left.push_front(part);
            }
        }
        let stat = fstat(&walk.folder).map_err(|errno| failed(path, errno))?;
        let facts = Facts::from(&stat);
        let shared = facts.check_folder(user(), may_be_shared);
        let shared = shared.map_err(|rule| facts.refused(path, rule))?;
        Ok(Self {
            descriptor: walk.folder,
            shared_with: shared.then_some(facts.group),
            looks: looks(&stat),
        })
    }

    /// Whether it is still the folder that other processes find at this path, with the same rights.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        statat(CWD, path, AtFlags::empty()).is_ok_and(|stat| looks(&stat) == self.looks)
    }
}

fn looks(stat: &rustix::fs::Stat) -> Looks {
    #[allow(clippy::useless_conversion, reason = "of another width on other processors")]
    (
        stat.st_dev.into(),
        stat.st_ino.into(),
        stat.st_mode,
        stat.st_uid,
        stat.st_gid,
    )
}

/// A part of a path that leads somewhere.
fn step(part: Component<'_>) -> Option<OsString> {
    match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    }
}

/// How far the walk has got.
struct Walk {
    folder: OwnedFd,
    /// For errors.
    path: PathBuf,
}

impl Walk {
    fn begin() -> Result<Self, BackendError> {
        let path = PathBuf::from("/");
        let folder = openat(CWD, "/", HOLD, Mode::empty()).map_err(|errno| failed(&path, errno))?;
        let walk = Self { folder, path };
        let facts = walk.facts(&walk.folder, &walk.path)?;
        facts
            .check_on_the_way(user())
            .map_err(|rule| facts.refused(&walk.path, rule))?;
        Ok(walk)
    }

    fn facts(&self, descriptor: &OwnedFd, path: &Path) -> Result<Facts, BackendError> {
        let stat = fstat(descriptor).map_err(|errno| failed(path, errno))?;
        Ok(Facts::from(&stat))
    }

    /// What stands under a name in the present folder; a folder that is made where nothing does.
    fn look_at(&self, name: &OsStr) -> Result<(OwnedFd, Facts), BackendError> {
        let path = self.path.join(name);
        for _ in 0..TRIES {
            match openat(&self.folder, name, HOLD, Mode::empty()) {
                Ok(found) => {
                    let facts = self.facts(&found, &path)?;
                    return Ok((found, facts));
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(&path, errno)),
            }
            match mkdirat(&self.folder, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed(&path, errno)),
            }
        }
        Err(failed(&path, Errno::NOENT))
    }

    /// Goes on to a folder; the last one has rules of its own.
    fn go(&mut self, name: &OsStr, next: OwnedFd, facts: Facts, is_last: bool) -> Result<(), BackendError> {
        let path = if name == ".." {
            self.path.parent().unwrap_or(&self.path).to_owned()
        } else {
            self.path.join(name)
        };
        if !is_last {
            facts
                .check_on_the_way(user())
                .map_err(|rule| facts.refused(&path, rule))?;
        }
        (self.folder, self.path) = (next, path);
        Ok(())
    }
}
