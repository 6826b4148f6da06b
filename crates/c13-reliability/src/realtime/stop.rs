//! A request to stop, for tasks and for threads.

use crate::sync::foreign;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Asks the holders of its [`StopSignal`]s to stop. Clones ask the same ones; asking twice changes nothing.
#[derive(Clone, Default)]
pub struct StopSource {
    shared: Arc<SharedStop>,
}

/// The request to stop, as a task or a thread receives it. Cheap to clone; clones receive the same request.
///
/// ```
/// use c13_reliability::realtime::StopSource;
/// use std::time::Duration;
///
/// let source = StopSource::new();
/// let signal = source.signal();
/// assert!(!signal.wait_timeout(Duration::from_millis(1)));
/// source.stop();
/// assert!(signal.is_stopped());
/// ```
#[derive(Clone)]
pub struct StopSignal {
    shared: Arc<SharedStop>,
}

#[derive(Default)]
struct SharedStop {
    /// Set once, under the lock of the waiters, so that none of them misses it. Read without the lock: a thread of
    /// real-time priority must not wait for a watchdog that was preempted while it held it.
    stopped: AtomicBool,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// The tasks that wait. Threads wait for the condition variable.
#[derive(Default)]
struct Waiting {
    wakers: Vec<(u64, Waker)>,
    next: u64,
}

impl SharedStop {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No user code runs under this lock, so a poisoned one still holds a whole value.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        // Acquire: a thread that sees the request sees what was done before it.
        self.stopped.load(Ordering::Acquire)
    }
}

impl StopSource {
    /// A source that has not asked for a stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The signal for a task or a thread.
    #[must_use]
    pub fn signal(&self) -> StopSignal {
        StopSignal {
            shared: self.shared.clone(),
        }
    }

    /// Asks to stop, once and for all.
    pub fn stop(&self) {
        let wakers = {
            let mut waiting = self.shared.lock();
            // Release: goes with the Acquire in `is_stopped`.
            self.shared.stopped.store(true, Ordering::Release);
            std::mem::take(&mut waiting.wakers)
        };
        self.shared.changed.notify_all();
        for (_, waker) in wakers {
            foreign::wake(waker);
        }
    }

    /// Whether it has asked for a stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }
}

impl StopSignal {
    /// Whether a stop was asked for: one load, which never waits.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }

    /// Ends when a stop is asked for: for tasks.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future removes it from the list of waiters.
    pub fn stopped(&self) -> Stopped {
        Stopped {
            shared: self.shared.clone(),
            place: None,
        }
    }

    /// Blocks the thread until a stop is asked for, at most for `limit`; says whether it was. For threads, in place of a
    /// sleep.
    #[must_use]
    pub fn wait_timeout(&self, limit: Duration) -> bool {
        let waiting = self.shared.lock();
        let wait = |_: &mut Waiting| !self.shared.is_stopped();
        drop(self.shared.changed.wait_timeout_while(waiting, limit, wait));
        self.shared.is_stopped()
    }

    /// Blocks the thread until a stop is asked for.
    pub fn wait(&self) {
        let waiting = self.shared.lock();
        drop(self.shared.changed.wait_while(waiting, |_| !self.shared.is_stopped()));
    }
}

/// A wait for a stop; made by [`StopSignal::stopped`].
#[must_use = "futures do nothing unless awaited"]
pub struct Stopped {
    shared: Arc<SharedStop>,
    place: Option<u64>,
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.shared.lock();
        if this.shared.is_stopped() {
            return Poll::Ready(());
        }
        let place = *this.place.get_or_insert_with(|| {
            state.next += 1;
            state.next
        });
        match state.wakers.iter_mut().find(|(number, _)| *number == place) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.wakers.push((place, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.shared.lock().wakers.retain(|(number, _)| *number != place);
        }
    }
}

impl fmt::Debug for StopSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StopSource({})", self.is_stopped())
    }
}

impl fmt::Debug for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StopSignal({})", self.is_stopped())
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopped").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Executor;

    #[test]
    fn every_waiting_task_hears_the_one_request() {
        let executor = Executor::new();
        let source = StopSource::new();
        let tasks: Vec<_> = (0..3).map(|_| executor.spawn(source.signal().stopped())).collect();
        executor.run_for(Duration::from_secs(1));
        assert_eq!(executor.tasks(), 3);
        source.stop();
        source.stop();
        executor.block_on(async {
            for task in tasks {
                task.await;
            }
            source.signal().stopped().await;
        });
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        let source = StopSource::new();
        let mut wait = source.signal().stopped();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut wait).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut wait).poll(&mut cx).is_pending());
        assert_eq!(source.shared.lock().wakers.len(), 1);
        drop(wait);
        assert!(source.shared.lock().wakers.is_empty());
    }

    #[test]
    fn asking_waits_for_no_thread_that_holds_the_lock() {
        let source = StopSource::new();
        let held = source.shared.lock();
        let (signal, (says, said)) = (source.signal(), std::sync::mpsc::channel());
        let thread = std::thread::spawn(move || says.send(signal.is_stopped()));
        let answer = said.recv_timeout(Duration::from_secs(20));
        drop(held);
        assert_eq!(answer, Ok(false), "it waits for whoever holds the lock");
        assert!(thread.join().unwrap().is_ok());
    }

    #[test]
    fn a_thread_hears_it_while_it_waits() {
        let source = StopSource::new();
        let signal = source.signal();
        let thread = std::thread::spawn(move || {
            signal.wait();
            signal.wait_timeout(Duration::MAX)
        });
        source.stop();
        assert!(thread.join().unwrap());
    }
}
