//! Standard input over several runs: rewound, kept for replay, or watched, so that no later run silently gets the rest.

use std::io::{self, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::replay::Kept;

/// What the command's standard input is.
pub(crate) enum Input {
    /// A file: each run begins where the first one did.
    File { file: std::fs::File, start: u64 },
    /// A terminal or a device, such as `/dev/null`: nothing that a run could use up.
    Device(OwnedFd),
    /// A pipe or a socket: what a run has read is gone.
    Stream { stream: OwnedFd, watch: Option<ReadWatch> },
    /// A pipe or a socket that is read by us, and kept.
    Kept(Arc<Kept>),
}

/// The file of standard input, for calls that take a path.
const PATH: &str = "/proc/self/fd/0";

impl Input {
    /// This process's standard input; `keep` if a pipe shall be kept for further runs, `again` if there may be any.
    ///
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub(crate) fn of_this_process(keep: bool, again: bool) -> io::Result<Self> {
        let mut file = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        if kind.is_fifo() || kind.is_socket() {
            if keep && again {
                return Ok(Self::Kept(Arc::new(Kept::new(file))));
            }
            let watch = again.then(|| ReadWatch::begin(&file)).flatten();
            let stream = file.into();
            return Ok(Self::Stream { stream, watch });
        }
        match file.stream_position() {
            Ok(start) if !kind.is_char_device() => Ok(Self::File { file, start }),
            _ => Ok(Self::Device(file.into())),
        }
    }

    /// Puts the input back to where it was before the first run.
    ///
    /// # Errors
    ///
    /// Why a further run would not get the whole input.
    pub(crate) fn again(&mut self) -> Result<(), String> {
        match self {
            Self::Device(_) => Ok(()),
            Self::File { file, start } => match file.seek(SeekFrom::Start(*start)) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("its standard input cannot be rewound: {error}")),
            },
            Self::Kept(kept) => kept.again(),
            Self::Stream { stream, watch } => {
                if watch.as_ref().is_some_and(|watch| !watch.was_read(stream)) {
                    return Ok(());
                }
                Err(
                    "it may have read its standard input, a pipe, which --replay-stdin keeps for the next run"
                        .to_owned(),
                )
            }
        }
    }

    /// What the next run reads.
    ///
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub(crate) fn next(&self) -> io::Result<Next<'_>> {
        Ok(match self {
            Self::File { file, .. } => Next::Whole(file.as_fd()),
            Self::Device(file) => Next::Whole(file.as_fd()),
            Self::Stream { stream, .. } => Next::Whole(stream.as_fd()),
            Self::Kept(kept) => Next::Fed(Kept::feed(kept)?),
        })
    }
}

/// One run's standard input.
pub(crate) enum Next<'a> {
    /// What we have.
    Whole(BorrowedFd<'a>),
    /// The end of a pipe that we write to.
    Fed(OwnedFd),
}

impl AsFd for Next<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Whole(fd) => *fd,
            Self::Fed(fd) => fd.as_fd(),
        }
    }
}

/// A watch of the system on whether any process has read from a pipe.
pub(crate) struct ReadWatch {
    reads: OwnedFd,
    /// How much there was to read.
    before: u64,
}

impl ReadWatch {
    /// `None` if the system does not watch: then nothing is known.
    fn begin(stream: &impl AsFd) -> Option<Self> {
        let reads = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        inotify::add_watch(&reads, PATH, WatchFlags::ACCESS).ok()?;
        let before = rustix::io::ioctl_fionread(stream).ok()?;
        Some(Self { reads, before })
    }

    /// Whether any process has read from it: the command, or another one that holds the pipe.
    fn was_read(&self, stream: &impl AsFd) -> bool {
        let mut space = [MaybeUninit::uninit(); 512];
        let heard = inotify::Reader::new(&self.reads, &mut space).next().is_ok();
        let less = rustix::io::ioctl_fionread(stream).map_or(true, |now| now < self.before);
        heard || less
    }
}
