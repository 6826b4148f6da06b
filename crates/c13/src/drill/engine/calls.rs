//! The calls that a request makes, or a service before it answers one: in steps, each call through the policy of the instance
//! that makes it.

use super::dependency::Servers;
use super::end::CallEnd;
use super::fleet::Fleet;
use super::job::{CallError, Key, Reply};
use crate::drill::scenario::{Call, Protection, Steps};
use c13_reliability::Layer;
use c13_reliability::gate::Outcome;
use c13_reliability::policy::{Policy, PolicyError};
use c13_reliability::time::{Clock, Deadline, Tick};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// The steps of one kind of caller, and the way to each dependency that it calls.
pub(super) struct Calls {
    steps: Steps,
    /// By the place of the dependency; those that are not called have none.
    routes: Vec<Option<Route>>,
    clock: Clock,
}

/// The way from the instances of a caller to a dependency.
pub(super) struct Route {
    servers: Servers,
    /// Their policies, if they have any.
    pub(super) fleet: Option<Fleet>,
}

/// One request that is being made, or one call to a service.
pub(super) struct Maker<'a> {
    /// Which instance makes it.
    pub(super) instance: usize,
    pub(super) key: Key,
    /// How long its caller waits, and until when; `None` for one that waits for ever.
    pub(super) patience: Option<(Duration, Tick)>,
    /// Counts the attempts.
    pub(super) attempts: &'a Cell<u32>,
}

impl Calls {
    /// The calls of `instances` instances of a caller. `servers` has the dependencies that it may call, by their place;
    /// `protection` says what runs around the calls to each, and `stream` names the random numbers of those policies.
    pub(super) fn new(
        steps: &Steps,
        instances: usize,
        servers: &[Option<Servers>],
        (clock, seed): (&Clock, u64),
        protection: impl Fn(usize) -> Option<Protection>,
        stream: impl Fn(usize) -> String,
    ) -> Self {
        let is_called = |to: usize| steps.iter().flatten().any(|call| call.to == to);
        let route = |(to, servers): (usize, &Option<Servers>)| {
            let servers = servers.clone().filter(|_| is_called(to))?;
            let fleet = protection(to).map(|protection| Fleet::new(instances, protection, clock, seed, &stream(to)));
            Some(Route { servers, fleet })
        };
        Self {
            steps: steps.clone(),
            routes: servers.iter().enumerate().map(route).collect(),
            clock: clock.clone(),
        }
    }

    /// No calls at all.
    #[cfg(test)]
    pub(super) fn none(clock: &Clock) -> Self {
        Self::new(&Steps::new(), 0, &[], (clock, 0), |_| None, |_| String::new())
    }

    /// Whether there is nothing to call.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The way of the only call, if there is but one and it needs an answer.
    pub(super) fn only(&self) -> Option<&Route> {
        let [step] = &self.steps[..] else { return None };
        let [call] = step[..] else { return None };
        (call == Call::to(call.to)).then(|| self.route(call.to))
    }

    /// Every way that there is.
    pub(super) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().flatten()
    }

    fn route(&self, to: usize) -> &Route {
        let route = self.routes[to].as_ref();
        route.expect("there is a way to every dependency that is called")
    }

    /// Makes all calls. It ends with the first failure of one that needs an answer; the calls beside that one are abandoned.
    pub(super) async fn make(&self, maker: &Maker<'_>) -> Result<(), CallEnd> {
        for step in &self.steps {
            match step[..] {
                [call] => self.one(call, maker).await?,
                _ => self.together(step, maker).await?,
            }
        }
        Ok(())
    }

    async fn one(&self, call: Call, maker: &Maker<'_>) -> Result<(), CallEnd> {
        for _ in 0..call.times {
            match self.route(call.to).call(&self.clock, maker).await {
                // A caller that has left needs nothing more.
                Err(end) if !call.optional || end == CallEnd::Deadline => return Err(end),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the calls of one step at the same time.
    async fn together(&self, step: &[Call], maker: &Maker<'_>) -> Result<(), CallEnd> {
        type Pending<'a> = Pin<Box<dyn Future<Output = Result<(), CallEnd>> + 'a>>;
        let mut pending: Vec<Pending<'_>> = Vec::new();
        for call in step {
            pending.push(Box::pin(self.one(*call, maker)));
        }
        poll_fn(|cx| {
            let mut failed = None;
            pending.retain_mut(|call| match call.as_mut().poll(cx) {
                Poll::Ready(result) => {
                    failed = failed.or(result.err());
                    false
                }
                Poll::Pending => true,
            });
            match failed {
                Some(end) => Poll::Ready(Err(end)),
                None if pending.is_empty() => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl Route {
    /// Makes one call, through the policy of the instance if it has one.
    async fn call(&self, clock: &Clock, maker: &Maker<'_>) -> Result<(), CallEnd> {
        match &self.fleet {
            Some(fleet) => self.protected(fleet, clock, maker).await,
            None => self.unprotected(clock, maker).await,
        }
    }

    /// A call without a policy. Its caller leaves when its patience ends.
    async fn unprotected(&self, clock: &Clock, maker: &Maker<'_>) -> Result<(), CallEnd> {
        match maker.patience {
            Some((_, deadline)) => {
                let answer = clock
                    .timeout_at(deadline, self.attempt(maker.key, maker.attempts))
                    .await;
                answer.map_or(Err(CallEnd::Deadline), |result| result.map_err(CallError::end))
            }
            None => self.attempt(maker.key, maker.attempts).await.map_err(CallError::end),
        }
    }

    /// A call through the policy of its instance, under the caller's deadline.
    pub(super) async fn protected(&self, fleet: &Fleet, clock: &Clock, maker: &Maker<'_>) -> Result<(), CallEnd> {
        let policy = fleet.policy(maker.instance);
        if !fleet.is_within_shared_limit().await {
            return Err(CallEnd::RateLimit);
        }
        // In one expression: a variable for the call would take its room a second time.
        let attempt = || self.attempt(maker.key, maker.attempts);
        let result = match maker.patience {
            Some((_, deadline)) => {
                Deadline::at(clock, deadline)
                    .scope(policy.call_classified(attempt, Outcome::of, CallError::verdict))
                    .await
            }
            None => policy.call_classified(attempt, Outcome::of, CallError::verdict).await,
        };
        result.map_err(|error| end_of(policy, &error, maker.patience.map(|(patience, _)| patience)))
    }

    /// Makes one attempt, and counts it.
    pub(super) fn attempt(&self, key: Key, attempts: &Cell<u32>) -> Reply {
        attempts.set(attempts.get() + 1);
        self.servers.call(key)
    }
}

/// How a call that its policy gave up ended, whose caller has so much patience.
fn end_of(policy: &Policy, error: &PolicyError<CallError>, patience: Option<Duration>) -> CallEnd {
    let layer = match error {
        // Whatever kept retry from another attempt, it is the dependency that did not answer.
        PolicyError::Failed { error, .. } => return error.end(),
        other => other.layer(),
    };
    let config = policy.config();
    match layer {
        Some(Layer::RateLimit) => CallEnd::RateLimit,
        Some(Layer::Bulkhead) if config.adaptive.is_some() => CallEnd::AdaptiveLimit,
        Some(Layer::Bulkhead) => CallEnd::Bulkhead,
        Some(Layer::CircuitBreaker) => CallEnd::CircuitBreaker,
        // The policy's own limit is not what ended the call if the caller had less patience.
        Some(Layer::TotalTimeout)
            if patience.is_some_and(|patience| config.total_timeout.is_none_or(|own| own >= patience)) =>
        {
            CallEnd::Deadline
        }
        // A time limit: no other layer refuses a call or cuts it off.
        _ => CallEnd::Timeout,
    }
}
