//! The simulated dependency: instances behind a balancer, their servers, the queue before each, and slowness that grows with
//! what they have to do.

use super::balancer::Balancer;
use super::calls::{Calls, Maker};
use super::fault::Condition;
use super::instance::Instance;
use super::job::{CallError, Job, Key, Reply};
use super::latency;
use super::traffic::Traffic;
use crate::drill::scenario::fault::Outage;
use crate::drill::scenario::{Dependency, Fault, OutageMode, QueueOrder, Scenario};
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Sleep, Spawner, Tick};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The dependency, as the calls see it. Clones are the same dependency.
#[derive(Clone)]
pub(super) struct Servers {
    shared: Rc<ServersShared>,
}

struct ServersShared {
    settings: Dependency,
    faults: Vec<Fault>,
    /// When faults start and end, earliest first.
    changes: Vec<Duration>,
    clock: Clock,
    /// How long calls take, and which of them fail.
    random: Random,
    /// Which calls a fault is for, if it is for a share of them.
    chance: Random,
    /// The calls that it makes before it answers, and how it starts them.
    calls: Calls,
    spawner: Spawner,
    state: RefCell<ServersState>,
}

struct ServersState {
    instances: Vec<Instance>,
    balancer: Balancer,
    /// What ends when; the first is on top.
    ends: BinaryHeap<Reverse<End>>,
    /// The calls to it that wait for the calls that it makes for them, by their number.
    calling: BTreeMap<u64, Rc<Job>>,
    /// How many ends there were: of two at one instant, the earlier one comes first.
    number: u64,
    /// How many of `changes` have been.
    changed: usize,
    /// Until when the timekeeper sleeps, and how it is woken.
    asleep_until: Tick,
    timekeeper: Option<Waker>,
    /// Calls that reached it, by the tenth of a second of their arrival.
    offered: Vec<u32>,
    worked: WorkTime,
}

/// How long servers have worked on calls, all of them together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WorkTime {
    pub(super) done: Duration,
    /// Of that, for calls whose caller had left before the work was done.
    pub(super) wasted: Duration,
}

/// Something that ends at a moment.
struct End {
    at: Tick,
    number: u64,
    what: Ending,
}

enum Ending {
    /// The work of a server on a call.
    Work {
        job: Rc<Job>,
        generation: u32,
        took: Duration,
        result: Result<(), CallError>,
        /// Whether the calls that it makes for this one have been made.
        has_called: bool,
    },
    /// The work of a server on a refusal.
    Refusal { instance: usize, generation: u32 },
    /// The way of a refusal to its caller.
    Answer { job: Rc<Job>, error: CallError },
}

impl Servers {
    /// The dependency of this place in a scenario, which makes these calls before it answers one.
    pub(super) fn new(
        scenario: &Scenario,
        place: usize,
        calls: Calls,
        clock: &Clock,
        spawner: &Spawner,
        seed: u64,
    ) -> Self {
        let settings = &scenario.dependencies[place];
        let faults: Vec<Fault> = scenario
            .faults
            .iter()
            .filter(|fault| fault.dependency == place)
            .cloned()
            .collect();
        // The first one has the streams that it had before there were several, so that it gives the same drill.
        let stream = |name: &str| match place {
            0 => Random::stream(seed, name),
            _ => Random::stream(seed, &format!("{name} of {}", settings.name)),
        };
        let mut changes: Vec<Duration> = faults
            .iter()
            .flat_map(|fault| fault.steps().chain([fault.at]))
            .collect();
        changes.sort_unstable();
        changes.dedup();
        let instance = |index| {
            let (condition, until) = Condition::at(settings, &faults, index, Duration::ZERO);
            Instance::new(condition, until)
        };
        let state = ServersState {
            instances: (0..settings.instances.get() as usize).map(instance).collect(),
            balancer: Balancer::new(settings.balance, stream("balancer")),
            ends: BinaryHeap::new(),
            calling: BTreeMap::new(),
            number: 0,
            changed: 0,
            asleep_until: Tick::ZERO,
            timekeeper: None,
            offered: Vec::new(),
            worked: WorkTime::default(),
        };
        let shared = Rc::new(ServersShared {
            settings: settings.clone(),
            random: stream("dependency"),
            chance: stream("faults"),
            faults,
            changes,
            clock: clock.clone(),
            calls,
            spawner: spawner.clone(),
            state: RefCell::new(state),
        });
        spawner.spawn(Timekeeper {
            sleep: Box::pin(clock.sleep_until(Tick::MAX)),
            shared: shared.clone(),
        });
        Self { shared }
    }

    /// Sends one call about this key. The dependency works on it whether or not the caller goes on waiting.
    pub(super) fn call(&self, key: Key) -> Reply {
        let now = self.shared.clock.now() - Tick::ZERO;
        let state = &mut *self.shared.state.borrow_mut();
        let tenth = (now.as_millis() / 100) as usize;
        if state.offered.len() <= tenth {
            state.offered.resize(tenth + 1, 0);
        }
        state.offered[tenth] += 1;
        let ServersShared { settings, faults, .. } = &*self.shared;
        let index = state.balancer.pick(&state.instances, settings, faults, now);
        let job = Rc::new(Job::new(index, key));
        state.instances[index].connections += 1;
        self.shared.receive(state, &job, now);
        Reply {
            job,
            servers: self.clone(),
        }
    }

    /// Records that the caller of a call waits no longer.
    pub(super) fn left(&self, job: &Job) {
        let abandons = self.shared.settings.queue.is_some_and(|queue| queue.abandon);
        let Some(abandoned) = job.leave(abandons) else { return };
        let mut state = self.shared.state.borrow_mut();
        let instance = &mut state.instances[job.instance()];
        instance.connections -= 1;
        if abandoned {
            instance.abandon_one();
        }
    }

    /// How many calls wait in its queues.
    pub(super) fn queued(&self) -> usize {
        self.shared.state.borrow().instances.iter().map(Instance::queued).sum()
    }

    /// What it had to do.
    pub(super) fn traffic(&self) -> Traffic {
        let state = self.shared.state.borrow();
        Traffic {
            offered: state.offered.clone(),
            worked: state.worked,
        }
    }

    /// The calls that it makes.
    pub(super) fn calls(&self) -> &Calls {
        &self.shared.calls
    }
}

impl ServersShared {
    /// An instance receives a call.
    fn receive(&self, state: &mut ServersState, job: &Rc<Job>, now: Duration) {
        let index = job.instance();
        let condition = self.condition(state, index, now);
        if condition.crashed {
            return self.refuse(state, job, CallError::Refused { retry_after: None }, now);
        }
        let meets = |outage: &Outage| job.key.is_within(condition.outage_keys) && self.is_for(outage.share.value());
        if let Some(outage) = condition.outage.filter(meets) {
            return match outage.mode {
                OutageMode::Blackhole => {}
                OutageMode::Refuse => {
                    let retry_after = outage.retry_after;
                    self.refuse(state, job, CallError::Refused { retry_after }, now);
                }
            };
        }
        let capacity = self.settings.queue.map_or(0, |queue| queue.capacity.get() as usize);
        if state.instances[index].queued() > 0 {
            // Servers that are back since this very instant serve the queue first.
            self.serve(state, index, now);
        }
        let instance = &mut state.instances[index];
        let hangs = condition.hangs_until.is_some();
        if hangs && capacity == 0 {
            // It is taken, and never looked at.
        } else if instance.busy < condition.servers && !hangs {
            instance.busy += 1;
            self.start(state, job.clone(), &condition, now);
        } else if instance.queued() < capacity {
            instance.push(job.clone());
        } else {
            if self.settings.refuse.costs > 0.0 {
                instance.refusals += 1;
            }
            self.refuse(state, job, CallError::Overloaded, now);
        }
    }

    /// Whether a fault that is for a share of the calls is for this one.
    fn is_for(&self, share: f64) -> bool {
        share >= 1.0 || self.chance.unit() < share
    }

    fn refuse(&self, state: &mut ServersState, job: &Rc<Job>, error: CallError, now: Duration) {
        match self.settings.refuse.takes {
            Duration::ZERO => {
                end(state, job, Err(error));
            }
            takes => {
                let job = job.clone();
                self.at(state, now, takes, Ending::Answer { job, error });
            }
        }
    }

    /// The condition of an instance. One that dies loses what it has.
    fn condition(&self, state: &mut ServersState, index: usize, now: Duration) -> Condition {
        let instance = &mut state.instances[index];
        if now >= instance.until {
            let before = instance.condition;
            (instance.condition, instance.until) = Condition::at(&self.settings, &self.faults, index, now);
            if instance.condition.crashed && !before.crashed {
                crash(state, index);
            }
        }
        state.instances[index].condition
    }

    /// A server works on `job` that was free; it is counted as busy already.
    fn start(&self, state: &mut ServersState, job: Rc<Job>, condition: &Condition, now: Duration) {
        let instance = &state.instances[job.instance()];
        let (queued, generation) = (instance.queued(), instance.generation);
        let overload = self.settings.queue.map_or(1.0, |queue| queue.slowdown(queued as u32));
        let slow = self.settings.slowdown_of(instance.busy + queued) * overload * condition.cold;
        let is_slow = job.key.is_within(condition.slow_keys) && self.is_for(condition.slow_share);
        let (slowdown, delay) = match is_slow {
            true => (condition.slowdown, condition.delay),
            false => (1.0, Duration::ZERO),
        };
        let work = latency::sample(&self.settings.latency, &self.random, slowdown * slow).saturating_add(delay);
        let is_usual = !job.key.is_within(condition.error_keys);
        let error_rate = if is_usual {
            self.settings.error_rate.value()
        } else {
            condition.error_rate
        };
        let (work, result) = if self.random.unit() >= error_rate {
            (work, Ok(()))
        } else if is_usual {
            (work, Err(CallError::Failed))
        } else {
            let error = match condition.lasting > 0.0 && self.is_for(condition.lasting) {
                true => CallError::Lasting,
                false => CallError::Failed,
            };
            (condition.error_takes.unwrap_or(work), Err(error))
        };
        let what = Ending::Work {
            job,
            generation,
            took: work,
            result,
            has_called: self.calls.is_empty(),
        };
        self.at(state, now, work, what);
    }

    /// Gives refusals and queued calls to the free servers of an instance.
    fn serve(&self, state: &mut ServersState, index: usize, now: Duration) {
        let condition = self.condition(state, index, now);
        if condition.crashed || condition.hangs_until.is_some() {
            return;
        }
        let order = self.settings.queue.map_or(QueueOrder::Fifo, |queue| queue.order);
        while state.instances[index].busy < condition.servers {
            let instance = &mut state.instances[index];
            if instance.refusals > 0 {
                instance.refusals -= 1;
                instance.busy += 1;
                let generation = instance.generation;
                let work = latency::sample(&self.settings.latency, &self.random, self.settings.refuse.costs);
                self.at(
                    state,
                    now,
                    work,
                    Ending::Refusal {
                        instance: index,
                        generation,
                    },
                );
                continue;
            }
            let Some(job) = instance.pop(order) else { return };
            instance.busy += 1;
            self.start(state, job, &condition, now);
        }
    }

    /// Lets something end after some time.
    fn at(&self, state: &mut ServersState, now: Duration, after: Duration, what: Ending) {
        let at = Tick::ZERO + now.saturating_add(after);
        state.number += 1;
        let number = state.number;
        state.ends.push(Reverse(End { at, number, what }));
        if at < state.asleep_until
            && let Some(timekeeper) = &state.timekeeper
        {
            state.asleep_until = at;
            timekeeper.wake_by_ref();
        }
    }

    /// Does everything that is due. Returns when something is due next.
    fn settle(self: &Rc<Self>) -> Tick {
        let now = self.clock.now();
        let since = now - Tick::ZERO;
        let state = &mut *self.state.borrow_mut();
        while let Some(change) = self.changes.get(state.changed) {
            if *change > since {
                break;
            }
            state.changed += 1;
            (0..state.instances.len()).for_each(|index| self.serve(state, index, since));
        }
        while state.ends.peek().is_some_and(|Reverse(end)| end.at <= now) {
            if let Some(Reverse(end)) = state.ends.pop() {
                self.settle_one(state, end.what, since);
            }
        }
        let change = self
            .changes
            .get(state.changed)
            .map_or(Tick::MAX, |change| Tick::ZERO + *change);
        let next = state.ends.peek().map_or(change, |Reverse(end)| end.at.min(change));
        state.asleep_until = next;
        next
    }

    fn settle_one(self: &Rc<Self>, state: &mut ServersState, what: Ending, now: Duration) {
        let (index, generation) = match &what {
            Ending::Work { job, generation, .. } => (job.instance(), *generation),
            Ending::Refusal { instance, generation } => (*instance, *generation),
            Ending::Answer { job, error } => {
                end(state, job, Err(*error));
                return;
            }
        };
        let condition = self.condition(state, index, now);
        if state.instances[index].generation != generation {
            return;
        }
        if let Some(until) = condition.hangs_until {
            // It goes on where it stopped, as far as can be seen from outside.
            return self.at(state, now, until - now, what);
        }
        if let Ending::Work {
            job,
            generation,
            took,
            result: Ok(()),
            has_called: false,
        } = what
        {
            return self.make_calls(state, job, generation, took);
        }
        if let Ending::Work { job, result, took, .. } = &what {
            state.worked.done += *took;
            if !end(state, job, *result) {
                state.worked.wasted += *took;
            }
        }
        state.instances[index].busy -= 1;
        self.serve(state, index, now);
    }
}

impl ServersShared {
    /// Makes the calls that it needs before it answers this one. The server that did the work waits for them.
    fn make_calls(self: &Rc<Self>, state: &mut ServersState, job: Rc<Job>, generation: u32, took: Duration) {
        state.number += 1;
        let number = state.number;
        state.calling.insert(number, job.clone());
        let shared = self.clone();
        self.spawner.spawn_detached(async move {
            let attempts = Cell::new(0);
            let maker = Maker {
                instance: job.instance(),
                key: job.key,
                patience: None,
                attempts: &attempts,
            };
            let mut calls = pin!(shared.calls.make(&maker));
            // An instance that has died makes no further attempts.
            let is_dead = || shared.state.borrow().instances[job.instance()].generation != generation;
            let result = poll_fn(|cx| match is_dead() {
                true => Poll::Ready(None),
                false => calls.as_mut().poll(cx).map(Some),
            });
            let Some(result) = result.await else { return };
            let state = &mut *shared.state.borrow_mut();
            state.calling.remove(&number);
            let what = Ending::Work {
                job: job.clone(),
                generation,
                took,
                result: result.map_err(|_| CallError::Failed),
                has_called: true,
            };
            shared.at(state, shared.clock.now() - Tick::ZERO, Duration::ZERO, what);
        });
    }
}

/// Ends a call for its caller. Returns whether the caller was still there.
fn end(state: &mut ServersState, job: &Job, result: Result<(), CallError>) -> bool {
    let was_there = job.end(result);
    if was_there {
        state.instances[job.instance()].connections -= 1;
    }
    was_there
}

/// An instance dies: the calls that it has are lost.
fn crash(state: &mut ServersState, index: usize) {
    let mut lost: Vec<Rc<Job>> = state.instances[index].crash().into();
    let served = state.ends.iter().filter_map(|Reverse(end)| match &end.what {
        Ending::Work { job, .. } if job.instance() == index => Some((end.number, job.clone())),
        _ => None,
    });
    let mut served: Vec<(u64, Rc<Job>)> = served.collect();
    state.calling.retain(|number, job| {
        let is_lost = job.instance() == index;
        if is_lost {
            served.push((*number, job.clone()));
        }
        !is_lost
    });
    // In the order in which they began, whatever the heap's.
    served.sort_unstable_by_key(|(number, _)| *number);
    lost.extend(served.into_iter().map(|(_, job)| job));
    for job in lost {
        end(state, &job, Err(CallError::Lost));
    }
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for End {}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Does what is due at the dependency, and sleeps until something is due. One task for all calls: a task for each would cost
/// three allocations a call.
struct Timekeeper {
    sleep: Pin<Box<Sleep>>,
    shared: Rc<ServersShared>,
}

impl Future for Timekeeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let next = this.shared.settle();
            let mut state = this.shared.state.borrow_mut();
            if state.timekeeper.is_none() {
                state.timekeeper = Some(cx.waker().clone());
            }
            drop(state);
            this.sleep.as_mut().reset(next);
            if this.sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
