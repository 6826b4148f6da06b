//! One variant of a scenario from start to end: arrivals, the policy under test, the dependency.

use super::calls::{Calls, Maker};
use super::circuits::Circuits;
use super::dependency::Servers;
use super::end::CallEnd;
use super::fleet::Spread;
use super::job::{CallError, Key};
use super::load::ArrivalTimes;
use super::measure::{EndedCall, Measured};
use crate::drill::phase::phases;
use crate::drill::scenario::{Patience, Scenario, Variant};
use crate::drill::watch::Partial;
use c13_reliability::policy::document::Ratio;
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Executor, Spawner, Tick};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How much time is simulated between two reports of progress.
const SLICE: Duration = Duration::from_secs(1);

/// Rehearses `variant` of `scenario`: runs it, and where there are faults once more without them, to judge what they did.
///
/// `goes_on` is called with the share of the time that has passed, from 0 to 1, and decides whether to go on; if it decides
/// against, the result is what was known by then.
pub(super) fn rehearse(
    scenario: &Scenario,
    variant: &Variant,
    seed: u64,
    goes_on: &dyn Fn(f64) -> bool,
) -> Result<Measured, Partial> {
    if scenario.faults.is_empty() {
        let mut measured = run_variant(scenario, variant, seed, goes_on)?;
        measured.judge(&[], &Measured::default());
        return Ok(measured);
    }
    let without_faults = Scenario {
        faults: Vec::new(),
        ..scenario.clone()
    };
    let mut measured = run_variant(scenario, variant, seed, &|share| goes_on(share / 2.0))?;
    let control = run_variant(&without_faults, variant, seed, &|share| goes_on(0.5 + share / 2.0));
    // The run itself was whole.
    let control = control.map_err(|_| measured.partial(scenario.duration))?;
    measured.judge(&scenario.faults, &control);
    Ok(measured)
}

/// Runs `variant` of `scenario` in virtual time. The same seed gives the same result. Load, latencies and jitter use random
/// streams of their own, so all variants see the same arrivals.
fn run_variant(
    scenario: &Scenario,
    variant: &Variant,
    seed: u64,
    goes_on: &dyn Fn(f64) -> bool,
) -> Result<Measured, Partial> {
    let executor = Executor::new();
    let clock = executor.clock();
    let dependencies = dependencies(scenario, variant, &executor, seed);
    let clients = scenario.load.instances.get() as usize;
    let calls = Calls::new(
        &scenario.load.calls,
        clients,
        &dependencies,
        (&clock, seed),
        |to| variant.protection(to),
        // One dependency has the streams that it had before there were several, so that it gives the same drill.
        |to| match to {
            0 => String::new(),
            to => format!(" for {}", scenario.dependencies[to].name),
        },
    );
    let measured = Measured::new(&phases(scenario), scenario.duration, scenario.goodput_goal());
    let waits_for_ever = variant.is_unprotected() && scenario.load.patience == Patience::Forever;
    let of_keys = scenario.faults.iter().any(|fault| fault.keys != Ratio::ONE);
    let caller = Rc::new(Caller {
        clock,
        calls,
        spread: Spread::new(clients, seed),
        keys: of_keys.then(|| Random::stream(seed, "keys")),
        deadline: scenario.load.deadline,
        waits_for_ever,
        measured: RefCell::new(measured),
    });
    let times = ArrivalTimes::new(&scenario.load, Random::stream(seed, "load"));
    executor.spawn(arrive(times, scenario.duration, executor.spawner(), caller.clone()));

    // Calls that arrived before the end may still be answered in time.
    let length = scenario.duration + scenario.load.deadline;
    let end = Tick::ZERO + length;
    while executor.time().now() < end {
        executor.run_until(end.min(executor.time().now() + SLICE));
        let waiting: usize = dependencies.iter().flatten().map(Servers::queued).sum();
        caller.measured.borrow_mut().queued.push(waiting as u32);
        if !goes_on((executor.time().now() - Tick::ZERO).as_secs_f64() / length.as_secs_f64()) {
            // A copy: the calls that still wait record themselves when the executor is dropped.
            let mut measured = caller.measured.borrow().clone();
            measured.finish();
            return Err(measured.partial((executor.time().now() - Tick::ZERO).min(scenario.duration)));
        }
    }
    // Drops the calls that still wait; each records itself as unanswered.
    drop(executor);
    let mut measured = caller.measured.take();
    measured.finish();
    let servers = || dependencies.iter().flatten();
    measured.traffic = servers().map(Servers::traffic).collect();
    let callers = std::iter::once(&caller.calls).chain(servers().map(Servers::calls));
    let fleets = callers.flat_map(Calls::routes).filter_map(|route| route.fleet.as_ref());
    measured.circuits = fleets
        .map(|fleet| Circuits::read(fleet.circuits(), scenario.duration))
        .collect();
    Ok(measured)
}

/// Every dependency; those that are called are made before those that call them.
fn dependencies(scenario: &Scenario, variant: &Variant, executor: &Executor, seed: u64) -> Vec<Option<Servers>> {
    let clock = executor.clock();
    let mut servers = vec![None; scenario.dependencies.len()];
    for (place, service) in scenario.dependencies.iter().enumerate().rev() {
        let calls = Calls::new(
            &service.calls,
            service.instances.get() as usize,
            &servers,
            (&clock, seed),
            |to| variant.protection_of_service(service, to),
            |to| format!(" of {} for {}", service.name, scenario.dependencies[to].name),
        );
        servers[place] = Some(Servers::new(scenario, place, calls, &clock, &executor.spawner(), seed));
    }
    servers
}

/// Starts a call at each arrival until `end`, whether or not the calls before it have ended.
async fn arrive(mut times: ArrivalTimes, end: Duration, spawner: Spawner, caller: Rc<Caller>) {
    while let Some(at) = times.next().filter(|at| *at < end) {
        caller.clock.sleep_until(Tick::ZERO + at).await;
        let caller = caller.clone();
        let at = Tick::ZERO + at;
        match caller.calls.only().map(|route| route.fleet.is_some()) {
            Some(true) => spawner.spawn_detached(caller.call(at)),
            Some(false) => spawner.spawn_detached(caller.call_unprotected(at)),
            None => spawner.spawn_detached(caller.call_several(at)),
        }
    }
}

/// Who makes the requests: a fleet of clients.
struct Caller {
    clock: Clock,
    calls: Calls,
    spread: Spread,
    /// What the requests are about, where that matters.
    keys: Option<Random>,
    deadline: Duration,
    waits_for_ever: bool,
    measured: RefCell<Measured>,
}

impl Caller {
    /// A request of one call, through a policy.
    async fn call(self: Rc<Self>, arrived: Tick) {
        let mut call = InFlight::new(&self, arrived);
        let Some((route, fleet)) = self.calls.only().and_then(|route| Some((route, route.fleet.as_ref()?))) else {
            return;
        };
        let result = route.protected(fleet, &self.clock, &call.maker()).await;
        call.end = result.err().unwrap_or_else(|| call.answered());
    }

    /// A request of one call, without a policy. It is a future of its own, because that of a call with a policy is many times as
    /// large, and of calls without one very many may wait.
    async fn call_unprotected(self: Rc<Self>, arrived: Tick) {
        let mut call = InFlight::new(&self, arrived);
        let Some(route) = self.calls.only() else { return };
        let attempt = route.attempt(call.key, &call.attempts);
        let result = match self.waits_for_ever {
            true => attempt.await.map_err(CallError::end),
            false => {
                let answer = self.clock.timeout_at(arrived + self.deadline, attempt).await;
                answer.map_or(Err(CallEnd::Deadline), |result| result.map_err(CallError::end))
            }
        };
        call.end = result.err().unwrap_or_else(|| call.answered());
    }

    /// A request of several calls.
    async fn call_several(self: Rc<Self>, arrived: Tick) {
        let mut call = InFlight::new(&self, arrived);
        let result = self.calls.make(&call.maker()).await;
        call.end = result.err().unwrap_or_else(|| call.answered());
    }
}

/// A request that is under way. It is recorded when it ends, and when it is dropped with the drill.
struct InFlight<'a> {
    caller: &'a Caller,
    arrived: Tick,
    client: u32,
    key: Key,
    attempts: Cell<u32>,
    end: CallEnd,
}

impl<'a> InFlight<'a> {
    fn new(caller: &'a Caller, arrived: Tick) -> Self {
        Self {
            caller,
            arrived,
            client: caller.spread.next() as u32,
            key: caller.keys.as_ref().map_or(Key::default(), Key::pick),
            attempts: Cell::new(0),
            end: CallEnd::Unanswered,
        }
    }

    /// It, as one that makes calls.
    fn maker(&self) -> Maker<'_> {
        let Caller {
            deadline,
            waits_for_ever,
            ..
        } = *self.caller;
        Maker {
            instance: self.client as usize,
            key: self.key,
            patience: (!waits_for_ever).then(|| (deadline, self.arrived + deadline)),
            attempts: &self.attempts,
        }
    }

    /// How a request ends that is answered now.
    fn answered(&self) -> CallEnd {
        match self.took() <= self.caller.deadline {
            true => CallEnd::InTime,
            false => CallEnd::Late,
        }
    }

    fn took(&self) -> Duration {
        self.caller.clock.now() - self.arrived
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.caller.measured.borrow_mut().record(&EndedCall {
            arrived: self.arrived - Tick::ZERO,
            took: self.took(),
            end: self.end,
            attempts: self.attempts.get(),
        });
    }
}
