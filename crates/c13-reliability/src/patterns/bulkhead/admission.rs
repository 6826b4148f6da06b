//! Coming in: at once, after a wait in line, or not at all.

use super::error::BulkheadRejected;
use super::permit::Permit;
use super::shared::{REJECTED, Shared, WAIT_ELAPSED};
use crate::sync::wait_queue::{Place, Turn};
use crate::time::{Deadline, Sleep, Tick};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets a call in at once or refuses it.
#[inline]
pub(super) fn try_enter(shared: &Shared) -> Result<Permit<'_>, BulkheadRejected> {
    if shared.enter() {
        Ok(Permit::new(shared))
    } else {
        Err(full(shared))
    }
}

#[cold]
fn full(shared: &Shared) -> BulkheadRejected {
    shared.counters.add(REJECTED, 1);
    BulkheadRejected::Full {
        max_concurrent: shared.word().limit(),
    }
}

pin_project! {
    /// A call that comes in, as a future. Dropping it gives up its place in line.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct Admission<'a> {
        shared: &'a Shared,
        #[pin]
        stage: Stage<'a>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<'a> {
        New,
        InLine { place: Place<&'a Shared>, since: Tick, #[pin] sleep: Option<Sleep> },
        Done,
    }
}

impl<'a> Admission<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            stage: Stage::New,
        }
    }
}

impl<'a> Future for Admission<'a> {
    type Output = Result<Permit<'a>, BulkheadRejected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let shared = *this.shared;
        if let StageProjection::New = this.stage.as_mut().project() {
            if shared.enter() {
                return Poll::Ready(Ok(Permit::new(shared)));
            }
            match Stage::in_line(shared) {
                Ok(stage) => this.stage.set(stage),
                Err(rejected) => return Poll::Ready(Err(rejected)),
            }
        }
        let StageProjection::InLine { place, since, sleep } = this.stage.as_mut().project() else {
            panic!("an admission was polled after it was over");
        };
        let waited = |until: Tick| until - *since;
        // A place that comes together with the end of the wait counts.
        let result = if place.poll(cx) == Turn::Granted {
            shared
                .waited
                .record(u64::try_from(waited(shared.clock.now()).as_nanos()).unwrap_or(u64::MAX));
            Ok(Permit::new(shared))
        } else {
            match sleep.as_pin_mut().map(|sleep| sleep.poll(cx)) {
                None | Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(())) => {
                    shared.counters.add(WAIT_ELAPSED, 1);
                    Err(BulkheadRejected::WaitElapsed {
                        waited: waited(shared.clock.now()),
                    })
                }
            }
        };
        this.stage.set(Stage::Done);
        Poll::Ready(result)
    }
}

impl<'a> Stage<'a> {
    /// Joins the line, if it is not too long.
    fn in_line(shared: &'a Shared) -> Result<Self, BulkheadRejected> {
        let max_queue = shared.max_queue();
        let room = |waiting: usize| if (waiting as u64) < max_queue { Ok(()) } else { Err(()) };
        let place = Place::join(shared, 1, |ahead| room(ahead.waiting)).map_err(|()| full(shared))?;
        let since = shared.clock.now();
        let own = shared.max_wait().map(|wait| since + wait);
        let callers = Deadline::current(&shared.clock).map(Deadline::tick);
        // `None` is no end, and is below every tick where two are compared, so it is left out first.
        let end = own.into_iter().chain(callers).min();
        Ok(Self::InLine {
            place,
            since,
            sleep: end.map(|end| shared.clock.sleep_until(end)),
        })
    }
}
