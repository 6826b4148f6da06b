//! Verdicts for errors of the redis client.

use crate::verdict::{Retryable, Verdict};
use redis::{RedisError, RetryMethod};

impl Retryable for RedisError {
    /// Worth another attempt: every error that the client itself would retry, on another connection or after a wait.
    /// An error of the command or of its reply is not.
    fn verdict(&self) -> Verdict {
        match self.retry_method() {
            RetryMethod::NoRetry => Verdict::Final,
            _ => Verdict::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{ErrorKind, ServerErrorKind};

    #[test]
    fn a_lost_connection_is_worth_another_attempt_and_a_wrong_command_is_not() {
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(lost.verdict(), Verdict::Retry);
        let loading = RedisError::from((ErrorKind::Server(ServerErrorKind::TryAgain), "resharding"));
        assert_eq!(loading.verdict(), Verdict::Retry);
        let wrong = RedisError::from((
            ErrorKind::Server(ServerErrorKind::ResponseError),
            "wrong number of arguments",
        ));
        assert_eq!(wrong.verdict(), Verdict::Final);
    }
}
