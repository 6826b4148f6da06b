//! Health checks: whether a service is alive, ready, started and well, and the endpoints that report it.
//!
//! # Quick start
//!
//! ```
//! use c13_reliability::microservices::health::{HealthCheckService, HealthStatus};
//! use c13_reliability::time::Executor;
//!
//! let executor = Executor::new();
//! let health = HealthCheckService::new("1.4.0".to_owned()).with_env(executor.clock());
//! let migrations = health.startup_gate("migrations");
//! assert_eq!(health.check_startup().status, HealthStatus::Unhealthy);
//! migrations.open();
//! assert_eq!(health.check_startup().status, HealthStatus::Healthy);
//! assert_eq!(executor.block_on(health.check_ready()).status, HealthStatus::Healthy);
//! health.drain();
//! assert_eq!(executor.block_on(health.check_ready()).status, HealthStatus::Unhealthy);
//! assert_eq!(health.check_live().status, HealthStatus::Healthy);
//! ```
//!
//! # Endpoints
//!
//! | question | endpoint | fails (503) when | who asks, and what they do then |
//! |---|---|---|---|
//! | is the process alive? | `/live` | a watchdog of this process fails; never because of a dependency | the orchestrator, which restarts it |
//! | may it get traffic? | `/ready` | starting, draining, or a critical check is not `Healthy` | load balancers, which go elsewhere |
//! | has it started? | `/startup` | a startup gate is closed | the orchestrator, which waits |
//! | how is it? | `/health`, `/health/{group}` | a critical check is `Unhealthy` | people and dashboards |
//!
//! If a dependency that all instances share fails, all of them become not ready at once, and then nobody answers, not
//! even with an error. Add such a check with [`CheckSettings::shared`], unless the service is useless without it (`docs/adr/0016`).
//!
//! # Defaults
//!
//! | setting | default |
//! |---|---|
//! | [`critical`](CheckSettings::critical) | yes; no with [`shared`](CheckSettings::shared) |
//! | [`timeout`](CheckSettings::timeout) | 800 ms |
//! | [`cache_for`](CheckSettings::cache_for) | 250 ms |
//! | [`every`](CheckSettings::every) | none: probes run the check |
//! | [`fail_after`](CheckSettings::fail_after), [`recover_after`](CheckSettings::recover_after) | 1 result |
//!
//! # What surprises
//!
//! - With [`fail_after`](CheckSettings::fail_after) above 1 a failing check is still reported as `Healthy`, and the service
//!   stays ready, until enough results in a row agree. The message of the check says how many do.
//! - `Degraded` of a critical check is 200 on `/health` and 503 on `/ready`.
//! - Our checkers name the kind of an error (`authentication failed`) and never show the text of a server or a driver.
//!   Messages of your own checkers lose addresses, credentials, all after the name of a secret and all after 200
//!   characters, even for the authorised.
//!
//! # Metrics
//!
//! What an [`Arc`](std::sync::Arc) of a service in a [registry](crate::snapshot::Registry) reports.
//!
//! | metric | kind | unit | labels | what |
//! |---|---|---|---|---|
//! | `reliability.health.status` | gauge | | `check`, `state`: pass, warn, fail | 1 for the state that the check reports, 0 for the others |
//! | `reliability.health.check.duration` | histogram | s | `check` | How long the runs of the check took |

mod access;
#[cfg(feature = "axum")]
mod axum;
mod breaker;
mod check;
mod checker;
mod config;
mod disk;
#[cfg(feature = "axum")]
mod http;
mod join;
mod lifecycle;
mod observed;
#[cfg(feature = "postgres")]
mod postgres;
mod redact;
#[cfg(feature = "redis")]
mod redis;
mod report;
mod service;
mod stall;
mod streak;
#[cfg(test)]
mod tests;
mod url;
#[cfg(any(feature = "axum", feature = "postgres", feature = "redis"))]
mod words;

#[cfg(feature = "axum")]
pub use axum::{ServeSettings, Shutdown, serve, serve_until};
pub use breaker::BreakerChecker;
pub use checker::HealthChecker;
pub use config::CheckSettings;
pub use disk::DiskSpaceChecker;
#[cfg(feature = "axum")]
pub use http::HttpChecker;
pub use lifecycle::StartupGate;
pub use observed::ObservedCheck;
#[cfg(feature = "postgres")]
pub use postgres::DatabaseHealthChecker;
#[cfg(feature = "redis")]
pub use redis::RedisChecker;
pub use report::{ComponentHealth, HealthCheck, HealthStatus};
pub use service::{AddCheckError, HealthCheckService};
pub use stall::EventLoopChecker;
pub use url::{LONGEST_ANSWER_HEAD, ProbeUrl, ProbeUrlError};
