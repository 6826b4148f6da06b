//! A pipe that is read once and fed to every run: what was read is kept, in memory first and then in a file, up to a
//! bound.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use c13_reliability::sync::Random;
use rustix::fd::OwnedFd;

/// How much is kept in memory.
const IN_MEMORY: u64 = 1024 * 1024;
/// How much is kept at all.
pub(crate) const MOST: u64 = 256 * 1024 * 1024;
/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// Standard input, and what was read of it so far.
pub(crate) struct Kept {
    /// Locked while it is read from, which may take for ever.
    source: Mutex<File>,
    store: Mutex<Store>,
    memory: u64,
    most: u64,
}

#[derive(Default)]
struct Store {
    head: Vec<u8>,
    /// What is beyond the head, in a file that has no name any more.
    tail: Option<File>,
    length: u64,
    is_whole: bool,
    /// Why the beginning is no longer there.
    lost: Option<String>,
}

impl Kept {
    pub(crate) fn new(source: File) -> Self {
        Self::bounded(source, IN_MEMORY, MOST)
    }

    fn bounded(source: File, memory: u64, most: u64) -> Self {
        Self {
            source: Mutex::new(source),
            store: Mutex::default(),
            memory,
            most,
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all that was read is still there.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(crate) fn again(&self) -> Result<(), String> {
        self.store().lost.clone().map_or(Ok(()), Err)
    }

    /// Feeds everything from the beginning into a new pipe, in a thread of its own, until its last reader has gone.
    ///
    /// # Errors
    ///
    /// The system has no pipe or no thread left.
    pub(crate) fn feed(kept: &Arc<Self>) -> io::Result<OwnedFd> {
        let (read, write) = io::pipe()?;
        let kept = Arc::clone(kept);
        let thread = std::thread::Builder::new().name("stdin".to_owned());
        // An error means that the last reader has gone, which a command may choose.
        thread.spawn(move || drop(kept.write_to(write)))?;
        Ok(read.into())
    }

    fn write_to(&self, mut pipe: impl Write) -> io::Result<()> {
        let mut at = 0;
        let mut piece = vec![0; PIECE];
        loop {
            match self.read_at(at, &mut piece)? {
                0 => return Ok(()),
                read => {
                    pipe.write_all(&piece[..read])?;
                    at += read as u64;
                }
            }
        }
    }

    /// Reads what is kept at `at`, or else more of the source; nothing at its end.
    fn read_at(&self, at: u64, piece: &mut [u8]) -> io::Result<usize> {
        if let Some(read) = self.store().read_at(at, piece)? {
            return Ok(read);
        }
        // One reads, the others wait for what it gets. An earlier run's thread may be the one: what it gets is kept.
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = self.store().read_at(at, piece)? {
            return Ok(read);
        }
        let read = loop {
            match source.read(piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.store().keep(&piece[..read], self.memory, self.most);
        Ok(read)
    }
}

impl Store {
    /// What is kept at `at`; `None` if nothing is yet.
    fn read_at(&self, at: u64, piece: &mut [u8]) -> io::Result<Option<usize>> {
        if at >= self.length {
            return Ok(self.is_whole.then_some(0));
        }
        if let Some(lost) = &self.lost {
            return Err(io::Error::other(lost.clone()));
        }
        let head = self.head.len() as u64;
        if let Some(left) = usize::try_from(at)
            .ok()
            .and_then(|at| self.head.get(at..))
            .filter(|left| !left.is_empty())
        {
            let read = left.len().min(piece.len());
            piece[..read].copy_from_slice(&left[..read]);
            return Ok(Some(read));
        }
        match &self.tail {
            Some(tail) => tail.read_at(piece, at - head).map(Some),
            None => Ok(None),
        }
    }

    /// Adds what was read; nothing is the end.
    fn keep(&mut self, piece: &[u8], memory: u64, most: u64) {
        self.is_whole |= piece.is_empty();
        self.length += piece.len() as u64;
        if self.lost.is_some() {
            return;
        }
        let added = if self.length > most {
            Err(format!(
                "its standard input is longer than the {most} bytes that are kept"
            ))
        } else {
            self.add(piece, memory)
                .map_err(|error| format!("its standard input cannot be kept: {error}"))
        };
        if let Err(lost) = added {
            // The run that reads now goes on; a later one would get only the rest.
            *self = Self {
                length: self.length,
                is_whole: self.is_whole,
                lost: Some(lost),
                ..Self::default()
            };
        }
    }

    fn add(&mut self, piece: &[u8], memory: u64) -> io::Result<()> {
        if self.tail.is_none() && self.length <= memory {
            self.head.extend_from_slice(piece);
            return Ok(());
        }
        let tail = match &mut self.tail {
            Some(tail) => tail,
            None => self.tail.insert(unnamed_file(&std::env::temp_dir())?),
        };
        tail.write_all(piece)
    }
}

/// A file of ours alone, whose name is gone already.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".c13-stdin-{:016x}", Random::from_entropy().next_u64()));
    let mut options = File::options();
    // New: neither a file nor a link that another user has put there.
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that differ from place to place.
    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    /// Keeps what comes through a pipe: up to 100 bytes in memory, and up to 1,000 at all.
    fn kept(text: Vec<u8>) -> Kept {
        let (read, mut write) = io::pipe().expect("the system has a pipe");
        std::thread::spawn(move || drop(write.write_all(&text)));
        Kept::bounded(File::from(OwnedFd::from(read)), 100, 1_000)
    }

    fn all(kept: &Kept) -> io::Result<Vec<u8>> {
        let mut got = Vec::new();
        kept.write_to(&mut got).map(|()| got)
    }

    #[test]
    fn every_run_gets_the_whole_input_from_memory_and_from_the_file() {
        for length in [0, 1, 99, 100, 101, 500, 1_000] {
            let kept = kept(bytes(length));
            for run in 1..=3 {
                assert_eq!(kept.again(), Ok(()), "{length} bytes, run {run}");
                assert_eq!(
                    all(&kept).expect("it is kept"),
                    bytes(length),
                    "{length} bytes, run {run}"
                );
            }
        }
    }

    #[test]
    fn input_beyond_the_bound_reaches_the_first_run_whole_and_no_other() {
        let kept = kept(bytes(200_000));
        assert_eq!(all(&kept).expect("it is read"), bytes(200_000));
        let lost = kept.again().expect_err("it is not kept");
        assert_eq!(lost, "its standard input is longer than the 1000 bytes that are kept");
        assert!(all(&kept).is_err());
    }

    #[test]
    fn a_run_that_reads_a_part_leaves_the_whole_for_the_next() {
        struct Part(usize);
        impl Write for Part {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.0 == 0 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                let taken = bytes.len().min(self.0);
                self.0 -= taken;
                Ok(taken)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let kept = kept(bytes(700));
        assert!(kept.write_to(Part(150)).is_err());
        assert_eq!(all(&kept).expect("it is kept"), bytes(700));
    }
}
