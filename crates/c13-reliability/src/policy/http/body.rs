//! A body that holds the permits of its call to its end, within time limits.

use crate::gate::{Outcome, Permit as _};
use crate::policy::CallPermit;
use crate::time::{Clock, Sleep, Tick};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long a body may take. The limits hold while the body is waited for: neither a reader that is slow nor a body that is
/// not read runs into them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyLimits {
    /// How long the next part of the body may be waited for.
    pub idle: Option<Duration>,
    /// How long the body may take in all, from the response on.
    pub total: Option<Duration>,
}

impl BodyLimits {
    /// No limits.
    pub const NONE: Self = Self {
        idle: None,
        total: None,
    };
}

/// A body that was waited for too long. It is the inner error of an [`io::Error`] of the kind [`TimedOut`](io::ErrorKind).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyTimeout {
    /// The limit that was passed.
    pub limit: Duration,
    /// Whether it is the limit of one wait; otherwise it is that of the whole body.
    pub is_idle: bool,
}

impl fmt::Display for BodyTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit;
        if self.is_idle {
            write!(f, "no part of the body arrived within {limit:?}")
        } else {
            write!(f, "the body did not end within {limit:?}")
        }
    }
}

impl Error for BodyTimeout {}

/// Why a body broke off: the client's or server's own error, or [`BodyTimeout`].
type BoxError = Box<dyn Error + Send + Sync>;

/// A [probe](CallPermit::is_probe) whose body takes longer than this has succeeded: otherwise the circuit would take a long
/// download, or a stream of events, for a probe that hangs.
const PROBE: Duration = Duration::from_secs(1);

pin_project! {
    /// A body that holds the permits of its call.
    ///
    /// | the body | to breaker and adaptive limit |
    /// |---|---|
    /// | comes to its end | a success, or what its trailers, or the lack of them, mean |
    /// | breaks off, or runs into a time limit | a failure |
    /// | is dropped while it was waited for | abandoned |
    /// | is dropped otherwise, read in part or not at all | a success, as its response was |
    ///
    /// Permits are released at the same moment. A probe of a half-open circuit has succeeded when its body is under way for
    /// a second.
    pub struct PermitBody<B> {
        // Dropped first: until it is gone the call runs. None once it broke off or was cut off.
        #[pin]
        body: Option<B>,
        #[pin]
        timer: Option<Sleep>,
        held: HeldPermit,
        limits: Limits,
        classify: fn(Option<&HeaderMap>) -> Outcome,
    }
}

impl<B: Body> PermitBody<B> {
    /// Holds `permit` until `body` ends. A body without content ends at once.
    #[must_use]
    pub fn new(body: B, permit: CallPermit, limits: BodyLimits, clock: Clock) -> Self {
        Self::classified(body, permit, limits, clock, |_| Outcome::Success)
    }

    /// The same; `classify` says what trailers mean, and what a body means that came to its end without any.
    #[must_use]
    pub fn classified(
        body: B,
        permit: CallPermit,
        limits: BodyLimits,
        clock: Clock,
        classify: fn(Option<&HeaderMap>) -> Outcome,
    ) -> Self {
        let mut held = HeldPermit {
            settles: permit.is_probe(),
            permit: Some(permit),
            reading: Reading::Paused,
        };
        if body.is_end_stream() {
            held.end(classify(None));
        }
        let limits = Limits::new(limits, clock, held.settles);
        Self {
            body: Some(body),
            timer: None,
            held,
            limits,
            classify,
        }
    }
}

impl<B> Body for PermitBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let held = this.held;
        let before = held.polls();
        let Poll::Ready(frame) = body.poll_frame(cx) else {
            held.reading = Reading::Waits;
            if before != Reading::Waits {
                this.limits.begin_wait();
            }
            let late = ready!(this.limits.poll(this.timer, held, cx));
            held.end(Outcome::FAILURE);
            this.body.set(None);
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, late).into())));
        };
        held.reading = Reading::Paused;
        match frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    held.end((this.classify)(Some(trailers)));
                } else if this.body.as_pin_mut().is_some_and(|body| body.is_end_stream()) {
                    held.end((this.classify)(None));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                held.end(Outcome::FAILURE);
                this.body.set(None);
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                held.end((this.classify)(None));
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> fmt::Debug for PermitBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitBody").finish_non_exhaustive()
    }
}

/// What the reader of a body does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It has what there was.
    Paused,
    /// It waits for more.
    Waits,
    /// The body is being polled. Dropped then, it has panicked.
    Polls,
}

/// The permit, until the outcome of the body is known.
struct HeldPermit {
    permit: Option<CallPermit>,
    reading: Reading,
    /// Whether the circuit breaker waits for this outcome.
    settles: bool,
}

impl HeldPermit {
    /// A poll begins. Returns what the reader did before.
    fn polls(&mut self) -> Reading {
        std::mem::replace(&mut self.reading, Reading::Polls)
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            permit.record(outcome);
        }
    }

    /// The body is under way for long enough: a probe has succeeded.
    fn settle(&mut self) {
        self.settles = false;
        if let Some(permit) = &mut self.permit {
            permit.settle(Outcome::Success);
        }
    }
}

impl Drop for HeldPermit {
    fn drop(&mut self) {
        self.end(match self.reading {
            Reading::Paused => Outcome::Success,
            Reading::Waits => Outcome::Abandoned,
            Reading::Polls => Outcome::FAILURE,
        });
    }
}

/// The limits of one body, and when they pass.
struct Limits {
    clock: Clock,
    limits: BodyLimits,
    total_at: Tick,
    /// When the wait that goes on becomes too long.
    idle_at: Tick,
    settle_at: Tick,
}

impl Limits {
    fn new(limits: BodyLimits, clock: Clock, settles: bool) -> Self {
        let from_now = |limit: Option<Duration>| limit.map_or(Tick::MAX, |limit| clock.now() + limit);
        Self {
            total_at: from_now(limits.total),
            idle_at: Tick::MAX,
            settle_at: from_now(settles.then_some(PROBE)),
            clock,
            limits,
        }
    }

    fn begin_wait(&mut self) {
        if let Some(idle) = self.limits.idle {
            self.idle_at = self.clock.now() + idle;
        }
    }

    /// Pending until a limit passes. One timer serves all of them; a wait that begins only moves `idle_at`, and the timer
    /// finds that when it fires.
    fn poll(
        &self,
        mut timer: Pin<&mut Option<Sleep>>,
        held: &mut HeldPermit,
        cx: &mut Context<'_>,
    ) -> Poll<BodyTimeout> {
        loop {
            let settle_at = if held.settles { self.settle_at } else { Tick::MAX };
            let first = self.total_at.min(self.idle_at).min(settle_at);
            if first == Tick::MAX {
                return Poll::Pending;
            }
            match timer.as_mut().as_pin_mut() {
                Some(timer) if timer.deadline() > first => timer.reset(first),
                Some(_) => {}
                None => timer.set(Some(self.clock.sleep_until(first))),
            }
            let sleep = timer.as_mut().as_pin_mut().expect("it was set above");
            ready!(sleep.poll(cx));
            timer.set(None);
            let now = self.clock.now();
            if now >= settle_at {
                held.settle();
            }
            for (at, limit, is_idle) in [
                (self.total_at, self.limits.total, false),
                (self.idle_at, self.limits.idle, true),
            ] {
                if let Some(limit) = limit.filter(|_| now >= at) {
                    return Poll::Ready(BodyTimeout { limit, is_idle });
                }
            }
        }
    }
}
