//! Probes dependencies whose circuit is open, by the health checks that the files name.

use super::SharedRegistry;
use crate::patterns::circuit_breaker::{CircuitBreaker, HealthProbe};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Weak;
use std::time::Duration;

/// How long after a reload a check that it names begins to probe, at most.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// A policy, its check, and how often that is run.
type Named = (String, &'static str, Duration);

/// Probes until the registry is gone. Every policy whose breaker names a check has a future of its own.
pub(super) async fn run<P, F>(shared: Weak<SharedRegistry>, check: P)
where
    P: Fn(&'static str) -> F + Clone + Send + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let mut probes: BTreeMap<Named, Pin<Box<dyn Future<Output = ()> + Send>>> = BTreeMap::new();
    loop {
        let clock = {
            let Some(shared) = shared.upgrade() else { return };
            let named: BTreeMap<Named, CircuitBreaker> = named(&shared).collect();
            probes.retain(|name, _| named.contains_key(name));
            for (name, breaker) in named {
                let ((_, name_of_check, every), check) = (name.clone(), check.clone());
                let probing = breaker.probe_health(HealthProbe::new(every), move || check(name_of_check));
                // The settings of a policy are checked before it has them.
                if let (Ok(probing), None) = (probing, probes.get(&name)) {
                    probes.insert(name, Box::pin(probing));
                }
            }
            shared.clock.clone()
        };
        let mut next_look = pin!(clock.sleep(SEEN_WITHIN));
        poll_fn(|cx| {
            // One that is ready has lost its breaker; the next look finds another, if there is one.
            probes.retain(|_, probing| probing.as_mut().poll(cx).is_pending());
            next_look.as_mut().poll(cx)
        })
        .await;
    }
}

/// The breakers that name a check.
fn named(shared: &SharedRegistry) -> impl Iterator<Item = (Named, CircuitBreaker)> {
    let policies = shared.state().policies.clone();
    policies.into_iter().filter_map(|(name, policy)| {
        let settings = policy.config().circuit_breaker?;
        let check = settings.health_check?;
        Some(((name, check, settings.health_check_every), policy.circuit_breaker()?))
    })
}
