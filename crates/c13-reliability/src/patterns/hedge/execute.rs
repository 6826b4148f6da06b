//! The future that races attempts.

use super::HedgeError;
use super::handle::{Hedge, Settings};
use super::snapshot::HedgeCount;
use super::state::{HedgeState, Next};
use crate::gate::{cut_short, losers};
use crate::time::{Deadline, Sleep, Tick};
use arc_swap::Guard;
use pin_project_lite::pin_project;
use std::borrow::Borrow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What makes the attempts of a call: a closure, or a service and a request.
pub(super) trait Make {
    /// One attempt.
    type Attempt: Future;

    fn make(&mut self) -> Self::Attempt;
}

impl<F, Fut> Make for F
where
    F: FnMut() -> Fut,
    Fut: Future,
{
    type Attempt = Fut;

    fn make(&mut self) -> Fut {
        self()
    }
}

/// What an attempt gives.
type Given<M> = <<M as Make>::Attempt as Future>::Output;

pin_project! {
    /// The first attempt lies in the future itself; each hedge that is really made has an allocation of its own.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct Execute<H, M, A>
    where
        H: Borrow<Hedge>,
        M: Make,
    {
        make: M,
        accept: A,
        race: Race<H>,
        #[pin]
        primary: Option<M::Attempt>,
        hedges: Vec<Pin<Box<M::Attempt>>>,
        // What the first attempt gave, if it was not good.
        first: Option<Given<M>>,
        #[pin]
        timer: Option<Sleep>,
    }
}

/// The call apart from its futures; dropped with them or after them, it counts what was abandoned.
struct Race<H: Borrow<Hedge>> {
    hedge: H,
    settings: Guard<Arc<Settings>>,
    state: HedgeState,
    began: Option<Tick>,
    is_new: bool,
    primary_runs: bool,
    hedges_run: u64,
    /// Whether any hedge was started.
    hedged: bool,
    is_over: bool,
}

impl<H: Borrow<Hedge>> Race<H> {
    fn new(hedge: H) -> Self {
        let settings = hedge.borrow().settings();
        Self {
            hedge,
            state: HedgeState::new(settings.max_extra()),
            settings,
            began: None,
            is_new: true,
            primary_runs: false,
            hedges_run: 0,
            hedged: false,
            is_over: false,
        }
    }

    fn hedge(&self) -> &Hedge {
        self.hedge.borrow()
    }

    /// Whether the delay since the last start is over.
    fn poll_delay(&self, mut timer: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> Next {
        if timer.is_none() {
            match self.settings.delay() {
                None => return Next::Wait,
                Some(Duration::ZERO) => return self.state.delay_over(),
                Some(delay) => timer.set(Some(self.hedge().clock().sleep(delay))),
            }
        }
        match timer.as_pin_mut().map(|timer| timer.poll(cx)) {
            Some(Poll::Ready(())) => self.state.delay_over(),
            Some(Poll::Pending) | None => Next::Wait,
        }
    }

    /// Whether another attempt, which is wanted, may be started.
    fn may_start(&self) -> bool {
        if Deadline::is_over(self.hedge().clock()) {
            return false;
        }
        let granted = self.settings.grants();
        self.hedge().count(HedgeCount::BudgetExhausted, u64::from(!granted));
        granted
    }

    fn started(&mut self) {
        self.state.started();
        self.hedged = true;
        self.hedges_run += 1;
        self.hedge().count(HedgeCount::Hedge, 1);
    }

    fn primary_won(&mut self, is_ok: bool) {
        if is_ok {
            self.measure();
        }
        self.over(if self.hedged {
            HedgeCount::PrimaryWin
        } else {
            HedgeCount::FirstWin
        });
    }

    fn measure(&self) {
        self.settings.measure(self.hedge().clock(), self.began);
    }

    /// Refuses the call because the caller's deadline has passed; no attempt begins.
    #[cold]
    fn refuse_late<T, E>(&mut self) -> Result<T, HedgeError<E>> {
        cut_short::report();
        self.is_new = false;
        self.over(HedgeCount::Failure);
        Err(HedgeError::DeadlinePassed)
    }

    /// Counts how the call ended.
    fn over(&mut self, how: HedgeCount) {
        self.is_over = true;
        self.hedge().count(how, 1);
    }
}

impl<H: Borrow<Hedge>> Drop for Race<H> {
    fn drop(&mut self) {
        if self.hedged && self.primary_runs && self.is_over {
            // It took at least this long. Left out, the slow calls that hedges win would make the measured delay sink. A call
            // that its caller gave up says only how long that caller had.
            self.measure();
        }
        self.hedge().count(
            HedgeCount::AttemptAbandoned,
            self.hedges_run + u64::from(self.primary_runs),
        );
        if !self.is_new && !self.is_over {
            self.hedge().count(HedgeCount::CallAbandoned, 1);
        }
    }
}

impl<H: Borrow<Hedge>, M: Make, A> Execute<H, M, A> {
    pub(super) fn new(hedge: H, make: M, accept: A) -> Self {
        Self {
            make,
            accept,
            race: Race::new(hedge),
            primary: None,
            hedges: Vec::new(),
            first: None,
            timer: None,
        }
    }
}

impl<H, M, A, T, E> Future for Execute<H, M, A>
where
    H: Borrow<Hedge>,
    M: Make<Attempt: Future<Output = Result<T, E>>>,
    A: FnMut(&Result<T, E>) -> bool,
{
    type Output = Result<T, HedgeError<E>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.as_mut().project();
        if this.race.is_new {
            if Deadline::is_over(this.race.hedge().clock()) {
                return Poll::Ready(this.race.refuse_late());
            }
            this.race.is_new = false;
            this.race.began = this.race.settings.begin(this.race.hedge().clock());
            let primary = this.make.make();
            this.race.primary_runs = true;
            this.primary.set(Some(primary));
        }
        self.race(cx).map_err(HedgeError::CallFailed)
    }
}

impl<H, M, A, T, E> Execute<H, M, A>
where
    H: Borrow<Hedge>,
    M: Make<Attempt: Future<Output = Result<T, E>>>,
    A: FnMut(&Result<T, E>) -> bool,
{
    /// Polls all attempts, starts the next where one failed or the delay is over, and again until nothing moves.
    fn race(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let mut this = self.project();
        let race = this.race;
        loop {
            let mut next = Next::Wait;
            if let Some(primary) = this.primary.as_mut().as_pin_mut()
                && let Poll::Ready(result) = primary.poll(cx)
            {
                this.primary.set(None);
                race.primary_runs = false;
                if (this.accept)(&result) {
                    race.primary_won(result.is_ok());
                    losers::drop_by(|| this.hedges.clear());
                    return Poll::Ready(result);
                }
                *this.first = Some(result);
                next = race.state.failed();
            }
            let mut at = 0;
            while next == Next::Wait && at < this.hedges.len() {
                match this.hedges[at].as_mut().poll(cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(result) => {
                        drop(this.hedges.remove(at));
                        race.hedges_run -= 1;
                        if (this.accept)(&result) {
                            race.over(HedgeCount::HedgeWin);
                            losers::drop_by(|| {
                                this.primary.set(None);
                                this.hedges.clear();
                            });
                            return Poll::Ready(result);
                        }
                        next = race.state.failed();
                    }
                }
            }
            if next == Next::Wait && race.state.may_start() {
                next = race.poll_delay(this.timer.as_mut(), cx);
            }
            match next {
                Next::Wait => return Poll::Pending,
                Next::Start if race.may_start() => {
                    this.timer.set(None);
                    race.started();
                    this.hedges.push(Box::pin(this.make.make()));
                }
                // Some attempts may not have been polled yet; now that none is wanted any more, they are.
                Next::Start if race.state.refused() == Next::Wait => {}
                Next::Start | Next::Over => {
                    race.over(HedgeCount::Failure);
                    let first = this.first.take();
                    return Poll::Ready(first.expect("a call is over only after its first attempt has failed"));
                }
            }
        }
    }
}
