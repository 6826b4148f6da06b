//! Startup gates, draining, and the watchdogs of liveness.

use super::ComponentHealth;
use crate::sync::primitive::Mutex;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What the service itself knows about its state, without a check.
#[derive(Default)]
pub(super) struct Lifecycle {
    state: Mutex<LifecycleState>,
}

#[derive(Default)]
struct LifecycleState {
    /// Startup gates that are not open, by number and name.
    closed: Vec<(u64, String)>,
    gates: u64,
    /// Stays set, because a service that has started does not start again.
    started: bool,
    draining: bool,
    watchdogs: Vec<(String, Watchdog)>,
}

type Watchdog = Arc<dyn Fn() -> bool + Send + Sync>;

impl Lifecycle {
    /// Why the service is not ready, if it is not.
    pub(super) fn why_no_traffic(&self) -> Option<&'static str> {
        let mut state = self.state.lock();
        if state.draining {
            Some("draining")
        } else if !state.has_started() {
            Some("starting")
        } else {
            None
        }
    }

    /// The names of the gates that keep the service from having started.
    pub(super) fn closed_gates(&self) -> Vec<String> {
        let mut state = self.state.lock();
        if state.has_started() {
            return Vec::new();
        }
        state.closed.iter().map(|(_, name)| name.clone()).collect()
    }

    pub(super) fn drain(&self) {
        let before = std::mem::replace(&mut self.state.lock().draining, true);
        #[cfg(feature = "tracing")]
        if !before {
            tracing::info!(target: super::check::TARGET, "the service begins to drain");
        }
        #[cfg(not(feature = "tracing"))]
        let _ = before;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.state.lock().draining
    }

    pub(super) fn add_watchdog(&self, name: String, alive: Box<dyn Fn() -> bool + Send + Sync>) {
        self.state.lock().watchdogs.push((name, Arc::from(alive)));
    }

    /// The results of the watchdogs.
    pub(super) fn watchdogs(&self) -> Vec<ComponentHealth> {
        let watchdogs = self.state.lock().watchdogs.clone();
        watchdogs
            .into_iter()
            .map(|(name, alive)| {
                // A watchdog that panics counts as failed.
                if catch_unwind(AssertUnwindSafe(|| alive())).unwrap_or(false) {
                    ComponentHealth::healthy(name)
                } else {
                    ComponentHealth::unhealthy(name, "the watchdog found no sign of life")
                }
            })
            .collect()
    }
}

impl LifecycleState {
    fn has_started(&mut self) -> bool {
        self.started |= self.closed.is_empty();
        self.started
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Lifecycle")
            .field("closed_gates", &state.closed)
            .field("draining", &state.draining)
            .finish_non_exhaustive()
    }
}

/// Something that must be done before the service has started, such as migrations.
///
/// The service has started when all its gates are open, or at the first probe if it has no gate by then. A gate that is
/// added later does not undo that. A gate that is dropped unopened stays closed, because its work was not done.
#[must_use = "the service starts only when the gate is opened"]
pub struct StartupGate {
    lifecycle: Arc<Lifecycle>,
    number: u64,
    name: String,
}

impl StartupGate {
    pub(super) fn new(lifecycle: &Arc<Lifecycle>, name: String) -> Self {
        let mut state = lifecycle.state.lock();
        state.gates += 1;
        let number = state.gates;
        state.closed.push((number, name.clone()));
        drop(state);
        Self {
            lifecycle: lifecycle.clone(),
            number,
            name,
        }
    }

    /// Opens the gate, because its work is done.
    pub fn open(self) {
        self.lifecycle
            .state
            .lock()
            .closed
            .retain(|(number, _)| *number != self.number);
    }
}

impl fmt::Debug for StartupGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StartupGate").field(&self.name).finish()
    }
}
