//! What errors of the redis client mean.

use super::{Meaning, Retryable, Verdict};
use crate::gate::Outcome;
use redis::{ErrorKind, RedisError, RetryMethod, ServerErrorKind};

impl Retryable for RedisError {
    /// Worth another attempt: every error that the client itself would retry, on another connection or after a wait.
    /// An error of the command or of its reply is not, and is an answer.
    fn meaning(&self) -> Meaning {
        let verdict = match self.retry_method() {
            RetryMethod::NoRetry => Verdict::Final,
            _ => Verdict::Retry,
        };
        let (outcome, had_no_effect) = says(self);
        Meaning::new(outcome, verdict, had_no_effect)
    }
}

/// What an error says about the server, and whether the command certainly changed nothing.
fn says(error: &RedisError) -> (Outcome, bool) {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    const ANSWER: (Outcome, bool) = (Outcome::Success, false);
    const REFUSED: (Outcome, bool) = (Outcome::FAILURE, true);
    match error.kind() {
        // The key is elsewhere; the client follows.
        ErrorKind::Server(Ask | Moved) => (Outcome::Success, true),
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain) => REFUSED,
        ErrorKind::Server(_) | ErrorKind::UnexpectedReturnType => ANSWER,
        ErrorKind::Extension if error.code().is_some_and(|code| IN_TROUBLE.contains(&code)) => REFUSED,
        ErrorKind::Extension => ANSWER,
        ErrorKind::Client | ErrorKind::InvalidClientConfig | ErrorKind::EmptySentinelList => (Outcome::Ignored, true),
        ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::AuthenticationFailed => REFUSED,
        _ => (Outcome::FAILURE, error.is_connection_refusal()),
    }
}

/// What the server says before a command that it cannot carry out in its state, without a name in the client: out of memory,
/// cannot save, busy with a script, too few replicas.
const IN_TROUBLE: &[&str] = &["OOM", "MISCONF", "BUSY", "NOREPLICAS"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_lost_connection_is_worth_another_attempt_and_a_wrong_command_is_not() {
        use ServerErrorKind::{BusyLoading, NoScript, ReadOnly, ResponseError, TryAgain};
        let server = |kind| RedisError::from((ErrorKind::Server(kind), "what the server says"));
        let client = |kind| RedisError::from((kind, "what the client says"));
        let extension = |code: &str| redis::make_extension_error(code.to_owned(), None);
        for (error, meaning) in [
            (io::Error::from(io::ErrorKind::ConnectionReset).into(), Meaning::FAILURE),
            (
                io::Error::from(io::ErrorKind::ConnectionRefused).into(),
                Meaning::REFUSED,
            ),
            (server(TryAgain), Meaning::REFUSED),
            (server(BusyLoading), Meaning::REFUSED),
            (server(ReadOnly), Meaning::REFUSED),
            (server(ResponseError), Meaning::ANSWER),
            (server(NoScript), Meaning::ANSWER),
            (client(ErrorKind::UnexpectedReturnType), Meaning::ANSWER),
            (client(ErrorKind::InvalidClientConfig), Meaning::NOT_SENT),
            (client(ErrorKind::AuthenticationFailed), Meaning::REFUSED),
            (extension("WRONGTYPE"), Meaning::ANSWER),
            (extension("OOM"), Meaning::new(Outcome::FAILURE, Verdict::Final, true)),
        ] {
            assert_eq!(error.meaning(), meaning, "{error:?}");
        }
    }
}
