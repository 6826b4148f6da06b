//! A wait that ends exactly when its own clock says so, on whatever timer that clock has.

use super::clock::Source;
use super::thread_timer::ThreadTimer;
use super::{Clock, Tick};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, ready};
use std::thread::Thread;
#[cfg(target_os = "linux")]
use std::time::Duration;

#[cfg(any(test, feature = "test-util"))]
use super::virtual_time::VirtualTimer;
#[cfg(feature = "tokio")]
use tokio::time::Sleep as TokioTimer;

// A timer that this build does not have is a future that is never made: the projection below cannot leave a
// variant out.
#[cfg(not(feature = "tokio"))]
type TokioTimer = std::future::Pending<()>;
#[cfg(not(any(test, feature = "test-util")))]
type VirtualTimer = std::future::Pending<()>;

pin_project! {
    /// A wait until a point in time of one clock; made by [`Clock::sleep`].
    ///
    /// It never ends early by its own clock: where the timer underneath is early, it waits on. Nothing is registered
    /// before the first poll.
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives up the wait and frees its timer.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Sleep {
        clock: Clock,
        deadline: Tick,
        #[pin]
        timer: Timer,
    }
}

pin_project! {
    /// The timer underneath, registered at the first poll.
    #[project = TimerProjection]
    enum Timer {
        Idle,
        Thread { #[pin] timer: ThreadTimer },
        Tokio { #[pin] timer: TokioTimer },
        Virtual { #[pin] timer: VirtualTimer },
    }
}

impl Sleep {
    pub(super) fn new(clock: Clock, deadline: Tick) -> Self {
        Self {
            clock,
            deadline,
            timer: Timer::Idle,
        }
    }

    /// When the wait ends.
    #[must_use]
    pub fn deadline(&self) -> Tick {
        self.deadline
    }

    /// Moves the end of the wait; the timer is registered anew at the next poll.
    pub fn reset(self: Pin<&mut Self>, deadline: Tick) {
        let mut this = self.project();
        *this.deadline = deadline;
        this.timer.set(Timer::Idle);
    }
}

impl Sleep {
    /// Waits on this thread, which blocks meanwhile: for code that is not a future. Never inside an async runtime, whose
    /// tasks would stand still.
    ///
    /// On a virtual clock another thread has to turn it.
    pub fn block(mut self) {
        struct Unpark(Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        // A runtime's timer may stand still as long as this thread does.
        if let Source::System(system) = &mut self.clock.source {
            system.own_timer = true;
        }
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut cx = Context::from_waker(&waker);
        let mut sleep = pin!(self);
        while sleep.as_mut().poll(&mut cx).is_pending() {
            std::thread::park();
        }
    }
}

/// How long a wait by the clock since boot leaves that clock unread: the timers stand still during a suspend.
#[cfg(target_os = "linux")]
const LONGEST_BLIND_WAIT: Duration = Duration::from_secs(1);

impl Timer {
    fn arm(clock: &Clock, now: Tick, deadline: Tick) -> Self {
        match &clock.source {
            #[cfg(feature = "tokio")]
            Source::Tokio(_) => Self::tokio(now, deadline),
            #[cfg(all(feature = "tokio", target_os = "linux"))]
            Source::SinceBoot if tokio::runtime::Handle::try_current().is_ok() => {
                Self::tokio(now, deadline.min(now + LONGEST_BLIND_WAIT))
            }
            #[cfg(target_os = "linux")]
            Source::SinceBoot => Self::Thread {
                timer: ThreadTimer::after((deadline - now).min(LONGEST_BLIND_WAIT)),
            },
            #[cfg(feature = "tokio")]
            Source::System(system) if !system.own_timer && tokio::runtime::Handle::try_current().is_ok() => {
                Self::tokio(now, deadline)
            }
            Source::System(_) => Self::Thread {
                timer: ThreadTimer::after(deadline - now),
            },
            #[cfg(any(test, feature = "test-util"))]
            Source::Virtual(time) => Self::Virtual {
                timer: VirtualTimer::new(time.clone(), deadline),
            },
        }
    }

    #[cfg(feature = "tokio")]
    fn tokio(now: Tick, deadline: Tick) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the clock waits on tokio's timer"
        )]
        Self::Tokio {
            timer: tokio::time::sleep(deadline - now),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            match this.timer.as_mut().project() {
                // The far end of time never comes, and needs no timer to say so.
                TimerProjection::Idle if *this.deadline == Tick::MAX => return Poll::Pending,
                TimerProjection::Idle => {
                    let now = this.clock.now();
                    if now >= *this.deadline {
                        return Poll::Ready(());
                    }
                    let timer = Timer::arm(this.clock, now, *this.deadline);
                    this.timer.set(timer);
                    continue;
                }
                TimerProjection::Thread { timer } => ready!(timer.poll(cx)),
                TimerProjection::Tokio { timer } => ready!(timer.poll(cx)),
                TimerProjection::Virtual { timer } => ready!(timer.poll(cx)),
            }
            // The timer underneath is over; whether the wait is, the clock says.
            this.timer.set(Timer::Idle);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
