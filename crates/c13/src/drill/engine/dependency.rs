//! The simulated dependency: servers, a queue before them, and slowness that grows with the queue.

use super::end::CallEnd;
use super::fault::Condition;
use super::latency;
use crate::drill::scenario::{Dependency, Fault, OutageMode, QueueOrder};
use c13_reliability::sync::Random;
use c13_reliability::time::{Clock, Spawner, Tick};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Why a call to the dependency failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// It worked on the call and failed.
    Failed,
    /// Its queue was full.
    Overloaded,
    /// An outage refused the call.
    Refused,
}

impl CallError {
    /// How a call ends that ends with this error.
    pub(super) fn end(self) -> CallEnd {
        match self {
            Self::Failed => CallEnd::Failed,
            Self::Overloaded | Self::Refused => CallEnd::Refused,
        }
    }
}

/// The dependency, as the calls see it. Clones are the same dependency.
#[derive(Clone)]
pub(super) struct Servers {
    shared: Rc<ServersShared>,
}

struct ServersShared {
    settings: Dependency,
    faults: Vec<Fault>,
    clock: Clock,
    spawner: Spawner,
    random: Random,
    state: RefCell<ServersState>,
}

#[derive(Default)]
struct ServersState {
    busy: usize,
    queue: VecDeque<Rc<Job>>,
    /// Calls that reached it, by the second of their arrival.
    offered: Vec<u32>,
    condition: Option<(Tick, Condition)>,
}

/// A call that the dependency has received.
#[derive(Default)]
struct Job {
    answer: RefCell<JobAnswer>,
}

#[derive(Default)]
struct JobAnswer {
    result: Option<Result<(), CallError>>,
    waiting: Option<Waker>,
    /// Whether the caller has gone.
    left: bool,
}

impl Servers {
    pub(super) fn new(settings: &Dependency, faults: &[Fault], clock: Clock, spawner: Spawner, random: Random) -> Self {
        let shared = ServersShared {
            settings: settings.clone(),
            faults: faults.to_vec(),
            clock,
            spawner,
            random,
            state: RefCell::default(),
        };
        Self {
            shared: Rc::new(shared),
        }
    }

    /// Sends one call. The dependency works on it whether or not the caller goes on waiting.
    pub(super) fn call(&self) -> Reply {
        let shared = &self.shared;
        let now = shared.clock.now();
        let condition = shared.condition(now);
        let second = (now - Tick::ZERO).as_secs() as usize;
        let mut state = shared.state.borrow_mut();
        if state.offered.len() <= second {
            state.offered.resize(second + 1, 0);
        }
        state.offered[second] += 1;
        let job = Rc::new(Job::default());
        match condition.outage {
            Some(OutageMode::Refuse) => job.finish(Err(CallError::Refused)),
            Some(OutageMode::Blackhole) => {}
            None if state.busy < condition.servers => {
                state.busy += 1;
                shared.start(job.clone(), &condition, state.queue.len());
            }
            None if state.queue.len() < shared.capacity() => state.queue.push_back(job.clone()),
            None => job.finish(Err(CallError::Overloaded)),
        }
        Reply { job }
    }

    /// The calls that reached it, by the second in which they did.
    pub(super) fn offered(&self) -> Vec<u32> {
        self.shared.state.borrow().offered.clone()
    }
}

impl ServersShared {
    /// The condition at `now`; computed at most once an instant.
    fn condition(&self, now: Tick) -> Condition {
        let mut state = self.state.borrow_mut();
        match state.condition {
            Some((at, condition)) if at == now => condition,
            _ => {
                let condition = Condition::at(&self.settings, &self.faults, now - Tick::ZERO);
                state.condition = Some((now, condition));
                condition
            }
        }
    }

    /// The capacity of the queue.
    fn capacity(&self) -> usize {
        self.settings.queue.map_or(0, |queue| queue.capacity.get() as usize)
    }

    /// Works on `job` with a server that was free, while `queued` others wait.
    fn start(self: &Rc<Self>, job: Rc<Job>, condition: &Condition, queued: usize) {
        let overload = self.settings.queue.map_or(1.0, |queue| queue.slowdown(queued as u32));
        let work = latency::sample(&self.settings.latency, &self.random, condition.slowdown * overload);
        let fails = self.random.unit() < condition.error_rate;
        let this = self.clone();
        self.spawner.spawn(async move {
            this.clock.sleep(work).await;
            job.finish(if fails { Err(CallError::Failed) } else { Ok(()) });
            this.state.borrow_mut().busy -= 1;
            this.serve();
        });
    }

    /// Gives queued calls to free servers.
    fn serve(self: &Rc<Self>) {
        let Some(queue) = self.settings.queue else { return };
        let condition = self.condition(self.clock.now());
        let mut state = self.state.borrow_mut();
        while state.busy < condition.servers {
            let next = match queue.order {
                QueueOrder::Fifo => state.queue.pop_front(),
                QueueOrder::Lifo => state.queue.pop_back(),
            };
            let Some(job) = next else { return };
            if queue.abandon && job.answer.borrow().left {
                continue;
            }
            state.busy += 1;
            self.start(job, &condition, state.queue.len());
        }
    }
}

impl Job {
    fn finish(&self, result: Result<(), CallError>) {
        let waiting = {
            let mut answer = self.answer.borrow_mut();
            answer.result = Some(result);
            answer.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// Waits for the dependency's answer. Dropping it marks the call as abandoned by its caller.
pub(super) struct Reply {
    job: Rc<Job>,
}

impl Future for Reply {
    type Output = Result<(), CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = self.job.answer.borrow_mut();
        match answer.result {
            Some(result) => Poll::Ready(result),
            None => {
                answer.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let mut answer = self.job.answer.borrow_mut();
        answer.left = true;
        answer.waiting = None;
    }
}

/// The most calls that reached the dependency within one second.
pub(super) fn peak(offered: &[u32], duration: Duration) -> f64 {
    offered
        .iter()
        .take(duration.as_secs().max(1) as usize)
        .copied()
        .max()
        .unwrap_or(0)
        .into()
}
