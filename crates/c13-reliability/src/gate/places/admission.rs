//! Coming in: at once, after a wait in line, or not at all.

use super::place::Place;
use super::shared::Places;
use crate::sync::wait_queue::{self, Turn};
use crate::time::{Deadline, Sleep, Tick};
use pin_project_lite::pin_project;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Why a call may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// As many calls run as may, and as many are in line as may.
    Full { limit: u32 },
    /// The call was in line for as long as it may, or until its deadline.
    WaitElapsed { waited: Duration },
    /// The call's deadline had passed before it asked.
    DeadlinePassed,
}

pin_project! {
    /// A call that comes in, as a future. Dropping it gives up its place in line.
    #[must_use = "futures do nothing unless awaited"]
    pub(crate) struct Admission<P>
    where
        P: Deref<Target = Places>,
    {
        places: P,
        #[pin]
        stage: Stage<P>,
    }

    impl<P> PinnedDrop for Admission<P>
    where
        P: Deref<Target = Places>,
    {
        fn drop(this: Pin<&mut Self>) {
            if let Stage::InLine { .. } = this.stage {
                this.places.left_line();
            }
        }
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<P>
    where
        P: Deref<Target = Places>,
    {
        New,
        InLine { place: wait_queue::Waiter<P>, since: Tick, deadline: Tick, #[pin] sleep: Option<Sleep> },
        Done,
    }
}

impl<P> Admission<P>
where
    P: Deref<Target = Places> + Clone,
{
    pub(super) fn new(places: P) -> Self {
        Self {
            places,
            stage: Stage::New,
        }
    }
}

impl<P> Future for Admission<P>
where
    P: Deref<Target = Places> + Clone,
{
    type Output = Result<Place<P>, NoPlace>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let StageProjection::New = this.stage.as_mut().project() {
            if let Some(late) = this.places.late() {
                this.stage.set(Stage::Done);
                return Poll::Ready(Err(late));
            }
            if let Some(place) = Places::enter(this.places.clone()) {
                return Poll::Ready(Ok(place));
            }
            match Stage::in_line(this.places.clone()) {
                Ok(stage) => this.stage.set(stage),
                Err(refused) => return Poll::Ready(Err(refused)),
            }
        }
        let StageProjection::InLine {
            place,
            since,
            deadline,
            sleep,
        } = this.stage.as_mut().project()
        else {
            panic!("an admission was polled after it was over");
        };
        let mut turn = place.poll(cx);
        if turn != Turn::Granted {
            match sleep.as_pin_mut().map(|sleep| sleep.poll(cx)) {
                None | Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(())) => {
                    // A call that was served before it may not have come for its place.
                    place.settle();
                    turn = place.poll(cx);
                }
            }
        }
        // A place that comes together with the end of the wait counts, and one that comes at the deadline or after it does not.
        let result = if turn == Turn::Granted {
            let place = Place::new(this.places.clone());
            if *deadline < Tick::MAX && this.places.clock().now() >= *deadline {
                drop(place);
                Err(this.places.wait_elapsed(*since))
            } else {
                this.places.got_in(*since);
                Ok(place)
            }
        } else {
            Err(this.places.wait_elapsed(*since))
        };
        this.stage.set(Stage::Done);
        Poll::Ready(result)
    }
}

impl<P> Stage<P>
where
    P: Deref<Target = Places> + Clone,
{
    /// Joins the line, if it is not too long.
    fn in_line(places: P) -> Result<Self, NoPlace> {
        let max_queue = places.max_queue() as usize;
        let place = wait_queue::Waiter::join(places.clone(), 1, wait_queue::Kind::Present, |ahead| {
            if ahead.waiting < max_queue { Ok(()) } else { Err(()) }
        });
        let place = place.map_err(|()| places.refused())?;
        let clock = places.clock();
        let since = clock.now();
        let own = places.max_wait().map(|wait| since + wait);
        let callers = Deadline::current(clock).map(Deadline::tick);
        // `None` is no end, and is below every tick where two are compared, so it is left out first.
        let end = own.into_iter().chain(callers).min();
        Ok(Self::InLine {
            place,
            since,
            deadline: callers.unwrap_or(Tick::MAX),
            sleep: end.map(|end| clock.sleep_until(end)),
        })
    }
}
