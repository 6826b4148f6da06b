//! A child and where it runs: as a task of tokio's, in the supervisor's own task, or on a thread.

use super::mailbox::{ChildWaker, Ended, Life, Mailbox};
use super::snapshot::Exit;
use crate::realtime::panic_message::panic_message;
use crate::realtime::stop::{StopSignal, StopSource};
use std::any::Any;
use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

/// What a child returns.
pub type ChildResult = Result<(), Box<dyn Error + Send + Sync>>;

type BoxFuture = Pin<Box<dyn Future<Output = ChildResult> + Send>>;

/// How a child is started, each time anew.
pub(super) enum Recipe {
    Task(Box<dyn FnMut(StopSignal) -> BoxFuture + Send>),
    Thread(Arc<dyn Fn(StopSignal) -> ChildResult + Send + Sync>),
}

/// A child that runs. Dropping it asks it to stop, and ends it where that is possible.
pub(super) struct Running {
    pub(super) life: Life,
    stop: StopSource,
    home: Home,
}

enum Home {
    /// In the supervisor's own task.
    Here {
        task: Watched,
        waker: Waker,
    },
    #[cfg(feature = "tokio")]
    Tokio(tokio::task::AbortHandle),
    Thread,
}

impl Running {
    /// Starts a child. What it does from now on goes to the mailbox, even a failure to start.
    pub(super) fn start(recipe: &mut Recipe, name: &str, life: Life, mailbox: &Arc<Mailbox>) -> Self {
        let stop = StopSource::new();
        let home = match recipe {
            Recipe::Task(make) => Home::of(Watched::new(make, stop.signal(), life, mailbox), life, mailbox),
            Recipe::Thread(body) => {
                spawn(name, body.clone(), stop.signal(), life, mailbox);
                Home::Thread
            }
        };
        Self { life, stop, home }
    }

    pub(super) fn ask_to_stop(&self) {
        self.stop.stop();
    }

    /// Polls it, if this is where it runs.
    pub(super) fn poll(&mut self) {
        if let Home::Here { task, waker } = &mut self.home {
            // Its end is in the mailbox.
            let _ = Pin::new(task).poll(&mut Context::from_waker(waker));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        #[cfg(feature = "tokio")]
        if let Home::Tokio(handle) = &self.home {
            handle.abort();
        }
    }
}

impl Home {
    fn of(task: Watched, life: Life, mailbox: &Arc<Mailbox>) -> Self {
        #[cfg(feature = "tokio")]
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            return Self::Tokio(runtime.spawn(task).abort_handle());
        }
        mailbox.ready(life);
        let waker = ChildWaker {
            mailbox: mailbox.clone(),
            life,
        };
        Self::Here {
            task,
            waker: Arc::new(waker).into(),
        }
    }
}

/// A child's future, whose end, panic or disappearance goes to the mailbox.
struct Watched {
    /// `None` once it is over.
    future: Option<BoxFuture>,
    life: Life,
    mailbox: Arc<Mailbox>,
}

impl Watched {
    fn new(
        make: &mut (dyn FnMut(StopSignal) -> BoxFuture + Send),
        signal: StopSignal,
        life: Life,
        mailbox: &Arc<Mailbox>,
    ) -> Self {
        let mut watched = Self {
            future: None,
            life,
            mailbox: mailbox.clone(),
        };
        match catch_unwind(AssertUnwindSafe(|| make(signal))) {
            Ok(future) => watched.future = Some(future),
            Err(panic) => watched.over(Err(panic)),
        }
        watched
    }

    fn over(&mut self, end: Result<ChildResult, Box<dyn Any + Send>>) {
        // The future goes first: what it holds is free before anything is started again.
        let future = self.future.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        self.mailbox
            .ended(ended(self.life, end.and_then(|end| dropped.map(|()| end))));
    }
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else {
            return Poll::Ready(());
        };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => self.over(Ok(result)),
            Err(panic) => self.over(Err(panic)),
        }
        Poll::Ready(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.future.is_some() {
            let gone: ChildResult = Err("dropped by its runtime".into());
            self.over(Ok(gone));
        }
    }
}

fn spawn(
    name: &str,
    body: Arc<dyn Fn(StopSignal) -> ChildResult + Send + Sync>,
    signal: StopSignal,
    life: Life,
    mailbox: &Arc<Mailbox>,
) {
    let shared = mailbox.clone();
    let run = move || {
        let end = catch_unwind(AssertUnwindSafe(|| body(signal)));
        drop(body);
        shared.ended(ended(life, end));
    };
    if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(run) {
        let failed: ChildResult = Err(format!("cannot start a thread: {error}").into());
        mailbox.ended(ended(life, Ok(failed)));
    }
}

fn ended(life: Life, end: Result<ChildResult, Box<dyn Any + Send>>) -> Ended {
    let (exit, message) = match end {
        Ok(Ok(())) => (Exit::Done, String::new()),
        Ok(Err(error)) => (Exit::Failed, error.to_string()),
        Err(panic) => (Exit::Panicked, panic_message(&*panic)),
    };
    Ended { life, exit, message }
}
