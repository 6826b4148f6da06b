//! The backend of shared limits in a folder: for all processes of one machine, without a server.

use super::backend::{QuotaBackend, Taken};
use super::config::Limit;
use super::state::{Cell, Rate, take_all};
use crate::distributed::file_name::file_name;
use crate::distributed::lock::{Answer, BackendError};
use crate::distributed::state_folder::StateFolder;
use crate::error::ConfigError;
use crate::time::wall_micros;
use std::path::PathBuf;

/// Keeps shared limits in files of one folder: two files a limit, which a request locks for some microseconds.
///
/// The files stay when a limit is full again. Keys that strangers choose, such as addresses, would fill the disk: keep these
/// limits in [`MemoryQuota`](super::MemoryQuota) or on a Redis, which forget a key that is full.
///
/// It uses wall-clock time, so that a limit survives a restart of the machine. A clock that steps back blocks calls for no
/// longer than one full burst takes to refill.
///
/// A user who can write to the folder can change the limits in it, so it has to be a folder of this user alone: see
/// [`StateFolder`] for the rules, and for folders that several users share on purpose.
#[derive(Clone, Debug)]
pub struct FileQuota {
    folder: StateFolder,
}

impl FileQuota {
    /// Keeps limits in `folder`, for the processes of this user alone. It is made if it is not there.
    ///
    /// # Errors
    ///
    /// The folder cannot be made, or cannot be trusted; see [`StateFolder::private`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, BackendError> {
        StateFolder::private(folder).map(Self::within)
    }

    /// Keeps limits in this folder.
    #[must_use]
    pub fn within(folder: StateFolder) -> Self {
        Self { folder }
    }

    async fn take_at(&self, limits: &[Limit], want: u64, least: u64) -> Result<Taken, BackendError> {
        // In one order, so that two requests for several limits never deadlock.
        let mut order: Vec<&Limit> = limits.iter().collect();
        order.sort_by(|a, b| a.key.cmp(&b.key));
        let mut turns = Vec::new();
        let mut last = None;
        for limit in &order {
            // A key that is given twice is one file.
            if last.replace(&limit.key) != Some(&limit.key) {
                turns.push(self.folder.turn(&file(&limit.key, "limit-lock")).await?);
            }
        }
        let now = wall_micros() as f64;
        let (mut names, mut cells) = (Vec::new(), Vec::new());
        for limit in order {
            let name = file(&limit.key, "limit");
            cells.push((Rate::of(limit), self.folder.read(&name, parse)?.unwrap_or_default()));
            names.push(name);
        }
        let stored = cells.clone();
        let decision = take_all(&mut cells, now, want, least);
        for (name, ((_, cell), (_, stored))) in names.iter().zip(cells.into_iter().zip(stored)) {
            if cell != stored {
                self.folder.replace(name, &format!("{:.3}\n", cell.full_at()))?;
            }
        }
        Ok(if decision.granted > 0 {
            Taken::granted(decision.granted)
        } else {
            Taken::refused(decision.retry_after)
        })
    }
}

fn parse(text: &str) -> Option<Cell> {
    let full_at: f64 = text.trim().parse().ok()?;
    full_at.is_finite().then(|| Cell::full_from(full_at))
}

fn file(key: &str, ending: &str) -> String {
    format!("{}.{ending}", file_name(key))
}

impl QuotaBackend for FileQuota {
    fn check_key(&self, _key: &str) -> Result<(), ConfigError> {
        // The file of a key that is too long for a name has its hash.
        Ok(())
    }

    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, _process: &'a str) -> Answer<'a, Taken> {
        Box::pin(self.take_at(limits, want, least))
    }
}

#[cfg(all(test, not(c13_loom)))]
mod fuzz;
