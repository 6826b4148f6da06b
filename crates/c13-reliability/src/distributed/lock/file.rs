//! The backend in a folder: locks between the processes of one machine, which the kernel drops when a process dies.

use super::backend::{Answer, Attempted, Backend, Claim, Mode, Released, Status, Watch};
use super::error::{BackendError, BackendErrorKind};
use crate::distributed::fence::Fence;
use crate::error::{ConfigError, ConfigValue};
use crate::sync::primitive::Mutex;
use crate::time::wall_micros;
use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::future::ready;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Keeps locks in files of one folder, for all processes of one machine, without a server.
///
/// A lock is a lock of the operating system on a file (`flock` on Linux), so it goes with the process that holds it,
/// however that ends, and no lease ever runs out. Renewals only look whether the file is still the one in the folder.
/// Waiters of other processes look every 10 ms. The folder must be on a local file system; requests are a few system
/// calls each, made on the calling thread. Files stay, with the fence of the last grant.
///
/// There is no queue: fair locks are refused.
#[derive(Clone)]
pub struct FileBackend {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    /// By owner, the files that are locked for it.
    held: Mutex<HashMap<Arc<str>, Vec<Locked>>>,
    wakes: broadcast::Sender<Arc<str>>,
}

struct Locked {
    path: PathBuf,
    file: File,
}

/// How often a waiter looks whether another process has released the lock.
const POLL: Duration = Duration::from_millis(10);
/// The longest name, so that with its endings it fits a file name.
const LONGEST_NAME: usize = 200;
/// Wakes that a waiter may be behind before it looks by itself.
const WAKES: usize = 16;

impl FileBackend {
    /// Keeps locks in `folder`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// The folder is not there and cannot be made.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            shared: Arc::new(Shared {
                folder,
                held: Mutex::default(),
                wakes: broadcast::Sender::new(WAKES),
            }),
        })
    }

    /// Duplicates of all files that are locked through this backend now, for a process that shall hold the locks too.
    ///
    /// A duplicate is another descriptor of the same open file, as `dup` makes it, closed on `exec` unless that is
    /// changed. The kernel keeps a lock until the last descriptor of the file is closed, so whoever has the duplicate holds
    /// the lock even if this process is killed. A release gives the lock up for all of them at once.
    ///
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub fn held_files(&self) -> io::Result<Vec<File>> {
        let held = self.shared.held.lock();
        held.values().flatten().map(|locked| locked.file.try_clone()).collect()
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.shared.folder.join(format!("{}.{ending}", file_name(name)))
    }

    /// Locks the files of all names, or none.
    fn lock_all(&self, claim: &Claim) -> io::Result<Option<Vec<Locked>>> {
        let mut locked = Vec::new();
        for name in claim.names.iter() {
            let base = Locked::open(self.path(name, "lock"))?;
            let have = match claim.mode {
                Mode::Exclusive => base.file.try_lock(),
                Mode::Shared { .. } => base.file.try_lock_shared(),
            };
            if !taken(have)? {
                return Ok(None);
            }
            locked.push(base);
            if let Mode::Shared { slots: Some(slots) } = claim.mode {
                let mut slot = None;
                for n in 0..slots.get() {
                    let file = Locked::open(self.path(name, &format!("slot-{n}")))?;
                    if taken(file.file.try_lock())? {
                        slot = Some(file);
                        break;
                    }
                }
                let Some(slot) = slot else { return Ok(None) };
                locked.push(slot);
            }
        }
        Ok(Some(locked))
    }

    /// Takes the next fence of all names: greater than each one's last, and no less than `floor`.
    fn next_fence(&self, claim: &Claim, floor: u64) -> io::Result<Fence> {
        let mut records = Vec::new();
        for name in claim.names.iter() {
            let mut record = Locked::open(self.path(name, "fence"))?.file;
            // Held for these few lines only, whatever the mode of the lock itself.
            record.lock()?;
            records.push((read_fence(&mut record)?, record));
        }
        let highest = records.iter().map(|(fence, _)| *fence).max();
        let fence = highest.unwrap_or(Fence::from_number(0)).next(floor.max(wall_micros()));
        for (_, record) in &mut records {
            record.seek(SeekFrom::Start(0))?;
            // Of one length, so that a reader never sees half of two numbers.
            writeln!(record, "{:020} {} {}", fence.number(), claim.owner, std::process::id())?;
        }
        Ok(fence)
    }

    fn acquire_now(&self, claim: &Claim) -> io::Result<Attempted> {
        if self.shared.held.lock().contains_key(&claim.owner) {
            return Ok(Attempted::Granted {
                fence: self.next_fence(claim, claim.floor.number())?,
            });
        }
        let Some(locked) = self.lock_all(claim)? else {
            return Ok(Attempted::Held {
                lapses_in: None,
                unsettled: false,
            });
        };
        let fence = self.next_fence(claim, claim.floor.number())?;
        self.shared.held.lock().insert(claim.owner.clone(), locked);
        Ok(Attempted::Granted { fence })
    }

    fn is_held(&self, claim: &Claim) -> bool {
        let held = self.shared.held.lock();
        held.get(&claim.owner)
            .is_some_and(|files| files.iter().all(Locked::is_in_place))
    }

    fn status_now(&self, name: &str) -> io::Result<Status> {
        let path = self.path(name, "lock");
        if !path.exists() {
            return Ok(Status::default());
        }
        let mut status = Status::default();
        let mut text = String::new();
        if let Ok(mut record) = File::open(self.path(name, "fence")) {
            record.read_to_string(&mut text)?;
        }
        let mut words = text.split_whitespace();
        status.fence = words.next().and_then(|word| word.parse().ok()).map(Fence::from_number);
        // A look takes the lock for a moment where nobody has it.
        if !taken(Locked::open(path)?.file.try_lock())? {
            status.owners = words.next().map(str::to_owned).into_iter().collect();
        }
        Ok(status)
    }
}

impl Locked {
    fn open(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        Ok(Self { path, file })
    }

    /// Whether the locked file is the one that others find.
    fn is_in_place(&self) -> bool {
        same_file(&self.file, &self.path)
    }
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(theirs)) => ours.dev() == theirs.dev() && ours.ino() == theirs.ino(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn same_file(_file: &File, path: &Path) -> bool {
    path.exists()
}

fn taken(locked: Result<(), TryLockError>) -> io::Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read_fence(record: &mut File) -> io::Result<Fence> {
    let mut text = String::new();
    record.read_to_string(&mut text)?;
    let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Ok(Fence::from_number(number.unwrap_or(0)))
}

/// A name as a file name: what is not a letter, a digit, `-` or `_` becomes its bytes in hexadecimal, each after a `%`.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            file.push(byte as char);
        } else {
            file.push_str(&format!("%{byte:02x}"));
        }
    }
    file
}

fn answer<'a, T: Send + 'a>(result: io::Result<T>) -> Answer<'a, T> {
    Box::pin(ready(result.map_err(|error| {
        BackendError::new(BackendErrorKind::Unable, format!("lock file: {error}"))
    })))
}

impl Backend for FileBackend {
    fn check_name(&self, name: &str) -> Result<(), ConfigError> {
        let length = file_name(name).len();
        if length > LONGEST_NAME {
            let value = ConfigValue::Count(length as u64);
            return Err(ConfigError::new(
                "lock",
                "names",
                value,
                "must be at most 200 bytes as a file name",
            ));
        }
        Ok(())
    }

    fn has_queue(&self) -> bool {
        false
    }

    fn poll_interval(&self) -> Option<Duration> {
        Some(POLL)
    }

    fn acquire<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Attempted> {
        answer(self.acquire_now(claim))
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool> {
        answer(Ok(self.is_held(claim)))
    }

    fn release<'a>(&'a self, claim: &'a Claim, _bury: bool) -> Answer<'a, Released> {
        // Nothing to bury: a request is carried out before it is answered, and never again.
        let Some(files) = self.shared.held.lock().remove(&claim.owner) else {
            return answer(Ok(Released::NotHeld));
        };
        // Not left to the close: a duplicate would go on holding the lock.
        let unlocked: io::Result<()> = files.iter().try_for_each(|locked| locked.file.unlock());
        // An error means that nobody listens.
        drop(self.shared.wakes.send("".into()));
        answer(unlocked.map(|()| Released::Released))
    }

    fn raise_fence<'a>(&'a self, claim: &'a Claim, floor: Fence) -> Answer<'a, Option<Fence>> {
        if !self.is_held(claim) {
            return answer(Ok(None));
        }
        answer(self.next_fence(claim, floor.number().saturating_add(1)).map(Some))
    }

    fn watch<'a>(&'a self, _claim: &'a Claim) -> Answer<'a, Watch> {
        answer(Ok(Watch::new(self.shared.wakes.subscribe(), Box::new(()))))
    }

    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status> {
        answer(self.status_now(name))
    }
}

impl fmt::Debug for FileBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBackend")
            .field("folder", &self.shared.folder)
            .finish_non_exhaustive()
    }
}
