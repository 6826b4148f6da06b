//! What errors of `std::io` mean.

use super::{Meaning, Retryable};
use std::io;

impl Retryable for io::Error {
    /// Worth another attempt: errors that a peer or the network causes, such as a refused or a reset connection. Not: what will be
    /// the same next time, such as a file that is not there.
    fn meaning(&self) -> Meaning {
        use io::ErrorKind::{
            AddrInUse, AlreadyExists, BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset,
            DirectoryNotEmpty, HostUnreachable, Interrupted, InvalidInput, IsADirectory, NetworkDown,
            NetworkUnreachable, NotADirectory, NotConnected, NotFound, PermissionDenied, ResourceBusy, TimedOut,
            UnexpectedEof, WouldBlock,
        };
        match self.kind() {
            AddrInUse | ConnectionRefused | HostUnreachable | NetworkDown | NetworkUnreachable => Meaning::REFUSED,
            BrokenPipe | ConnectionAborted | ConnectionReset | Interrupted | NotConnected | ResourceBusy | TimedOut
            | UnexpectedEof | WouldBlock => Meaning::FAILURE,
            AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory | NotFound | PermissionDenied => {
                Meaning::ANSWER
            }
            InvalidInput => Meaning::NOT_SENT,
            _ => Meaning::DEFECT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Outcome;
    use crate::verdict::Verdict;

    #[test]
    fn an_error_of_the_network_is_worth_another_attempt_and_one_of_the_caller_is_not() {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, InvalidInput, NotFound, StorageFull};
        for (kind, outcome, verdict, had_no_effect) in [
            (ConnectionReset, Outcome::FAILURE, Verdict::Retry, false),
            (ConnectionRefused, Outcome::FAILURE, Verdict::Retry, true),
            (NotFound, Outcome::Success, Verdict::Final, false),
            (StorageFull, Outcome::FAILURE, Verdict::Final, false),
            (InvalidInput, Outcome::Ignored, Verdict::Final, true),
        ] {
            let meaning = io::Error::from(kind).meaning();
            assert_eq!(meaning, Meaning::new(outcome, verdict, had_no_effect), "{kind:?}");
        }
        let boxed: Box<io::Error> = Box::new(io::ErrorKind::TimedOut.into());
        assert_eq!(Verdict::by_error(&Err::<(), _>(&*boxed)), Verdict::Retry);
        assert_eq!(Outcome::by_error(&Err::<(), _>(boxed)), Outcome::FAILURE);
    }
}
