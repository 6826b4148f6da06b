//! Sets of policies by key, whose settings are those of a policy in the files.

use super::super::{KeyedPolicies, PolicyConfig};
use super::{PolicyRegistry, RegistryState, report};
use crate::error::{ConfigError, ConfigValue};
use crate::keyed::KeySetConfig;
use crate::sync::Random;
use crate::time::Env;

/// A set, and the policy that it has its settings from.
pub(super) struct KeyedSet {
    template: String,
    policies: KeyedPolicies<String>,
}

impl PolicyRegistry {
    /// A policy for each key, with the settings of the policy `template` of the files, for at most 10,000 keys. The set
    /// follows the files: a reload changes all its policies together, and each keeps its state. A name stands for one set:
    /// asked again for `name`, the registry gives the same one.
    ///
    /// ```
    /// use c13_reliability::policy::PolicyRegistry;
    /// use c13_reliability::policy::file::PolicyFiles;
    ///
    /// # let file = std::env::temp_dir().join(format!("c13-keyed-doc-{}.toml", std::process::id()));
    /// std::fs::write(&file, "[policy.partner]\nextends = \"critical\"\n")?;
    /// let registry = PolicyRegistry::open(PolicyFiles::new(), [&file])?;
    /// let partners = registry.keyed("partners", "partner")?;
    /// let acme = partners.get("acme");
    ///
    /// std::fs::write(&file, "[policy.partner]\nextends = \"critical\"\nretry = false\n")?;
    /// registry.reload()?;
    /// assert!(acme.config().retry.is_none());
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If no file names `template`, or the set `name` has another template.
    pub fn keyed(&self, name: &str, template: &str) -> Result<KeyedPolicies<String>, ConfigError> {
        self.keyed_with(name, template, KeySetConfig::DEFAULT)
    }

    /// As [`keyed`](Self::keyed), with other bounds on the keys. They hold if the set is made now.
    ///
    /// # Errors
    ///
    /// As [`keyed`](Self::keyed), and the first of `keys` that makes no sense.
    pub fn keyed_with(
        &self,
        name: &str,
        template: &str,
        keys: KeySetConfig,
    ) -> Result<KeyedPolicies<String>, ConfigError> {
        let refused = |value, rule| {
            let value = ConfigValue::Text(value);
            Err(ConfigError::new("policy registry", "template", value, rule))
        };
        let mut state = self.shared.state();
        if let Some(set) = state.keyed.get(name) {
            return match set.template == template {
                true => Ok(set.policies.clone()),
                false => refused(
                    "another policy",
                    "must be the one that the set of this name has already",
                ),
            };
        }
        let Some(config) = state.set.policy(template).map(|named| named.config()) else {
            return refused("no policy", "must be a policy that the files name");
        };
        let random = Random::stream(self.shared.random.next_u64(), name);
        let env = Env::new(self.shared.clock.clone()).random(random).name(name);
        let policies = KeyedPolicies::with_config(config, keys, env)?;
        let set = KeyedSet {
            template: template.to_owned(),
            policies: policies.clone(),
        };
        state.keyed.insert(name.to_owned(), set);
        let registries = state.reports.clone();
        drop(state);
        report(&registries, name, &policies);
        Ok(policies)
    }
}

impl RegistryState {
    /// The sets, by name.
    pub(super) fn sets(&self) -> Vec<(String, KeyedPolicies<String>)> {
        let named = |(name, set): (&String, &KeyedSet)| (name.clone(), set.policies.clone());
        self.keyed.iter().map(named).collect()
    }

    /// Gives each set the settings of its template. A set whose template no file names any more keeps its last settings.
    pub(super) fn reconfigure_sets(&self, settings: impl Fn(&str) -> Option<PolicyConfig>) -> Result<(), ConfigError> {
        for set in self.keyed.values() {
            if let Some(config) = settings(&set.template)
                && set.policies.config() != config
            {
                set.policies.reconfigure(config)?;
            }
        }
        Ok(())
    }
}
