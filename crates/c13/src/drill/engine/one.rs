//! One variant of a scenario from start to end: arrivals, the policy under test, the dependency.

use super::circuits::Circuits;
use super::dependency::Servers;
use super::end::CallEnd;
use super::fleet::Fleet;
use super::job::{CallError, Reply};
use super::load::ArrivalTimes;
use super::measure::{EndedCall, Measured};
use crate::drill::phase::phases;
use crate::drill::scenario::{Patience, Scenario, Variant};
use c13_reliability::Layer;
use c13_reliability::gate::Outcome;
use c13_reliability::policy::{Policy, PolicyError};
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Deadline, Executor, Spawner, Tick};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How much time is simulated between two reports of progress.
const SLICE: Duration = Duration::from_secs(1);

/// Rehearses `variant` of `scenario`: runs it, and where there are faults once more without them, to judge what they did.
///
/// `goes_on` is called with the share of the time that has passed, from 0 to 1, and decides whether to go on; the result is
/// `None` if it decides against.
pub(super) fn rehearse(
    scenario: &Scenario,
    variant: &Variant,
    seed: u64,
    goes_on: &dyn Fn(f64) -> bool,
) -> Option<Measured> {
    if scenario.faults.is_empty() {
        let mut measured = run_variant(scenario, variant, seed, goes_on)?;
        measured.judge(&[], &Measured::default());
        return Some(measured);
    }
    let without_faults = Scenario {
        faults: Vec::new(),
        ..scenario.clone()
    };
    let mut measured = run_variant(scenario, variant, seed, &|share| goes_on(share / 2.0))?;
    let control = run_variant(&without_faults, variant, seed, &|share| goes_on(0.5 + share / 2.0))?;
    measured.judge(&scenario.faults, &control);
    Some(measured)
}

/// Runs `variant` of `scenario` in virtual time. The same seed gives the same result. Load, latencies and jitter use random
/// streams of their own, so all variants see the same arrivals.
fn run_variant(scenario: &Scenario, variant: &Variant, seed: u64, goes_on: &dyn Fn(f64) -> bool) -> Option<Measured> {
    let executor = Executor::new();
    let clock = executor.clock();
    let dependency = Servers::new(
        &scenario.dependency,
        &scenario.faults,
        clock.clone(),
        &executor.spawner(),
        seed,
    );
    let clients = scenario.load.instances.get() as usize;
    let fleet = variant
        .policy
        .map(|config| Rc::new(Fleet::new(clients, config, variant.shared_limit, &clock, seed)));
    let measured = Measured::new(&phases(scenario), scenario.duration, scenario.goodput_goal());
    let caller = Rc::new(Caller {
        clock,
        dependency: dependency.clone(),
        fleet,
        deadline: scenario.load.deadline,
        patience: scenario.load.patience,
        measured: RefCell::new(measured),
    });
    let times = ArrivalTimes::new(&scenario.load, Random::stream(seed, "load"));
    executor.spawn(arrive(times, scenario.duration, executor.spawner(), caller.clone()));

    // Calls that arrived before the end may still be answered in time.
    let length = scenario.duration + scenario.load.deadline;
    let end = Tick::ZERO + length;
    while executor.time().now() < end {
        executor.run_until(end.min(executor.time().now() + SLICE));
        if !goes_on((executor.time().now() - Tick::ZERO).as_secs_f64() / length.as_secs_f64()) {
            return None;
        }
    }
    // Drops the calls that still wait; each records itself as unanswered.
    drop(executor);
    let mut measured = caller.measured.take();
    measured.finish();
    measured.offered = dependency.offered();
    measured.worked = dependency.worked();
    let logs = caller.fleet.as_ref().map_or(&[][..], |fleet| fleet.circuits());
    measured.circuits = Circuits::read(logs, scenario.duration);
    Some(measured)
}

/// Starts a call at each arrival until `end`, whether or not the calls before it have ended.
async fn arrive(mut times: ArrivalTimes, end: Duration, spawner: Spawner, caller: Rc<Caller>) {
    while let Some(at) = times.next().filter(|at| *at < end) {
        caller.clock.sleep_until(Tick::ZERO + at).await;
        match &caller.fleet {
            Some(fleet) => spawner.spawn_detached(caller.clone().call(fleet.clone(), at)),
            None => spawner.spawn_detached(caller.clone().call_unprotected(at)),
        }
    }
}

/// Who makes the calls: a fleet of clients with a policy each, or clients with none.
struct Caller {
    clock: Clock,
    dependency: Servers,
    fleet: Option<Rc<Fleet>>,
    deadline: Duration,
    patience: Patience,
    measured: RefCell<Measured>,
}

impl Caller {
    async fn call(self: Rc<Self>, fleet: Rc<Fleet>, arrived: Duration) {
        let mut call = InFlight::new(&self, arrived);
        let result = self.protected(&fleet, &call).await;
        call.end = result.err().unwrap_or_else(|| call.answered());
    }

    /// A call without a policy. Its caller leaves at the deadline, unless it waits for ever. It is a future of its own, because that of a call with a policy is many times as large, and of
    /// calls without one very many may wait.
    async fn call_unprotected(self: Rc<Self>, arrived: Duration) {
        let mut call = InFlight::new(&self, arrived);
        let result = match self.patience {
            Patience::Deadline => {
                let deadline = Tick::ZERO + arrived + self.deadline;
                let answer = self.clock.timeout_at(deadline, call.attempt()).await;
                answer.map_or(Err(CallEnd::Deadline), |result| result.map_err(CallError::end))
            }
            Patience::Forever => call.attempt().await.map_err(CallError::end),
        };
        call.end = result.err().unwrap_or_else(|| call.answered());
    }

    /// One call through the policy of the client that it reaches, under the caller's deadline.
    async fn protected(&self, fleet: &Fleet, call: &InFlight<'_>) -> Result<(), CallEnd> {
        let policy = fleet.policy(fleet.next());
        if !fleet.is_within_shared_limit().await {
            return Err(CallEnd::RateLimit);
        }
        let deadline = Deadline::at(&self.clock, Tick::ZERO + call.arrived + self.deadline);
        // In one expression: a variable for the call would take its room a second time.
        let result = deadline
            .scope(policy.call_classified(|| call.attempt(), Outcome::of, CallError::verdict))
            .await;
        result.map_err(|error| self.end_of(policy, &error))
    }

    /// How a call that its policy gave up ended.
    fn end_of(&self, policy: &Policy, error: &PolicyError<CallError>) -> CallEnd {
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
            Some(Layer::TotalTimeout) if config.total_timeout.is_none_or(|own| own >= self.deadline) => {
                CallEnd::Deadline
            }
            // A time limit: no other layer refuses a call or cuts it off.
            _ => CallEnd::Timeout,
        }
    }

    fn now(&self) -> Duration {
        self.clock.now() - Tick::ZERO
    }
}

/// A call that is under way. It is recorded when it ends, and when it is dropped with the drill.
struct InFlight<'a> {
    caller: &'a Caller,
    arrived: Duration,
    attempts: Cell<u32>,
    end: CallEnd,
}

impl<'a> InFlight<'a> {
    fn new(caller: &'a Caller, arrived: Duration) -> Self {
        Self {
            caller,
            arrived,
            attempts: Cell::new(0),
            end: CallEnd::Unanswered,
        }
    }

    fn attempt(&self) -> Reply {
        self.attempts.set(self.attempts.get() + 1);
        self.caller.dependency.call()
    }

    /// How a call ends that is answered now.
    fn answered(&self) -> CallEnd {
        match self.took() <= self.caller.deadline {
            true => CallEnd::InTime,
            false => CallEnd::Late,
        }
    }

    fn took(&self) -> Duration {
        self.caller.now() - self.arrived
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.caller.measured.borrow_mut().record(&EndedCall {
            arrived: self.arrived,
            took: self.took(),
            end: self.end,
            attempts: self.attempts.get(),
        });
    }
}
