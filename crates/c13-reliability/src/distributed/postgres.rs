//! The fence in a Postgres: what makes a lock's holder correct, and not only likely to be alone.

use super::fence::Fence;
use sqlx::{PgConnection, PgExecutor, Postgres, Transaction};
use std::error::Error;
use std::fmt;

/// The rights of one holder to one resource in a Postgres, by its [`Fence`].
///
/// A new holder [claims](Self::claim) the resource **before it reads anything of it**, and calls [`hold`](Self::hold) in
/// each transaction that writes to it, before the writes. Then nothing that an earlier holder does after the claim is
/// committed, however late it comes; and nothing of it is committed between what the new holder reads and what it
/// writes. Without the claim a holder that was paused before its write could still write in between, and be overwritten.
///
/// Fences are kept in a table of yours, [`SCHEMA`](Self::SCHEMA), one row a resource, in the database of the resource.
///
/// ```no_run
/// # async fn run(pool: sqlx::PgPool, guard: c13_reliability::distributed::lock::LockGuard)
/// # -> Result<(), c13_reliability::distributed::FenceError> {
/// use c13_reliability::distributed::PostgresFence;
///
/// let account = PostgresFence::new("account 7", guard.fence());
/// account.claim(&pool).await?;
/// let balance: i64 = sqlx::query_scalar("SELECT balance FROM account WHERE id = 7").fetch_one(&pool).await?;
/// let mut transaction = pool.begin().await?;
/// account.hold(&mut transaction).await?;
/// sqlx::query("UPDATE account SET balance = $1 WHERE id = 7").bind(balance + 1).execute(&mut *transaction).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresFence {
    resource: String,
    fence: Fence,
}

impl PostgresFence {
    /// The table of fences. Make it with the others of your schema.
    pub const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS c13_fence (resource text PRIMARY KEY, token bigint NOT NULL)";

    /// The rights to `resource`, any name that all of its holders use, of the holder with this fence.
    #[must_use]
    pub fn new(resource: impl Into<String>, fence: Fence) -> Self {
        Self {
            resource: resource.into(),
            fence,
        }
    }

    /// Takes the resource over from every earlier holder. Waits for transactions of theirs that have passed
    /// [`hold`](Self::hold) already, so that what is read after this is what they left.
    ///
    /// # Errors
    ///
    /// [`FenceError::Stale`] if a later holder was here; the database's error otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves open whether the claim was made; making it again is the same.
    pub async fn claim<'e>(&self, database: impl PgExecutor<'e>) -> Result<(), FenceError> {
        let claimed = "INSERT INTO c13_fence (resource, token) VALUES ($1, $2)
             ON CONFLICT (resource) DO UPDATE SET token = EXCLUDED.token WHERE c13_fence.token <= EXCLUDED.token";
        self.one_row(claimed, database).await
    }

    /// Holds the resource until the end of this transaction: nobody takes it over before.
    ///
    /// # Errors
    ///
    /// [`FenceError::Stale`] if a later holder has taken it over, or it was never claimed: roll back. The database's
    /// error otherwise.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing but a lock on a row, which goes with the transaction.
    pub async fn hold(&self, transaction: &mut Transaction<'_, Postgres>) -> Result<(), FenceError> {
        let connection: &mut PgConnection = transaction;
        let held = "SELECT FROM c13_fence WHERE resource = $1 AND token = $2 FOR SHARE";
        self.one_row(held, connection).await
    }

    async fn one_row<'e>(&self, query: &'static str, database: impl PgExecutor<'e>) -> Result<(), FenceError> {
        let done = sqlx::query(query)
            .bind(&self.resource)
            .bind(self.fence.as_i64())
            .execute(database)
            .await?;
        if done.rows_affected() == 0 {
            return Err(FenceError::Stale { fence: self.fence });
        }
        Ok(())
    }
}

/// Why a holder may not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum FenceError {
    /// A later holder has the resource: whatever this one had in mind must not be written.
    Stale {
        /// The fence that is too old.
        fence: Fence,
    },
    /// The database could not be asked.
    Database(sqlx::Error),
}

impl fmt::Display for FenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { fence } => write!(f, "a later holder has the resource: fence {fence} is too old"),
            Self::Database(error) => write!(f, "the fence could not be asked for: {error}"),
        }
    }
}

impl Error for FenceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Stale { .. } => None,
            // It is shown already.
            Self::Database(error) => error.source(),
        }
    }
}

impl From<sqlx::Error> for FenceError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}
