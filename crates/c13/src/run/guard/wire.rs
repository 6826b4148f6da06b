//! The messages between wrapper and guard, one in each packet.

use std::ffi::{OsStr, OsString};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use c13_reliability::time::Tick;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use rustix::process::Pid;

/// A message of the wrapper.
#[derive(Debug)]
pub(super) enum GuardOrder {
    /// Descriptors: first standard input, output and error of the command, then the files of the locks.
    Files(Vec<OwnedFd>),
    /// A piece of the command's words, each of which ends with a zero byte.
    Words(Vec<u8>),
    /// Start the command, with the terminal's foreground or without.
    Go { foreground: bool },
    /// The lock is safe until then.
    Until(Tick),
    /// Pass on the signal of this number; whether it asks the command to end.
    Signal { number: u8, stop: bool },
    /// Kill everything.
    Kill,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exited(u8),
    Killed(u8),
}

impl Status {
    /// As a shell has it: its own, or 128 and the signal.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128_u8.saturating_add(signal),
        }
    }
}

/// A message of the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The command's process, and the process group of the same number, are there.
    Started(Pid),
    /// No process could be started, with the system's error.
    NotStarted(i32),
    /// The process could not become the command, with the system's error.
    NotExecuted(i32),
    /// The command was stopped by the signal of this number, and stands still.
    Stopped(u8),
    /// The command has ended; a process of it that cannot be killed may be left.
    Ended { status: Status, left: Option<Pid> },
    /// The guard itself is gone.
    Gone,
}

/// The most of the command's words that fit a packet.
pub(super) const PIECE: usize = 16 * 1024;
/// The most descriptors that fit a packet.
pub(super) const FILES: usize = 64;

/// The command's words as one text.
pub(super) fn joined<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> Vec<u8> {
    words
        .into_iter()
        .flat_map(|word| word.as_bytes().iter().copied().chain([0]))
        .collect()
}

pub(super) fn split(text: &[u8]) -> Vec<OsString> {
    let words = text.split_inclusive(|byte| *byte == 0);
    words
        .map(|word| OsString::from_vec(word[..word.len() - 1].to_vec()))
        .collect()
}

/// Sends descriptors.
pub(super) fn send_files(socket: impl AsFd, files: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(Errno::TOOMANYREFS);
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(b"F")], &mut control, SendFlags::NOSIGNAL).map(drop)
}

impl GuardOrder {
    /// Sends it; `None` as the result if the guard has not read what was sent before.
    pub(super) fn send(&self, socket: impl AsFd, wait: bool) -> Result<(), Errno> {
        let text = match self {
            Self::Files(_) => return Err(Errno::INVAL),
            Self::Words(words) => [b"W", words.as_slice()].concat(),
            Self::Go { foreground } => vec![b'G', u8::from(*foreground)],
            Self::Until(end) => [b"U", end.as_nanos().to_ne_bytes().as_slice()].concat(),
            Self::Signal { number, stop } => vec![b'S', *number, u8::from(*stop)],
            Self::Kill => vec![b'K'],
        };
        let wait = if wait { SendFlags::empty() } else { SendFlags::DONTWAIT };
        rustix::net::send(socket, &text, SendFlags::NOSIGNAL | wait).map(drop)
    }

    /// Reads the next one, without waiting where told so; `None` if the wrapper is gone.
    pub(super) fn receive(socket: impl AsFd, wait: bool) -> Result<Option<Self>, Errno> {
        let mut text = vec![0; PIECE + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        let mut parts = [IoSliceMut::new(&mut text)];
        let read = rustix::net::recvmsg(socket, &mut parts, &mut control, flags)?.bytes;
        let mut files = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                files.extend(some);
            }
        }
        Ok(match text[..read] {
            [] => None,
            [b'F', ..] => Some(Self::Files(files)),
            [b'W', ref words @ ..] => Some(Self::Words(words.to_vec())),
            [b'G', foreground] => Some(Self::Go {
                foreground: foreground != 0,
            }),
            [b'U', ref end @ ..] => {
                let end = <[u8; 8]>::try_from(end).map_err(|_| Errno::BADMSG)?;
                Some(Self::Until(Tick::from_nanos(u64::from_ne_bytes(end))))
            }
            [b'S', number, stop] => Some(Self::Signal {
                number,
                stop: stop != 0,
            }),
            [b'K'] => Some(Self::Kill),
            _ => return Err(Errno::BADMSG),
        })
    }
}

impl Event {
    /// Sends it; an error means that the wrapper is gone, or stands still.
    pub(super) fn send(self, socket: impl AsFd) -> Result<(), Errno> {
        let number = |pid: Option<Pid>| pid.map_or(0, |pid| pid.as_raw_nonzero().get());
        let (kind, detail, number) = match self {
            Self::Started(pid) => (b'P', 0, number(Some(pid))),
            Self::NotStarted(error) => (b'X', 0, error),
            Self::NotExecuted(error) => (b'N', 0, error),
            Self::Stopped(signal) => (b'T', signal, 0),
            Self::Ended {
                status: Status::Exited(code),
                left,
            } => (b'E', code, number(left)),
            Self::Ended {
                status: Status::Killed(signal),
                left,
            } => (b'D', signal, number(left)),
            Self::Gone => return Err(Errno::INVAL),
        };
        let text = [&[kind, detail], number.to_ne_bytes().as_slice()].concat();
        rustix::net::send(socket, &text, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(drop)
    }

    /// Reads the next one, if there is one.
    pub(super) fn receive(socket: impl AsFd) -> Result<Self, Errno> {
        let mut text = [0; 6];
        let (_, read) = match rustix::net::recv(&socket, &mut text, RecvFlags::DONTWAIT) {
            // The guard has ended with an order unread. The system says so once, before what the guard sent last.
            Err(Errno::CONNRESET) => rustix::net::recv(&socket, &mut text, RecvFlags::DONTWAIT)?,
            received => received?,
        };
        let [kind, detail, number @ ..] = text;
        let number = i32::from_ne_bytes(number);
        let ended = |status| Self::Ended {
            status,
            left: Pid::from_raw(number),
        };
        Ok(match (read, kind) {
            (6, b'P') => Self::Started(Pid::from_raw(number).ok_or(Errno::BADMSG)?),
            (6, b'X') => Self::NotStarted(number),
            (6, b'N') => Self::NotExecuted(number),
            (6, b'T') => Self::Stopped(detail),
            (6, b'E') => ended(Status::Exited(detail)),
            (6, b'D') => ended(Status::Killed(detail)),
            _ => Self::Gone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .expect("the system has sockets")
    }

    #[test]
    fn events_and_orders_arrive_as_they_were_sent() {
        let (one, other) = pair();
        let pid = Pid::from_raw(77);
        for event in [
            Event::Started(pid.expect("it is not zero")),
            Event::NotStarted(11),
            Event::NotExecuted(2),
            Event::Stopped(20),
            Event::Ended {
                status: Status::Exited(255),
                left: None,
            },
            Event::Ended {
                status: Status::Killed(64),
                left: pid,
            },
        ] {
            event.send(&one).expect("there is room");
            assert_eq!(Event::receive(&other), Ok(event));
        }
        for order in [
            GuardOrder::Words(b"a\0b\0".to_vec()),
            GuardOrder::Words(vec![b'x'; PIECE]),
            GuardOrder::Go { foreground: true },
            GuardOrder::Until(Tick::from_nanos(5)),
            GuardOrder::Signal { number: 15, stop: true },
            GuardOrder::Kill,
        ] {
            order.send(&one, false).expect("there is room");
            let received = GuardOrder::receive(&other, false)
                .expect("it is there")
                .expect("nobody has gone");
            assert_eq!(format!("{received:?}"), format!("{order:?}"));
        }
        drop(one);
        assert_eq!(Event::receive(&other), Ok(Event::Gone));
        assert!(GuardOrder::receive(&other, false).expect("it is closed").is_none());
    }

    #[test]
    fn an_order_that_a_guard_left_unread_does_not_hide_how_the_command_ended() {
        let (guard, wrapper) = pair();
        let ended = Event::Ended {
            status: Status::Exited(3),
            left: None,
        };
        GuardOrder::Until(Tick::MAX)
            .send(&wrapper, false)
            .expect("there is room");
        ended.send(&guard).expect("there is room");
        drop(guard);
        assert_eq!(Event::receive(&wrapper), Ok(ended));
        assert_eq!(Event::receive(&wrapper), Ok(Event::Gone));
    }

    #[test]
    fn words_of_any_bytes_arrive_whole() {
        let words = ["", "sh", "-c", "echo $1\nexit", ""].map(OsString::from);
        let odd = [OsString::from_vec(vec![0xff, 0xfe])];
        for words in [words.as_slice(), &odd, &[]] {
            assert_eq!(split(&joined(words.iter().map(OsString::as_os_str))), words);
        }
    }
}
