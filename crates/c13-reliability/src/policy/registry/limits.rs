//! The limits of requests that the files name.

use super::super::file::PolicySet;
use super::super::limit::LimitSharing;
use super::super::{LimitConfig, RequestLimit};
use super::{PolicyRegistry, RegistryState, ReloadError, SharedRegistry, report};
use crate::distributed::rate_limiter::{QuotaBackend, SharedLimitConfig};
use crate::error::{ConfigError, ConfigValue};
use crate::time::Env;
use std::sync::Arc;

impl PolicyRegistry {
    /// A limit of requests by its name, `[limit.NAME]` in the files. It follows its file: a reload changes its settings, and
    /// keeps what each key has used. Asked again for `name`, the registry gives the same limit.
    ///
    /// # Errors
    ///
    /// If no file names it, or it is shared and [`share_limits`](Self::share_limits) has not said by what.
    pub fn limit(&self, name: &str) -> Result<RequestLimit, ConfigError> {
        let mut state = self.shared.state();
        if let Some(limit) = state.limits.get(name) {
            return Ok(limit.clone());
        }
        let Some(config) = state.set.limit(name).map(|named| named.config()) else {
            let rule = "must be a limit that the files name";
            return Err(ConfigError::new(
                "policy registry",
                "limit",
                ConfigValue::Text("no limit"),
                rule,
            ));
        };
        let limit = self.shared.new_limit(&state, name, config)?;
        state.limits.insert(name.to_owned(), limit.clone());
        let registries = state.reports.clone();
        drop(state);
        report(&registries, name, &limit);
        Ok(limit)
    }

    /// Says by what the limits with `shared = true` are shared, and how. Limits of one name at one backend are one limit, in
    /// whatever service. It holds for limits that are asked for afterwards.
    pub fn share_limits(&self, backend: Arc<dyn QuotaBackend>, config: SharedLimitConfig) {
        self.shared.state().sharing = Some(LimitSharing { backend, config });
    }
}

impl SharedRegistry {
    fn new_limit(&self, state: &RegistryState, name: &str, config: LimitConfig) -> Result<RequestLimit, ConfigError> {
        let env = Env::new(self.clock.clone()).name(name);
        RequestLimit::sharing(config, state.sharing.clone(), env)
    }
}

impl RegistryState {
    /// Gives each limit in use its settings of `set`. One that no file names any more keeps its last settings.
    pub(super) fn reconfigure_limits(&self, set: &PolicySet) -> Result<(), ReloadError> {
        for (name, limit) in &self.limits {
            if let Some(config) = set.limit(name).map(|named| named.config())
                && limit.config() != config
            {
                limit
                    .reconfigure(config)
                    .map_err(|error| ReloadError::Policy(format!("limit.{name}: {error}")))?;
            }
        }
        Ok(())
    }
}
