//! The backend of shared limits in a folder: for all processes of one machine, without a server.

use super::backend::{QuotaBackend, Taken};
use super::config::Limit;
use super::state::Cell;
use crate::distributed::lock::{Answer, BackendError, BackendErrorKind};
use crate::error::{ConfigError, ConfigValue};
use crate::time::wall_micros;
use std::fs::{File, OpenOptions};
use std::future::ready;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Keeps shared limits in files of one folder: a file a limit, locked for the few microseconds of a request.
///
/// By the calendar's clock, so that a limit goes on over a restart of the machine; a clock that steps back starves nobody
/// for longer than one full burst.
#[derive(Clone, Debug)]
pub struct FileQuota {
    folder: PathBuf,
}

impl FileQuota {
    /// Keeps limits in `folder`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// The folder is not there and cannot be made.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    fn take_now(&self, limits: &[Limit], want: u64, least: u64) -> io::Result<Taken> {
        // In one order, so that two who take several never wait for each other.
        let mut order: Vec<&Limit> = limits.iter().collect();
        order.sort_by(|a, b| a.key.cmp(&b.key));
        let now = wall_micros() as f64;
        let (mut granted, mut retry_after, mut open) = (want, Some(Duration::ZERO), Vec::new());
        for limit in order {
            let mut options = OpenOptions::new();
            let path = self.folder.join(format!("{}.limit", hexadecimal(&limit.key)));
            let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
            file.lock()?;
            let cell = read(&mut file)?;
            let decision = { cell }.take(limit.rate, limit.burst as f64, now, granted, least);
            granted = granted.min(decision.granted);
            if decision.granted == 0 {
                retry_after = retry_after.zip(decision.retry_after).map(|(a, b)| a.max(b));
            }
            open.push((limit, cell, file));
        }
        if granted > 0 {
            for (limit, mut cell, mut file) in open {
                cell.take(limit.rate, limit.burst as f64, now, granted, granted);
                file.seek(SeekFrom::Start(0))?;
                // Of one length, so that nothing of an older number is left.
                writeln!(file, "{:024.3}", cell.full_at())?;
            }
        }
        Ok(Taken {
            granted,
            retry_after: if granted > 0 { None } else { retry_after },
            active: 1,
        })
    }
}

fn read(file: &mut File) -> io::Result<Cell> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(Cell::full_from(text.trim().parse().unwrap_or(0.0)))
}

fn hexadecimal(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

impl QuotaBackend for FileQuota {
    fn check_key(&self, key: &str) -> Result<(), ConfigError> {
        if key.len() > 100 {
            let value = ConfigValue::Count(key.len() as u64);
            return Err(ConfigError::new(
                "shared rate limit",
                "key",
                value,
                "must be at most 100 bytes",
            ));
        }
        Ok(())
    }

    fn take<'a>(&'a self, limits: &'a [Limit], want: u64, least: u64, _process: &'a str) -> Answer<'a, Taken> {
        let taken = self.take_now(limits, want, least);
        Box::pin(ready(taken.map_err(|error| {
            BackendError::new(BackendErrorKind::Unable, format!("limit file: {error}"))
        })))
    }
}
