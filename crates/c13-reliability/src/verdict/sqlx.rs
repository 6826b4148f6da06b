//! What errors of the sqlx crate mean.

use super::{Meaning, Retryable};
use sqlx::Error;

impl Retryable for Error {
    /// An error of the database by its SQLSTATE, see [`of_sqlstate`](Meaning::of_sqlstate), and one of the connection by its
    /// cause. A pool that gave no connection in time is a failure of the database, which is slow, gone, or asked too much. What
    /// sqlx itself finds wrong with a row that it was given is an answer.
    fn meaning(&self) -> Meaning {
        match self {
            Self::Database(error) => error.code().map_or(Meaning::ANSWER, |code| Meaning::of_sqlstate(&code)),
            Self::Io(error) => match error.meaning() {
                // A socket that is not there, or that one may not open, is a database that does not answer.
                Meaning::ANSWER | Meaning::NOT_SENT => Meaning::DEFECT,
                meaning => meaning,
            },
            Self::PoolTimedOut => Meaning::REFUSED,
            Self::WorkerCrashed => Meaning::FAILURE,
            Self::Tls(_) | Self::Protocol(_) | Self::BeginFailed => Meaning::DEFECT,
            Self::PoolClosed | Self::Configuration(_) | Self::InvalidArgument(_) | Self::Encode(_) => Meaning::NOT_SENT,
            _ => Meaning::ANSWER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::error::{DatabaseError, ErrorKind};
    use std::borrow::Cow;
    use std::{fmt, io};

    /// A refusal of the database with this code.
    #[derive(Debug)]
    struct Coded(&'static str);

    impl fmt::Display for Coded {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Coded {}

    impl DatabaseError for Coded {
        fn message(&self) -> &str {
            self.0
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn an_error_of_a_query_says_whether_the_database_failed() {
        let database = |code| Error::Database(Box::new(Coded(code)));
        let io = |kind| Error::Io(io::Error::from(kind));
        for (error, meaning) in [
            (database("23505"), Meaning::ANSWER),
            (database("40001"), Meaning::CONFLICT),
            (database("53300"), Meaning::REFUSED),
            (database("57P01"), Meaning::FAILURE),
            (io(io::ErrorKind::ConnectionRefused), Meaning::REFUSED),
            (io(io::ErrorKind::ConnectionReset), Meaning::FAILURE),
            (io(io::ErrorKind::UnexpectedEof), Meaning::FAILURE),
            (io(io::ErrorKind::NotFound), Meaning::DEFECT),
            (Error::PoolTimedOut, Meaning::REFUSED),
            (Error::WorkerCrashed, Meaning::FAILURE),
            (Error::Protocol("nonsense".to_owned()), Meaning::DEFECT),
            (Error::PoolClosed, Meaning::NOT_SENT),
            (Error::RowNotFound, Meaning::ANSWER),
            (Error::ColumnNotFound("name".to_owned()), Meaning::ANSWER),
        ] {
            assert_eq!(error.meaning(), meaning, "{error}");
        }
    }
}
