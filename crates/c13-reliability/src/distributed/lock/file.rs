//! The backend in a folder: locks between the processes of one machine, which the kernel drops when a process dies.

use super::backend::{Answer, Attempted, Backend, Claim, Mode, Released, Status, Watch};
use super::error::BackendError;
use super::holder::Holder;
use crate::distributed::fence::Fence;
use crate::distributed::file_name::file_name;
use crate::distributed::state_folder::{FileLock, StateFolder, Turn};
use crate::error::ConfigError;
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Tick, wall_micros};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::future::ready;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Keeps locks in files of one folder, for all processes of one machine, without a server.
///
/// A lock is a lock of the operating system on a file (`flock`), so it goes with the process that holds it, however that
/// ends. There is no lease: a stopped process, or a suspended machine, keeps its locks, and
/// [`LockConfig::lease`](super::LockConfig) only says how long a request may take. The holder looks twice a second whether
/// the file is still the one in the folder; if it was removed, the lock is lost. Waiters of other processes look
/// every 10 ms.
///
/// The folder must be on a local file system. A request is a few system calls, made on the calling thread, none of which
/// waits for another process. Files stay, with the fence of the last grant. There is no queue: fair locks are refused.
///
/// A user who can write to the folder can break the locks in it, so it has to be a folder of this user alone: see
/// [`StateFolder`] for the rules, and for folders that several users share on purpose.
#[derive(Clone)]
pub struct FileBackend {
    shared: Arc<LockedFiles>,
}

struct LockedFiles {
    folder: StateFolder,
    /// By owner, the files that are locked for it.
    held: Mutex<HashMap<Arc<str>, Vec<FileLock>>>,
    wakes: broadcast::Sender<Arc<str>>,
}

/// How often a waiter looks whether another process has released the lock.
const POLL: Duration = Duration::from_millis(10);
/// How often a holder looks whether its file is still in the folder.
const LOOK: Duration = Duration::from_millis(500);
/// How often, and how far apart, a lock is tried again while another process only reads its status.
const TRIES: usize = 4;
const APART: Duration = Duration::from_millis(1);
/// How many notifications a waiter may miss before it looks by itself.
const WAKES: usize = 16;

impl FileBackend {
    /// Keeps locks in `folder`, for the processes of this user alone. It is made if it is not there.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or cannot be trusted; see [`StateFolder::private`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, BackendError> {
        StateFolder::private(folder).map(Self::within)
    }

    /// Keeps locks in this folder.
    #[must_use]
    pub fn within(folder: StateFolder) -> Self {
        Self {
            shared: Arc::new(LockedFiles {
                folder,
                held: Mutex::default(),
                wakes: broadcast::Sender::new(WAKES),
            }),
        }
    }

    /// Duplicates of all files that are locked through this backend now, for another process to hold the locks too.
    ///
    /// A duplicate is another descriptor of the same open file, as `dup` makes it, closed on `exec` unless that is
    /// changed. The kernel keeps a lock until the last descriptor of the file is closed, so a process that has the duplicate holds
    /// the lock even if this one is killed. A release gives the lock up for all of them at once.
    ///
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub fn held_files(&self) -> io::Result<Vec<File>> {
        let held = self.shared.held.lock();
        held.values().flatten().map(FileLock::duplicate).collect()
    }

    /// What the files of the lock `name` are called, without their endings: readable, unless it is long.
    #[must_use]
    pub fn file_name(name: &str) -> String {
        file_name(name)
    }

    /// Locks the files of all names, or none.
    async fn lock_all(&self, claim: &Claim) -> Result<Option<Vec<FileLock>>, BackendError> {
        let folder = &self.shared.folder;
        let mut locked = Vec::new();
        for name in claim.names.iter() {
            let base = file(name, "lock");
            let base = match claim.mode {
                Mode::Exclusive => self.lock_exclusively(&base).await?,
                Mode::Shared { .. } => folder.try_lock_shared(&base)?,
            };
            let Some(base) = base else { return Ok(None) };
            locked.push(base);
            if let Mode::Shared { slots: Some(slots) } = claim.mode {
                let mut slot = None;
                for n in 0..slots.get() {
                    slot = folder.try_lock(&file(name, &format!("slot-{n}")))?;
                    if slot.is_some() {
                        break;
                    }
                }
                let Some(slot) = slot else { return Ok(None) };
                locked.push(slot);
            }
        }
        Ok(Some(locked))
    }

    /// Locks a file unless a process holds the lock; one that only reads the status for a moment does not hold it.
    async fn lock_exclusively(&self, name: &str) -> Result<Option<FileLock>, BackendError> {
        let folder = &self.shared.folder;
        for _ in 1..TRIES {
            if let Some(lock) = folder.try_lock(name)? {
                return Ok(Some(lock));
            }
            // Reading the status takes a shared lock. If that fails, a holder has the exclusive one.
            if folder.try_lock_shared(name)?.is_none() {
                return Ok(None);
            }
            Clock::since_boot().sleep(APART).await;
        }
        folder.try_lock(name)
    }

    /// Takes the next fence of all names: greater than each one's last, and no less than `floor`.
    async fn next_fence(&self, claim: &Claim, floor: u64) -> Result<Fence, BackendError> {
        let folder = &self.shared.folder;
        let mut turns: Vec<Turn> = Vec::new();
        if claim.mode != Mode::Exclusive {
            // In one order, so that two processes that share several locks never wait for each other.
            let mut names: Vec<&String> = claim.names.iter().collect();
            names.sort();
            for name in names {
                turns.push(folder.turn(&file(name, "fence-lock")).await?);
            }
        }
        let mut highest = Fence::from_number(0);
        for name in claim.names.iter() {
            let last = self.last_grant(name)?;
            highest = last.map_or(highest, |grant| highest.max(grant.fence));
        }
        let next = highest.next(floor.max(wall_micros()));
        let fence = next.ok_or_else(BackendError::no_fence_left)?;
        let grant = Grant {
            fence,
            owner: claim.owner.to_string(),
            is_exclusive: claim.mode == Mode::Exclusive,
            until: Clock::since_boot().now() + claim.hold,
            boot: boot(),
            since: Duration::from_micros(wall_micros()),
            holder: claim.holder.to_string(),
        };
        for name in claim.names.iter() {
            folder.replace(&file(name, "fence"), &grant.text())?;
        }
        Ok(fence)
    }

    async fn try_acquire(&self, claim: &Claim) -> Result<Attempted, BackendError> {
        if self.is_held(claim)? {
            let fence = self.next_fence(claim, claim.floor.number()).await?;
            return Ok(Attempted::Granted { fence });
        }
        let held = |lapses_in| {
            Ok(Attempted::Held {
                lapses_in,
                unsettled: false,
            })
        };
        let Some(locked) = self.lock_all(claim).await? else {
            return held(None);
        };
        // Released, or left by a holder that died, but its minimum time is not over.
        let mut kept = None;
        for name in claim.names.iter() {
            kept = kept.max(self.last_grant(name)?.and_then(|grant| grant.kept_for()));
        }
        if kept.is_some() {
            return held(kept);
        }
        let fence = self.next_fence(claim, claim.floor.number()).await?;
        self.shared.held.lock().insert(claim.owner.clone(), locked);
        Ok(Attempted::Granted { fence })
    }

    fn is_held(&self, claim: &Claim) -> Result<bool, BackendError> {
        let held = self.shared.held.lock();
        let Some(files) = held.get(&claim.owner) else {
            return Ok(false);
        };
        for file in files {
            if !file.is_in_place()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn give_back(&self, claim: &Claim) -> Result<Released, BackendError> {
        let Some(files) = self.shared.held.lock().remove(&claim.owner) else {
            return Ok(Released::NotHeld);
        };
        let mut unlocked = Ok(Released::Released);
        for file in files {
            // Not left to the close: a duplicate would go on holding the lock.
            if let Err(error) = file.unlock() {
                unlocked = Err(error);
            }
        }
        // An error means that there is no listener.
        drop(self.shared.wakes.send("".into()));
        unlocked
    }

    fn look_at(&self, name: &str) -> Result<Status, BackendError> {
        let folder = &self.shared.folder;
        let last = self.last_grant(name)?;
        let mut status = Status {
            fence: last.as_ref().map(|grant| grant.fence),
            ..Status::default()
        };
        let Some(last) = last else { return Ok(status) };
        let base = file(name, "lock");
        // A shared lock is enough to see whether the last holder has released it, and keeps no other reader out.
        let free = match folder.try_lock_shared(&base)? {
            None => false,
            Some(_) if last.is_exclusive => true,
            Some(look) => {
                drop(look);
                folder.try_lock(&base)?.is_some()
            }
        };
        status.lapses_in = last.kept_for().filter(|_| free);
        if !free || status.lapses_in.is_some() {
            status.holders = Holder::parse(&last.owner, &last.holder, Some(last.since))
                .into_iter()
                .collect();
            status.owners = vec![last.owner];
        }
        Ok(status)
    }

    fn last_grant(&self, name: &str) -> Result<Option<Grant>, BackendError> {
        self.shared.folder.read(&file(name, "fence"), Grant::parse)
    }
}

/// The record of the last grant.
struct Grant {
    fence: Fence,
    owner: String,
    is_exclusive: bool,
    /// Until when the lock stays taken, even without a holder, by the clock since boot.
    until: Tick,
    /// Which boot that clock counts from.
    boot: String,
    /// When it was granted, since 1970.
    since: Duration,
    /// How the holder described itself.
    holder: String,
}

impl Grant {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.trim_end().splitn(7, ' ');
        let mut word = || {
            let word = words.next()?;
            (!word.is_empty() && !word.contains(char::is_whitespace)).then_some(word)
        };
        Some(Self {
            fence: Fence::from_number(word()?.parse().ok()?),
            owner: word()?.to_owned(),
            is_exclusive: match word()? {
                "exclusive" => true,
                "shared" => false,
                _ => return None,
            },
            until: Tick::from_nanos(word()?.parse().ok()?),
            boot: word()?.to_owned(),
            since: Duration::from_micros(word()?.parse().ok()?),
            // The last one, in which there may be spaces.
            holder: words.next()?.to_owned(),
        })
    }

    fn text(&self) -> String {
        let mode = if self.is_exclusive { "exclusive" } else { "shared" };
        let (fence, owner, boot, holder) = (self.fence.number(), &self.owner, &self.boot, &self.holder);
        let (until, since) = (self.until.as_nanos(), self.since.as_micros());
        format!("{fence} {owner} {mode} {until} {boot} {since} {holder}\n")
    }

    /// How much longer the lock stays taken without a holder; `None` if it does not.
    fn kept_for(&self) -> Option<Duration> {
        let left = self.until - Clock::since_boot().now();
        // A restart of the machine ends it: no job that ran before is still being started elsewhere.
        (!left.is_zero() && self.boot == boot()).then(|| left.min(LONGEST_HOLD))
    }
}

/// Whatever a record says, no lock stays taken for longer without a holder: the most that a setting may say.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// Identifies this boot of the machine; always the same text where the system does not say.
fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| "-".to_owned(), |id| id.trim().to_owned())
}

/// The file of a name with this ending.
fn file(name: &str, ending: &str) -> String {
    format!("{}.{ending}", file_name(name))
}

impl Backend for FileBackend {
    fn check_name(&self, _name: &str) -> Result<(), ConfigError> {
        // The file of a name that is too long for one has its hash.
        Ok(())
    }

    fn has_queue(&self) -> bool {
        false
    }

    fn poll_interval(&self) -> Option<Duration> {
        Some(POLL)
    }

    fn look_interval(&self) -> Option<Duration> {
        Some(LOOK)
    }

    fn acquire<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Attempted> {
        Box::pin(self.try_acquire(claim))
    }

    fn renew<'a>(&'a self, claim: &'a Claim) -> Answer<'a, bool> {
        Box::pin(ready(self.is_held(claim)))
    }

    fn release<'a>(&'a self, claim: &'a Claim, _bury: bool) -> Answer<'a, Released> {
        // Nothing to bury: a request that was dropped has left nothing behind.
        Box::pin(ready(self.give_back(claim)))
    }

    fn release_unattended(&self, claim: &Claim) {
        // It is closed in any case, and no caller is left to report an error to.
        drop(self.give_back(claim));
    }

    fn raise_fence<'a>(&'a self, claim: &'a Claim, floor: Fence) -> Answer<'a, Option<Fence>> {
        Box::pin(async move {
            if !self.is_held(claim)? {
                return Ok(None);
            }
            self.next_fence(claim, floor.number().saturating_add(1)).await.map(Some)
        })
    }

    fn watch<'a>(&'a self, _claim: &'a Claim) -> Answer<'a, Watch> {
        Box::pin(ready(Ok(Watch::new(self.shared.wakes.subscribe(), Box::new(())))))
    }

    fn status<'a>(&'a self, name: &'a str) -> Answer<'a, Status> {
        Box::pin(ready(self.look_at(name)))
    }
}

impl fmt::Debug for FileBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBackend")
            .field("folder", &self.shared.folder.path())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(c13_loom)))]
mod fuzz;
