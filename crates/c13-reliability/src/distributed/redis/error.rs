//! What an error of Redis means: whether asking again can help, and whether the request may have been carried out.

use crate::distributed::lock::{BackendError, BackendErrorKind};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::error::Error;
use std::io;
use std::sync::Arc;

/// Codes of errors that will pass: the server cannot serve at the moment, and has carried nothing out.
const PASSING: &[&str] = &["BUSY", "MISCONF", "NOREPLICAS", "OOM", "UNKILLABLE"];
/// As [`PASSING`], of an error whose code says nothing.
const PASSING_TEXT: &str = "max number of clients";

/// What a resolver says, on each system, if there is no such host. Other failures to look a name up may pass.
const NO_SUCH_HOST: &[&str] = &[
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "nodename nor servname provided",
];

/// The longest text of a server that an error repeats.
const LONGEST_TEXT: usize = 300;

/// What an error of Redis means. A script that cannot run is refused before its first write.
impl From<RedisError> for BackendError {
    fn from(error: RedisError) -> Self {
        Self::new(kind(&error), printable(&error.to_string(), LONGEST_TEXT))
    }
}

fn kind(error: &RedisError) -> BackendErrorKind {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::TryAgain
            | ServerErrorKind::NoScript,
        )
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::ClusterConnectionNotFound => BackendErrorKind::Unable,
        ErrorKind::Io => io_error(error).map_or(BackendErrorKind::Unanswered, io_kind),
        ErrorKind::Parse | ErrorKind::Client => BackendErrorKind::Unanswered,
        // Missing permissions, wrong passwords, wrong types, unknown commands: the same now and later.
        _ if !says_it_passes(error) => BackendErrorKind::Refused,
        _ => BackendErrorKind::Unable,
    }
}

fn says_it_passes(error: &RedisError) -> bool {
    let detail = error.detail().unwrap_or_default();
    // A script's own error wraps that of the command that failed.
    let mut words = detail.split(|c: char| !c.is_ascii_alphanumeric());
    error.code().is_some_and(|code| PASSING.contains(&code))
        || words.any(|word| PASSING.contains(&word))
        || detail.contains(PASSING_TEXT)
}

fn io_kind(error: &io::Error) -> BackendErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidData
        | io::ErrorKind::Unsupported => BackendErrorKind::Refused,
        // No connection, and so no request. A socket that is not there may be made yet.
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::NotFound
        | io::ErrorKind::NotConnected
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => BackendErrorKind::Unable,
        _ if error.to_string().contains("failed to lookup address") => {
            let text = error.to_string();
            if NO_SUCH_HOST.iter().any(|words| text.contains(words)) {
                BackendErrorKind::Refused
            } else {
                BackendErrorKind::Unable
            }
        }
        _ => BackendErrorKind::Unanswered,
    }
}

/// The error of the system behind it.
fn io_error(error: &RedisError) -> Option<&io::Error> {
    let cause = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    cause.downcast_ref()
}

/// The same failure of making a connection, which no request can have been sent over.
pub(super) fn not_connected(error: RedisError) -> RedisError {
    match error.kind() {
        ErrorKind::Parse => {
            let text = printable(&error.to_string(), LONGEST_TEXT);
            (ErrorKind::InvalidClientConfig, "what answers there is no Redis", text).into()
        }
        ErrorKind::Io if io_error(&error).is_none_or(|cause| io_kind(cause) == BackendErrorKind::Unanswered) => {
            let text = if error.is_timeout() {
                "no connection in time".to_owned()
            } else {
                format!("no connection: {error}")
            };
            io::Error::new(io::ErrorKind::NotConnected, text).into()
        }
        _ => error,
    }
}

/// Up to `longest` bytes of a text that a stranger wrote, without what moves a terminal.
pub(super) fn printable(text: &str, longest: usize) -> String {
    let mut printed = String::new();
    for c in text.chars() {
        if printed.len() >= longest {
            printed.push('…');
            break;
        }
        if c.is_control() {
            printed.extend(c.escape_default());
        } else {
            printed.push(c);
        }
    }
    printed
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::make_extension_error;

    fn says(code: &str, detail: &str) -> RedisError {
        make_extension_error(code.to_owned(), Some(detail.to_owned()))
    }

    fn io(kind: io::ErrorKind) -> RedisError {
        io::Error::from(kind).into()
    }

    #[test]
    fn what_waiting_cannot_mend_is_refused_and_what_may_pass_is_not() {
        use BackendErrorKind::{Refused, Unable, Unanswered};
        let no_host = "failed to lookup address information: Name or service not known";
        let no_resolver = "failed to lookup address information: Temporary failure in name resolution";
        let response = ErrorKind::Server(ServerErrorKind::ResponseError);
        for (error, expected) in [
            (says("NOAUTH", "Authentication required."), Refused),
            (says("WRONGPASS", "invalid username-password pair"), Refused),
            (
                says("WRONGTYPE", "Operation against a key holding the wrong kind of value"),
                Refused,
            ),
            (says("DENIED", "Redis is running in protected mode"), Refused),
            (says("NOPERM", "no permissions to run the 'eval' command"), Refused),
            (ErrorKind::Server(ServerErrorKind::NoPerm).into_error("NOPERM"), Refused),
            (
                ErrorKind::Server(ServerErrorKind::CrossSlot).into_error("slots"),
                Refused,
            ),
            (response.into_error("unknown command 'EVALSHA'"), Refused),
            (
                response.into_error("WRONGTYPE in the script's line 3, on key BUSYROOM"),
                Refused,
            ),
            (ErrorKind::AuthenticationFailed.into_error("password"), Refused),
            (
                ErrorKind::InvalidClientConfig.into_error("Redis URL did not parse"),
                Refused,
            ),
            (io(io::ErrorKind::PermissionDenied), Refused),
            (io(io::ErrorKind::InvalidData), Refused),
            (io::Error::other(no_host).into(), Refused),
            (io::Error::other(no_resolver).into(), Unable),
            (says("MISCONF", "Redis is configured to save RDB snapshots"), Unable),
            (says("OOM", "command not allowed"), Unable),
            (says("BUSY", "Redis is busy running a script"), Unable),
            (says("NOREPLICAS", "Not enough good replicas to write."), Unable),
            (
                response.into_error("Error running script: @user_script: 7: -OOM command not allowed"),
                Unable,
            ),
            (response.into_error("max number of clients reached"), Unable),
            (
                ErrorKind::Server(ServerErrorKind::BusyLoading).into_error("loading"),
                Unable,
            ),
            (
                ErrorKind::Server(ServerErrorKind::ReadOnly).into_error("replica"),
                Unable,
            ),
            (
                ErrorKind::Server(ServerErrorKind::ClusterDown).into_error("down"),
                Unable,
            ),
            (io(io::ErrorKind::ConnectionRefused), Unable),
            (io(io::ErrorKind::NotConnected), Unable),
            (io(io::ErrorKind::TimedOut), Unanswered),
            (io(io::ErrorKind::BrokenPipe), Unanswered),
            (io(io::ErrorKind::ConnectionReset), Unanswered),
        ] {
            let text = error.to_string();
            assert_eq!(BackendError::from(error).kind, expected, "{text}");
        }
    }

    trait IntoError {
        fn into_error(self, detail: &str) -> RedisError;
    }

    impl IntoError for ErrorKind {
        fn into_error(self, detail: &str) -> RedisError {
            RedisError::from((self, "as the server says", detail.to_owned()))
        }
    }

    #[test]
    fn a_connection_that_was_not_made_has_carried_nothing_out() {
        for (error, expected) in [
            (io(io::ErrorKind::TimedOut), BackendErrorKind::Unable),
            (io(io::ErrorKind::ConnectionReset), BackendErrorKind::Unable),
            (io(io::ErrorKind::PermissionDenied), BackendErrorKind::Refused),
            (ErrorKind::Parse.into_error("HTTP/1.1 400"), BackendErrorKind::Refused),
            (says("NOAUTH", "Authentication required."), BackendErrorKind::Refused),
        ] {
            let text = error.to_string();
            assert_eq!(BackendError::from(not_connected(error)).kind, expected, "{text}");
        }
    }

    #[test]
    fn a_servers_words_are_bounded_and_cannot_move_a_terminal() {
        let error = BackendError::from(says("ERR", &format!("\u{1b}[2J{}", "é".repeat(10_000))));
        assert!(
            error.message.len() <= LONGEST_TEXT + "é…".len(),
            "{}",
            error.message.len()
        );
        assert!(error.message.contains("\\u{1b}[2J") && !error.message.contains('\u{1b}'));
    }
}
