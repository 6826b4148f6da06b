//! The future that acquires a permit: at once, or after a wait in the queue.

use super::permit::SemaphorePermit;
use super::semaphore::{AcquireError, Semaphore};
use crate::sync::wait_queue::{self, Turn};
use crate::time::{Deadline, Sleep, Tick};
use pin_project_lite::pin_project;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// Acquires a permit. Dropping it leaves the queue.
    #[must_use = "futures do nothing unless awaited"]
    pub(crate) struct Acquire<P>
    where
        P: Deref<Target = Semaphore>,
    {
        semaphore: P,
        #[pin]
        stage: Stage<P>,
    }

    impl<P> PinnedDrop for Acquire<P>
    where
        P: Deref<Target = Semaphore>,
    {
        fn drop(this: Pin<&mut Self>) {
            if let Stage::Waiting { .. } = this.stage {
                this.semaphore.count_abandoned();
            }
        }
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<P>
    where
        P: Deref<Target = Semaphore>,
    {
        New,
        Waiting { waiter: wait_queue::Waiter<P>, since: Tick, deadline: Tick, #[pin] sleep: Option<Sleep> },
        Done,
    }
}

impl Semaphore {
    /// Acquires a permit, and waits for it as long as the settings and the caller's deadline say.
    pub(crate) fn acquire<P: Deref<Target = Self> + Clone>(this: P) -> Acquire<P> {
        Acquire {
            semaphore: this,
            stage: Stage::New,
        }
    }
}

impl<P> Future for Acquire<P>
where
    P: Deref<Target = Semaphore> + Clone,
{
    type Output = Result<SemaphorePermit<P>, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let StageProjection::New = this.stage.as_mut().project() {
            if let Some(late) = this.semaphore.refuse_late() {
                this.stage.set(Stage::Done);
                return Poll::Ready(Err(late));
            }
            if let Some(permit) = Semaphore::try_acquire_uncounted(this.semaphore.clone()) {
                return Poll::Ready(Ok(permit));
            }
            match Stage::join(this.semaphore.clone()) {
                Ok(stage) => this.stage.set(stage),
                Err(refused) => return Poll::Ready(Err(refused)),
            }
        }
        let StageProjection::Waiting {
            waiter,
            since,
            deadline,
            sleep,
        } = this.stage.as_mut().project()
        else {
            panic!("an acquisition was polled after it was over");
        };
        let mut turn = waiter.poll(cx);
        if turn != Turn::Granted {
            match sleep.as_pin_mut().map(|sleep| sleep.poll(cx)) {
                None | Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(())) => {
                    // An earlier waiter may not have taken the permit that it was granted.
                    waiter.settle();
                    turn = waiter.poll(cx);
                }
            }
        }
        // A permit that comes together with the end of the wait counts. One at or after the deadline does not.
        let result = if turn == Turn::Granted {
            let permit = SemaphorePermit::of_taken(this.semaphore.clone());
            if *deadline < Tick::MAX && this.semaphore.clock().now() >= *deadline {
                drop(permit);
                Err(this.semaphore.refuse_waited(*since))
            } else {
                this.semaphore.count_waited(*since);
                Ok(permit)
            }
        } else {
            Err(this.semaphore.refuse_waited(*since))
        };
        this.stage.set(Stage::Done);
        Poll::Ready(result)
    }
}

impl<P> Stage<P>
where
    P: Deref<Target = Semaphore> + Clone,
{
    /// Joins the queue, if it is not full.
    fn join(semaphore: P) -> Result<Self, AcquireError> {
        let max_queue = semaphore.max_queue() as usize;
        let waiter = wait_queue::Waiter::join(semaphore.clone(), 1, wait_queue::Kind::Present, |ahead| {
            if ahead.waiting < max_queue { Ok(()) } else { Err(()) }
        });
        let waiter = waiter.map_err(|()| semaphore.refuse_full())?;
        let clock = semaphore.clock();
        let since = clock.now();
        let own = semaphore.max_wait().map(|wait| since + wait);
        let callers = Deadline::current(clock).map(Deadline::tick);
        // `None` is no end, but is less than every tick, so it is left out before the two are compared.
        let end = own.into_iter().chain(callers).min();
        Ok(Self::Waiting {
            waiter,
            since,
            deadline: callers.unwrap_or(Tick::MAX),
            sleep: end.map(|end| clock.sleep_until(end)),
        })
    }
}
