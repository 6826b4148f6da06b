//! The checks of a service, which run concurrently, and the report that they add up to.

use super::access::Access;
use super::check::{Check, CheckResult};
use super::join::join_all;
use super::lifecycle::{Lifecycle, StartupGate};
use super::observed::ObservedCheck;
use super::report::overall;
use super::{CheckSettings, ComponentHealth, HealthCheck, HealthChecker, HealthStatus};
use crate::error::{ConfigError, NameTaken};
use crate::sync::primitive::Mutex;
use crate::time::{Clock, Env, Tick};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// The health of a service: its checks, its start and its end.
///
/// Checks run concurrently, each with its own time limit. Concurrent requests share a run, and results are cached for a
/// moment, so a thousand probes cost one run. Share the service in an [`Arc`]; the [module](super) says what the
/// endpoints report.
///
/// ```
/// use async_trait::async_trait;
/// use c13_reliability::microservices::health::{
///     CheckSettings, ComponentHealth, HealthCheckService, HealthChecker, HealthStatus,
/// };
/// use c13_reliability::time::Executor;
///
/// struct Says(&'static str, HealthStatus);
///
/// #[async_trait]
/// impl HealthChecker for Says {
///     async fn check(&self) -> ComponentHealth {
///         ComponentHealth { name: self.0.to_owned(), status: self.1, message: None }
///     }
///
///     fn name(&self) -> &str {
///         self.0
///     }
/// }
///
/// let executor = Executor::new();
/// let service = HealthCheckService::new("1.4.0".to_owned()).with_env(executor.clock());
/// executor.block_on(async {
///     service.add_checker(Box::new(Says("database", HealthStatus::Healthy))).await;
///     service.add(Box::new(Says("cache", HealthStatus::Unhealthy)), CheckSettings::new().optional())?;
///     assert_eq!(service.check_health().await.status, HealthStatus::Degraded);
///     assert_eq!(service.check_ready().await.status, HealthStatus::Healthy);
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct HealthCheckService {
    version: String,
    clock: Clock,
    born: Tick,
    checks: Mutex<Checks>,
    lifecycle: Arc<Lifecycle>,
    access: Access,
}

#[derive(Default)]
struct Checks {
    list: Vec<Arc<Check>>,
    /// The background run, to be woken when a check is added.
    runner: Option<Waker>,
}

impl HealthCheckService {
    /// A service of this version, without checks, on the system's clock.
    #[must_use]
    pub fn new(version: String) -> Self {
        let clock = Clock::system();
        Self {
            version,
            born: clock.now(),
            clock,
            checks: Mutex::default(),
            lifecycle: Arc::default(),
            access: Access::default(),
        }
    }

    /// The same service by the clock of `env`, by which it starts now.
    #[must_use]
    pub fn with_env(mut self, env: impl Into<Env>) -> Self {
        self.clock = env.into().clock;
        self.born = self.clock.now();
        self
    }

    /// Adds a critical check with the default [`CheckSettings`]. What all instances share, such as a database, is better
    /// [added](Self::add) with [`CheckSettings::shared`]: while a critical check fails, this instance gets no traffic, and
    /// so would none of them.
    ///
    /// If the name is taken, the check is added as `name#2`, and so on. [`add`](Self::add) refuses that.
    ///
    /// # Cancel safety
    ///
    /// It never waits.
    pub async fn add_checker(&self, checker: Box<dyn HealthChecker + Send + Sync>) {
        let base = checker.name().to_owned();
        let mut checker = Some(checker);
        let mut number = 1_u64;
        while let Some(next) = checker.take() {
            let name = if number == 1 {
                base.clone()
            } else {
                format!("{base}#{number}")
            };
            checker = self.insert(name, next, CheckSettings::new()).err();
            number += 1;
        }
    }

    /// Adds a check with settings of its own.
    ///
    /// # Errors
    ///
    /// Settings that make no sense, and a name that is taken.
    pub fn add(
        &self,
        checker: Box<dyn HealthChecker + Send + Sync>,
        settings: CheckSettings,
    ) -> Result<(), AddCheckError> {
        settings.validate().map_err(AddCheckError::Settings)?;
        let name = checker.name().to_owned();
        self.insert(name.clone(), checker, settings)
            .map_err(|_| AddCheckError::NameTaken(NameTaken::new(name)))
    }

    /// Adds the check, or returns it if the name is taken.
    fn insert(
        &self,
        name: String,
        checker: Box<dyn HealthChecker + Send + Sync>,
        settings: CheckSettings,
    ) -> Result<(), Box<dyn HealthChecker + Send + Sync>> {
        let runner = {
            let mut checks = self.checks.lock();
            if checks.list.iter().any(|check| check.name == name) {
                return Err(checker);
            }
            checks.list.push(Arc::new(Check::new(name, settings, checker)));
            checks.runner.take()
        };
        if let Some(runner) = runner {
            runner.wake();
        }
        Ok(())
    }

    fn checks(&self) -> Vec<Arc<Check>> {
        self.checks.lock().list.clone()
    }

    /// The complete report, with every check.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the runs that nobody else waits for. If a future that runs a check is kept but not polled, the
    /// other waiters run the check themselves one second after its time limit.
    pub async fn check_health(&self) -> HealthCheck {
        self.report(self.checks()).await
    }

    /// The report of one group of checks; `None` if no check is in it.
    ///
    /// # Cancel safety
    ///
    /// As [`check_health`](Self::check_health).
    pub async fn check_group(&self, group: &str) -> Option<HealthCheck> {
        let mut checks = self.checks();
        checks.retain(|check| check.settings.groups.contains(&group));
        if checks.is_empty() {
            return None;
        }
        Some(self.report(checks).await)
    }

    /// Whether a check finds its part `Healthy`, run now or joined while it runs; for a
    /// [health probe](crate::patterns::circuit_breaker::CircuitBreaker::probe_health). A check that there is not finds nothing well.
    ///
    /// # Cancel safety
    ///
    /// As [`check_health`](Self::check_health).
    pub async fn is_healthy(&self, check: &str) -> bool {
        let found = self.checks().into_iter().find(|other| other.name == check);
        match found {
            Some(found) => found.refresh(&self.clock).await.component.status == HealthStatus::Healthy,
            None => false,
        }
    }

    /// Whether the service may get traffic: `Healthy` if it has started, does not drain, and every critical check is
    /// `Healthy`; else `Unhealthy`. Never `Degraded`. While the service starts or drains, no check is run.
    ///
    /// # Cancel safety
    ///
    /// As [`check_health`](Self::check_health).
    pub async fn check_ready(&self) -> HealthCheck {
        if let Some(message) = self.lifecycle.why_no_traffic() {
            let lifecycle = ComponentHealth::unhealthy("lifecycle", message);
            return self.summary(HealthStatus::Unhealthy, vec![lifecycle]);
        }
        let mut checks = self.checks();
        checks.retain(|check| check.settings.critical);
        let mut report = self.report(checks).await;
        // The service may have begun to drain while the checks ran.
        if report.status != HealthStatus::Healthy || self.lifecycle.why_no_traffic().is_some() {
            report.status = HealthStatus::Unhealthy;
        }
        report
    }

    /// Whether the process itself is alive: only its watchdogs decide that, and no check does.
    #[must_use]
    pub fn check_live(&self) -> HealthCheck {
        let checks = self.lifecycle.watchdogs();
        let status = overall(checks.iter().map(|check| (true, check.status)));
        self.summary(status, checks)
    }

    /// Whether the service has started: all startup gates are open. Once it has, it stays so.
    #[must_use]
    pub fn check_startup(&self) -> HealthCheck {
        let checks: Vec<_> = self
            .lifecycle
            .closed_gates()
            .into_iter()
            .map(|gate| ComponentHealth::unhealthy(gate, "not done yet"))
            .collect();
        let status = overall(checks.iter().map(|check| (true, check.status)));
        self.summary(status, checks)
    }

    async fn report(&self, checks: Vec<Arc<Check>>) -> HealthCheck {
        let readings: Vec<CheckResult> = join_all(checks.iter().map(|check| check.read(&self.clock))).await;
        let status = overall(
            checks
                .iter()
                .zip(&readings)
                .map(|(check, reading)| (check.settings.critical, reading.component.status)),
        );
        self.summary(status, readings.into_iter().map(|reading| reading.component).collect())
    }

    fn summary(&self, status: HealthStatus, checks: Vec<ComponentHealth>) -> HealthCheck {
        HealthCheck {
            status,
            version: self.version.clone(),
            uptime_seconds: (self.clock.now() - self.born).as_secs(),
            checks,
        }
    }

    /// Runs the checks that have an interval, now and once each interval, including those that are added later. It
    /// never ends: spawn it as a task, and abort the task to stop it.
    ///
    /// A run delays no other check. The next run begins one interval after the start of the last one, or at once if
    /// that time is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the present runs. Probes then run the checks themselves as soon as the last results are old.
    pub async fn run(self: Arc<Self>) {
        let mut seen = 0;
        let mut loops: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        poll_fn(move |cx| {
            let added: Vec<Arc<Check>> = {
                let mut checks = self.checks.lock();
                checks.runner = Some(cx.waker().clone());
                checks.list[seen..].to_vec()
            };
            seen += added.len();
            for check in added {
                if let Some(every) = check.settings.every {
                    let clock = self.clock.clone();
                    loops.push(Box::pin(async move {
                        loop {
                            let next = clock.now() + every;
                            check.refresh(&clock).await;
                            clock.sleep_until(next).await;
                        }
                    }));
                }
            }
            for each in &mut loops {
                let _never_ready = each.as_mut().poll(cx);
            }
            Poll::<()>::Pending
        })
        .await;
    }

    /// Adds a startup gate: the service has not started, and gets no traffic, until it is opened.
    #[must_use = "the service starts only when the gate is opened"]
    pub fn startup_gate(&self, name: impl Into<String>) -> StartupGate {
        StartupGate::new(&self.lifecycle, name.into())
    }

    /// Adds a watchdog: `alive` says whether a part of this process still works. It is the only thing that can fail
    /// `/live`, and being no future it cannot ask a dependency. It is called by every probe, so it must be quick.
    pub fn add_watchdog(&self, name: impl Into<String>, alive: impl Fn() -> bool + Send + Sync + 'static) {
        self.lifecycle.add_watchdog(name.into(), Box::new(alive));
    }

    /// Begins to drain: from now on the service is not ready. There is no way back.
    pub fn drain(&self) {
        self.lifecycle.drain();
    }

    /// Whether the service drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    /// Shows messages to clients that send `Authorization: Bearer` with this token. Without a token nobody sees them.
    ///
    /// # Errors
    ///
    /// A token of fewer than 16 bytes, one with characters that are not visible ASCII, and a second token.
    pub fn show_messages_to(&self, token: &str) -> Result<(), ConfigError> {
        self.access.set(token)
    }

    /// Whether a request with this `Authorization` header may see messages. The comparison takes the same time wherever
    /// the tokens differ.
    #[must_use]
    pub fn is_authorised(&self, authorization: Option<&str>) -> bool {
        self.access.allows(authorization)
    }

    /// Each check's name, its reported status (nothing before its first result), and how long its runs took, in
    /// nanoseconds: what metrics read. It runs no check.
    #[must_use]
    pub fn observed(&self) -> Vec<ObservedCheck> {
        self.checks()
            .iter()
            .map(|check| ObservedCheck {
                name: check.name.clone(),
                status: check.status(),
                durations: check.durations(),
            })
            .collect()
    }

    #[cfg(feature = "axum")]
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl fmt::Debug for HealthCheckService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCheckService")
            .field("version", &self.version)
            .field(
                "checks",
                &self.checks().iter().map(|check| &check.name).collect::<Vec<_>>(),
            )
            .field("lifecycle", &self.lifecycle)
            .finish_non_exhaustive()
    }
}

/// Why a check was not added.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AddCheckError {
    /// The settings make no sense.
    Settings(ConfigError),
    /// There is a check of this name.
    NameTaken(NameTaken),
}

impl fmt::Display for AddCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::NameTaken(error) => write!(f, "health check: {error}"),
        }
    }
}

impl Error for AddCheckError {}
