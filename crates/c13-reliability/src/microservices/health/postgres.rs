//! A health check of a Postgres pool.

use super::{ComponentHealth, HealthChecker, words};
use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, PgPool, Postgres};

/// Acquires a connection from a Postgres pool and sends an empty query to the server.
///
/// It uses the service's own pool, so that an exhausted pool is found too. If the pool has lost its connections, the
/// check first opens a connection of its own, to report at once why the server cannot be reached. A connection that was
/// in use when the time limit ended is closed and not returned to the pool, so that the next user never reads the rest
/// of the answer, and no task waits for a server that hangs.
///
/// ```no_run
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// use c13_reliability::microservices::health::{CheckSettings, DatabaseHealthChecker, HealthCheckService};
/// use sqlx::postgres::PgPoolOptions;
///
/// let pool = PgPoolOptions::new().connect_lazy("postgres://app@db/orders")?;
/// let health = HealthCheckService::new("1.4.0".to_owned());
/// // All instances share it; `add_checker` would take all of them out of the balancer while it is down.
/// health.add(Box::new(DatabaseHealthChecker::new(pool)), CheckSettings::shared())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DatabaseHealthChecker {
    name: String,
    pool: PgPool,
}

impl DatabaseHealthChecker {
    /// A check of this pool, under the name `database`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self::named("database", pool)
    }

    /// A check of this pool under this name, for services with several databases.
    #[must_use]
    pub fn named(name: impl Into<String>, pool: PgPool) -> Self {
        Self {
            name: name.into(),
            pool,
        }
    }

    async fn ask(&self) -> Result<(), sqlx::Error> {
        let broken = match self.pool.try_acquire() {
            Some(idle) => {
                if ping(idle).await.is_ok() {
                    return Ok(());
                }
                true
            }
            // All are in use, or there are none.
            None => self.pool.size() == 0,
        };
        if broken {
            // If the server refuses, a pool tries again until its time limit. This reports at once what is wrong.
            let options = self.pool.connect_options();
            PgConnection::connect_with(&options).await?.close().await?;
        }
        ping(self.pool.acquire().await?).await
    }
}

/// Sends an empty query: a round trip to the server that leaves no prepared statement behind.
async fn ping(connection: PoolConnection<Postgres>) -> Result<(), sqlx::Error> {
    let mut borrowed = Borrowed(Some(connection));
    if let Some(connection) = &mut borrowed.0 {
        connection.ping().await?;
    }
    // The server answered, so the connection returns to the pool.
    drop(borrowed.0.take());
    Ok(())
}

/// A connection that returns to the pool only if it is taken out. Otherwise it is closed, without a task that waits for
/// the server.
struct Borrowed(Option<PoolConnection<Postgres>>);

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

#[async_trait]
impl HealthChecker for DatabaseHealthChecker {
    async fn check(&self) -> ComponentHealth {
        match self.ask().await {
            Ok(()) => ComponentHealth::healthy(self.name()),
            Err(error) => ComponentHealth::unhealthy(self.name(), kind(&error)),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The kind of an error. The server's own text may contain addresses and settings, so it is not shown.
fn kind(error: &sqlx::Error) -> String {
    let words = match error {
        sqlx::Error::Io(error) => words::of_io(error),
        sqlx::Error::Tls(_) => "TLS failed",
        sqlx::Error::Protocol(_) => "protocol error",
        sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_) => "wrong settings of the connection",
        sqlx::Error::PoolTimedOut => "no connection of the pool was free in time",
        sqlx::Error::PoolClosed => "the pool is closed",
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            // Five letters and digits by the standard; anything else is not a code.
            let is_code = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let code = if is_code { &*code } else { "none" };
            return format!("{} (SQLSTATE {code})", refusal(code));
        }
        _ => "unexpected answer",
    };
    words.to_owned()
}

/// What a code of SQLSTATE means for a connection.
fn refusal(code: &str) -> &'static str {
    match (code, &code[..2]) {
        (_, "28") => "authentication failed",
        ("3D000", _) => "no such database",
        ("42501", _) => "permission denied",
        ("53300", _) => "too many connections",
        (_, "53") => "the server is out of resources",
        ("57P03", _) => "the server cannot take connections now",
        (_, "57") => "the server shut down or cancelled the query",
        (_, "58") => "system error of the server",
        (_, "08") => "connection failed",
        _ => "the server answered with an error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn errors_are_told_by_their_kind_and_never_by_their_text() {
        let io = |kind| sqlx::Error::Io(io::Error::new(kind, "s3cret"));
        for (error, words) in [
            (io(io::ErrorKind::ConnectionRefused), "connection refused"),
            (io(io::ErrorKind::Other), "cannot reach the host or find its address"),
            (sqlx::Error::Tls("s3cret".into()), "TLS failed"),
            (sqlx::Error::Protocol("s3cret".into()), "protocol error"),
            (
                sqlx::Error::Configuration("s3cret".into()),
                "wrong settings of the connection",
            ),
            (sqlx::Error::PoolTimedOut, "no connection of the pool was free in time"),
            (sqlx::Error::ColumnNotFound("s3cret".into()), "unexpected answer"),
        ] {
            assert_eq!(kind(&error), words, "{error}");
        }
        for (code, words) in [
            ("28P01", "authentication failed"),
            ("57P01", "the server shut down or cancelled the query"),
            ("none", "the server answered with an error"),
        ] {
            assert_eq!(refusal(code), words, "{code}");
        }
    }
}
