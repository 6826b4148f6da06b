//! One timer thread for waits outside any tokio runtime.

use crate::sync::foreign;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The waits of all threads, earliest first; the number distinguishes waits of the same instant.
type Key = (Instant, u64);

struct Timers {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    wakers: BTreeMap<Key, Waker>,
    next: u64,
}

impl Timers {
    /// The process's one timer thread, started at its first use.
    fn shared() -> &'static Self {
        static SHARED: Timers = Timers {
            waiting: Mutex::new(Waiting {
                wakers: BTreeMap::new(),
                next: 0,
            }),
            changed: Condvar::new(),
        };
        static THREAD: OnceLock<()> = OnceLock::new();
        THREAD.get_or_init(|| {
            std::thread::Builder::new()
                .name("c13-timer".into())
                .spawn(|| SHARED.run())
                .map(drop)
                .expect("the system has room for one more thread; without it no wait outside tokio could end");
        });
        &SHARED
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No user code runs under this lock, so a poisoned one still holds a whole value.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: wakes what is due, then waits for the next, for ever.
    fn run(&self) {
        // If it is refused, waits end some 50 µs later, which is acceptable.
        #[cfg(target_os = "linux")]
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        let mut waiting = self.lock();
        loop {
            let now = now();
            match waiting.wakers.first_key_value().map(|(key, _)| key.0) {
                Some(at) if at <= now => {
                    let due = waiting.wakers.pop_first();
                    drop(waiting);
                    if let Some((_, waker)) = due {
                        // A panic must not end the thread that all others wait for.
                        foreign::wake(waker);
                    }
                    waiting = self.lock();
                }
                Some(at) => {
                    let wait = at - now;
                    waiting = self
                        .changed
                        .wait_timeout(waiting, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
                None => waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the timer thread waits by the kernel's clock; `Sleep` checks its own"
)]
fn now() -> Instant {
    Instant::now()
}

/// One wait. Dropping it removes it from the timer thread's list.
pub(super) struct ThreadTimer {
    at: Instant,
    number: Option<u64>,
}

impl ThreadTimer {
    /// A wait of `wait` from now; one of more than 30 years ends after 30 years, and `Sleep` waits on.
    pub(super) fn after(wait: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
        Self {
            at: now() + wait.min(FAR),
            number: None,
        }
    }
}

impl Future for ThreadTimer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if now() >= self.at {
            return Poll::Ready(());
        }
        let timers = Timers::shared();
        // Cloned and dropped outside the lock: a waker runs code that is not ours.
        let waker = cx.waker().clone();
        let mut waiting = timers.lock();
        let number = *self.number.get_or_insert_with(|| {
            waiting.next += 1;
            waiting.next
        });
        let before = waiting.wakers.insert((self.at, number), waker);
        let is_first = waiting
            .wakers
            .first_key_value()
            .is_some_and(|(key, _)| *key == (self.at, number));
        drop(waiting);
        if is_first {
            timers.changed.notify_one();
        }
        drop(before);
        Poll::Pending
    }
}

impl Drop for ThreadTimer {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let removed = Timers::shared().lock().wakers.remove(&(self.at, number));
            drop(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Clock;
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Wake;
    use std::thread::Thread;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(value) => return value,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[test]
    fn a_wait_outside_any_runtime_ends_and_never_early() {
        let clock = Clock::system();
        let start = clock.now();
        block_on(clock.sleep(Duration::from_millis(3)));
        assert!(clock.now() - start >= Duration::from_millis(3));
    }

    #[cfg(feature = "tokio")]
    #[tokio::test]
    async fn a_precise_wait_inside_tokio_ends_and_never_early() {
        let clock = Clock::precise();
        let start = clock.now();
        clock.sleep(Duration::from_millis(3)).await;
        assert!(clock.now() - start >= Duration::from_millis(3));
    }

    #[test]
    fn a_waker_that_panics_ends_no_other_wait() {
        let waker = Arc::new(foreign::tests::Panics).into();
        let mut panics = ThreadTimer::after(Duration::from_millis(1));
        let _ = Pin::new(&mut panics).poll(&mut Context::from_waker(&waker));
        // Due later than the one whose waker panics, so that the thread has been through that.
        block_on(ThreadTimer::after(Duration::from_millis(5)));
        assert!(
            !Timers::shared()
                .lock()
                .wakers
                .contains_key(&(panics.at, panics.number.unwrap_or(0)))
        );
        block_on(ThreadTimer::after(Duration::from_millis(5)));
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_on_the_list() {
        let mut timer = ThreadTimer::after(Duration::from_secs(3600));
        assert!(
            Pin::new(&mut timer)
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        let key = (timer.at, timer.number.unwrap());
        assert!(Timers::shared().lock().wakers.contains_key(&key));
        drop(timer);
        assert!(!Timers::shared().lock().wakers.contains_key(&key));
    }
}
