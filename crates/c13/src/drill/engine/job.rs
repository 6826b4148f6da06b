//! A call that the dependency has received, and the wait of its caller for the answer.

use super::dependency::Servers;
use super::end::CallEnd;
use c13_reliability::patterns::retry::Verdict;
use c13_reliability::sync::Random;
use std::cell::RefCell;
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
    /// The same, and it said that another attempt would fail too.
    Lasting,
    /// It died while it had the call.
    Lost,
    /// Its queue was full.
    Overloaded,
    /// It refused the call, and may have said when to come back.
    Refused { retry_after: Option<Duration> },
}

impl CallError {
    /// How a call ends that ends with this error.
    pub(super) fn end(self) -> CallEnd {
        match self {
            Self::Failed | Self::Lasting | Self::Lost => CallEnd::Failed,
            Self::Overloaded | Self::Refused { .. } => CallEnd::Refused,
        }
    }

    /// Whether a call that ended in this way is worth another attempt, as its client would be told.
    pub(super) fn verdict(result: &Result<(), Self>) -> Verdict {
        match result {
            Ok(()) | Err(Self::Lasting) => Verdict::Final,
            Err(Self::Refused {
                retry_after: Some(after),
            }) => Verdict::RetryAfter(*after),
            Err(_) => Verdict::Retry,
        }
    }
}

/// What a request is about. All its calls and attempts are about the same key, so that a fault of some keys meets all of them or
/// none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Key(u32);

impl Key {
    /// A key at random.
    pub(super) fn pick(random: &Random) -> Self {
        Self((random.next_u64() >> 32) as u32)
    }

    /// Whether it is among this share of the keys.
    pub(super) fn is_within(self, share: f64) -> bool {
        f64::from(self.0) < share * (f64::from(u32::MAX) + 1.0)
    }
}

/// A call that an instance of the dependency has received.
pub(super) struct Job {
    instance: u32,
    pub(super) key: Key,
    stage: RefCell<Stage>,
}

enum Stage {
    /// Its caller waits, as soon as it has been polled.
    Open { waiting: Option<Waker>, queued: bool },
    /// It has ended, and its caller is there.
    Ended(Result<(), CallError>),
    /// Its caller has left. One that is abandoned is of no use to the dependency either.
    Left { abandoned: bool },
}

impl Job {
    /// A call that this instance has just received.
    pub(super) fn new(instance: usize, key: Key) -> Self {
        let stage = RefCell::new(Stage::Open {
            waiting: None,
            queued: false,
        });
        Self {
            instance: instance as u32,
            key,
            stage,
        }
    }

    /// Which instance has it.
    pub(super) fn instance(&self) -> usize {
        self.instance as usize
    }

    /// Records that it is queued, or that it is not queued any more.
    pub(super) fn set_queued(&self, now: bool) {
        if let Stage::Open { queued, .. } = &mut *self.stage.borrow_mut() {
            *queued = now;
        }
    }

    /// Gives the caller its result. Returns whether the caller was still there.
    pub(super) fn end(&self, result: Result<(), CallError>) -> bool {
        let mut stage = self.stage.borrow_mut();
        let Stage::Open { waiting, .. } = &mut *stage else {
            return false;
        };
        let waiting = waiting.take();
        *stage = Stage::Ended(result);
        drop(stage);
        if let Some(waker) = waiting {
            waker.wake();
        }
        true
    }

    /// Whether its caller has left the queue with it.
    pub(super) fn is_abandoned(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Left { abandoned: true })
    }

    /// Records that its caller has left; `abandons` says whether a queued call leaves the queue with its caller. Returns
    /// whether it did so, and nothing if the call had ended before.
    pub(super) fn leave(&self, abandons: bool) -> Option<bool> {
        let mut stage = self.stage.borrow_mut();
        let Stage::Open { queued, .. } = *stage else {
            return None;
        };
        let abandoned = abandons && queued;
        *stage = Stage::Left { abandoned };
        Some(abandoned)
    }
}

/// Waits for the dependency's answer. When it is dropped before, the caller has left.
pub(super) struct Reply {
    pub(super) job: Rc<Job>,
    pub(super) servers: Servers,
}

impl Future for Reply {
    type Output = Result<(), CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self.job.stage.borrow_mut() {
            Stage::Ended(result) => Poll::Ready(*result),
            Stage::Open { waiting, .. } => {
                *waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            // Only dropping this future makes its caller leave.
            Stage::Left { .. } => Poll::Pending,
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.servers.left(&self.job);
    }
}
