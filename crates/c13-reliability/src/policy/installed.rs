//! Policies by name for the whole process: where no handle can be passed to, such as a function under `#[reliable]`.

use super::Policy;
#[cfg(feature = "toml")]
use super::PolicyRegistry;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// Bounded by the names that the service's code uses.
static INSTALLED: RwLock<BTreeMap<String, Policy>> = RwLock::new(BTreeMap::new());

/// Makes `policy` the policy of this name for the whole process, in place of the one that had the name before.
///
/// ```
/// use c13_reliability::policy::{CRITICAL, Policy, install, installed};
///
/// install("payments", Policy::new(CRITICAL)?);
/// assert!(installed("payments").is_some());
/// # Ok::<_, c13_reliability::ConfigError>(())
/// ```
pub fn install(name: impl Into<String>, policy: Policy) {
    let mut all = INSTALLED.write().unwrap_or_else(PoisonError::into_inner);
    all.insert(name.into(), policy);
}

/// The policy that was installed under this name.
#[must_use]
pub fn installed(name: &str) -> Option<Policy> {
    let all = INSTALLED.read().unwrap_or_else(PoisonError::into_inner);
    all.get(name).cloned()
}

#[cfg(feature = "toml")]
impl PolicyRegistry {
    /// [Installs](install) every policy that it has now, under its name. The handles follow their file.
    pub fn install(&self) {
        for name in self.names() {
            if let Some(policy) = self.policy(&name) {
                install(name, policy);
            }
        }
    }
}
