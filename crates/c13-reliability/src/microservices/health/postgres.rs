//! Whether Postgres answers.

use super::{ComponentHealth, HealthChecker};
use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgPool, Postgres};

/// Asks a Postgres pool for a connection and the server for an answer.
///
/// It takes a connection from the service's own pool, so that a pool that gives none is found too. A connection that
/// was in use when the time limit ended is closed and not given back: what is left of the answer never meets the next
/// user, and no task waits for a server that hangs.
///
/// ```no_run
/// # async fn doc() -> Result<(), sqlx::Error> {
/// use c13_reliability::microservices::health::{DatabaseHealthChecker, HealthCheckService};
/// use sqlx::postgres::PgPoolOptions;
///
/// let pool = PgPoolOptions::new().connect_lazy("postgres://app@db/orders")?;
/// let health = HealthCheckService::new("1.4.0".to_owned());
/// health.add_checker(Box::new(DatabaseHealthChecker::new(pool))).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DatabaseHealthChecker {
    name: String,
    pool: PgPool,
}

impl DatabaseHealthChecker {
    /// A check named `database` of this pool.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self::named("database", pool)
    }

    /// A check of this name, for services with several databases.
    #[must_use]
    pub fn named(name: impl Into<String>, pool: PgPool) -> Self {
        Self {
            name: name.into(),
            pool,
        }
    }

    async fn ask(&self) -> Result<(), sqlx::Error> {
        let mut connection = Borrowed(Some(self.pool.acquire().await?));
        // An empty query: there and back through the server, without a prepared statement left behind.
        if let Some(connection) = &mut connection.0 {
            connection.ping().await?;
        }
        // It answered, so the pool may have it back.
        drop(connection.0.take());
        Ok(())
    }
}

/// A connection that goes back to the pool only if it is taken out; otherwise it is closed, without a task that waits
/// for the server.
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
            Err(error) => ComponentHealth::unhealthy(self.name(), error.to_string()),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}
