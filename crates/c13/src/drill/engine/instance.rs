//! One instance of the dependency: how many of its servers are busy, and which calls wait for one.

use super::fault::Condition;
use super::job::Job;
use crate::drill::scenario::QueueOrder;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// The state of an instance.
pub(super) struct Instance {
    /// Servers that work on a call or on a refusal.
    pub(super) busy: usize,
    /// Calls whose callers wait for an answer, wherever the calls are.
    pub(super) connections: usize,
    /// Refusals that a server has still to work on.
    pub(super) refusals: u64,
    /// Grows with each crash: work that was begun before it is lost.
    pub(super) generation: u32,
    /// Its condition, and until when it is that.
    pub(super) condition: Condition,
    pub(super) until: Duration,
    queue: VecDeque<Rc<Job>>,
    /// Calls in the queue that have left it with their callers. They are taken out when they come up, or when half of the
    /// queue is such calls.
    abandoned: usize,
}

/// A queue of fewer abandoned calls is not worth going through.
const FEW: usize = 32;

impl Instance {
    /// An idle instance.
    pub(super) fn new(condition: Condition, until: Duration) -> Self {
        Self {
            busy: 0,
            connections: 0,
            refusals: 0,
            generation: 0,
            condition,
            until,
            queue: VecDeque::new(),
            abandoned: 0,
        }
    }

    /// Calls that wait for a server.
    pub(super) fn queued(&self) -> usize {
        self.queue.len() - self.abandoned
    }

    /// Queues a call.
    pub(super) fn push(&mut self, job: Rc<Job>) {
        job.set_queued(true);
        self.queue.push_back(job);
    }

    /// Takes the next call from the queue.
    pub(super) fn pop(&mut self, order: QueueOrder) -> Option<Rc<Job>> {
        loop {
            let job = match order {
                QueueOrder::Fifo => self.queue.pop_front(),
                QueueOrder::Lifo => self.queue.pop_back(),
            }?;
            if !job.is_abandoned() {
                job.set_queued(false);
                return Some(job);
            }
            self.abandoned -= 1;
        }
    }

    /// Records that a queued call has left the queue with its caller.
    pub(super) fn abandon_one(&mut self) {
        self.abandoned += 1;
        if self.abandoned > FEW && 2 * self.abandoned > self.queue.len() {
            self.queue.retain(|job| !job.is_abandoned());
            self.abandoned = 0;
        }
    }

    /// Loses everything that it has. Returns the calls that were queued.
    pub(super) fn crash(&mut self) -> VecDeque<Rc<Job>> {
        self.generation += 1;
        self.busy = 0;
        self.refusals = 0;
        self.abandoned = 0;
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::engine::job::Key;
    use crate::drill::scenario::Dependency;

    #[test]
    fn calls_that_leave_with_their_callers_neither_take_room_nor_come_up() {
        for order in [QueueOrder::Fifo, QueueOrder::Lifo] {
            let (condition, until) = Condition::at(&Dependency::of_servers(1), &[], 0, Duration::ZERO);
            let mut instance = Instance::new(condition, until);
            let jobs: Vec<Rc<Job>> = (0..1_000).map(|_| Rc::new(Job::new(0, Key::default()))).collect();
            jobs.iter().for_each(|job| instance.push(job.clone()));
            let leaves = |number: &usize| number % 10 != 3;
            for number in (0..1_000).filter(leaves) {
                assert_eq!(jobs[number].leave(true), Some(true));
                instance.abandon_one();
            }
            assert_eq!(instance.queued(), 100);
            assert!(instance.queue.len() <= 200 + FEW, "{}", instance.queue.len());
            let mut stay: Vec<usize> = (0..1_000).filter(|number| !leaves(number)).collect();
            if order == QueueOrder::Lifo {
                stay.reverse();
            }
            for number in stay {
                let next = instance.pop(order).expect("a hundred stay");
                assert!(Rc::ptr_eq(&next, &jobs[number]), "{order:?} {number}");
            }
            assert!(instance.pop(order).is_none());
            assert_eq!(instance.queued(), 0);
        }
    }
}
