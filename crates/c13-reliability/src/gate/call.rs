//! A call through a gate as one future: admission, run and record.

use super::{Classify, Gate, Outcome, Run};
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs `future` if `gate` admits it at once, and records the outcome that `classify` names.
///
/// The gate is asked at the first poll. If the gate lets callers wait, await [`Gate::admit`] and use [`Run`] instead.
///
/// # Errors
///
/// [`Refusal::Rejected`] if the gate refuses; the future is then never polled. [`Refusal::Failed`] with the future's
/// own error.
///
/// # Cancel safety
///
/// Dropping it drops the future inside and counts the call as abandoned.
pub fn call<G, F, C, T, E>(gate: &G, future: F, classify: C) -> Call<'_, G, F, C>
where
    G: Gate,
    F: Future<Output = Result<T, E>>,
    C: FnOnce(&Result<T, E>) -> Outcome,
{
    Call::new(gate, future, classify)
}

pin_project! {
    /// A call through a gate; made by [`call`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Call<'a, G, F, C>
    where
        G: Gate,
        G: 'a,
    {
        // None once the gate was asked.
        unasked: Option<(&'a G, C)>,
        // The future is not moved when it is admitted, because it may be large.
        #[pin]
        run: Run<G::Permit<'a>, F, C>,
    }
}

impl<'a, G: Gate, F, C> Call<'a, G, F, C> {
    /// The same as [`call`], for any classifier.
    #[inline]
    pub fn new(gate: &'a G, future: F, classify: C) -> Self {
        Self {
            unasked: Some((gate, classify)),
            run: Run::unadmitted(future),
        }
    }

    /// The gate, until it was asked.
    #[inline]
    pub(crate) fn unasked(&self) -> Option<&'a G> {
        self.unasked.as_ref().map(|(gate, _)| *gate)
    }
}

impl<'a, G, F, C, T, E> Future for Call<'a, G, F, C>
where
    G: Gate,
    F: Future<Output = Result<T, E>>,
    C: Classify<Result<T, E>>,
{
    type Output = Result<T, Refusal<G::Rejection, E>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_mut().project();
        let Some((gate, classify)) = this.unasked.take() else {
            return self.poll_on(cx);
        };
        match gate.try_admit() {
            Ok(permit) => {
                let polled = this.run.poll_under(cx, permit, classify);
                polled.map(|result| result.map_err(Refusal::Failed))
            }
            Err(rejection) => Poll::Ready(Err(Refusal::Rejected(rejection))),
        }
    }
}

impl<'a, G, F, C, T, E> Call<'a, G, F, C>
where
    G: Gate,
    F: Future<Output = Result<T, E>>,
    C: Classify<Result<T, E>>,
{
    /// Not inlined, so that a call which is ready at once is short enough to be inlined.
    #[inline(never)]
    fn poll_on(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, Refusal<G::Rejection, E>>> {
        let polled = self.project().run.poll(cx);
        polled.map(|result| result.map_err(Refusal::Failed))
    }
}

impl<G: Gate, F, C> fmt::Debug for Call<'_, G, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// Why a call through a gate gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<R, E> {
    /// The gate refused; the call did not run.
    Rejected(R),
    /// The call ran and failed with its own error.
    Failed(E),
}

impl<R: fmt::Display, E: fmt::Display> fmt::Display for Refusal<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<R: Error + 'static, E: Error + 'static> Error for Refusal<R, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rejected(rejection) => rejection.source(),
            Self::Failed(error) => error.source(),
        }
    }
}

#[cfg(all(test, not(c13_loom)))]
mod tests {
    use super::super::Permit;
    use super::*;
    use std::cell::RefCell;
    use std::future::{pending, poll_fn, ready};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::sync::Mutex;
    use std::task::Waker;

    /// A gate that admits while it is open, and keeps the outcomes that its permits record.
    struct Notebook {
        open: bool,
        recorded: Mutex<Vec<Outcome>>,
    }

    impl Notebook {
        fn record(&self, outcome: Outcome) {
            self.recorded
                .lock()
                .expect("no test panics under this lock")
                .push(outcome);
        }
    }

    struct Page<'a>(Option<&'a Notebook>);

    impl Permit for Page<'_> {
        fn record(mut self, outcome: Outcome) {
            if let Some(book) = self.0.take() {
                book.record(outcome);
            }
        }
    }

    impl Drop for Page<'_> {
        fn drop(&mut self) {
            if let Some(book) = self.0.take() {
                let outcome = if std::thread::panicking() {
                    Outcome::FAILURE
                } else {
                    Outcome::Abandoned
                };
                book.record(outcome);
            }
        }
    }

    impl Gate for Notebook {
        type Permit<'a> = Page<'a>;
        type Rejection = &'static str;

        fn try_admit(&self) -> Result<Page<'_>, &'static str> {
            if self.open { Ok(Page(Some(self))) } else { Err("closed") }
        }

        async fn admit(&self) -> Result<Page<'_>, &'static str> {
            self.try_admit()
        }
    }

    fn open() -> Notebook {
        Notebook {
            open: true,
            recorded: Mutex::default(),
        }
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_result_is_recorded_once_and_as_the_classifier_says() {
        let book = open();
        let error: Result<u32, &str> = Err("not found");
        assert_eq!(
            poll(pin!(call(&book, ready(Ok::<_, &str>(1)), Outcome::of))),
            Poll::Ready(Ok(1))
        );
        assert_eq!(
            poll(pin!(call(&book, ready(error), |_| Outcome::Ignored))),
            Poll::Ready(Err(Refusal::Failed("not found")))
        );
        assert_eq!(*book.recorded.lock().unwrap(), [Outcome::Success, Outcome::Ignored]);
    }

    #[test]
    fn a_refused_call_never_runs() {
        let book = Notebook {
            open: false,
            recorded: Mutex::default(),
        };
        let ran = RefCell::new(false);
        let future = poll_fn(|_| {
            *ran.borrow_mut() = true;
            Poll::Ready(Ok::<(), &str>(()))
        });
        assert_eq!(
            poll(pin!(call(&book, future, Outcome::of))),
            Poll::Ready(Err(Refusal::Rejected("closed")))
        );
        assert!(!*ran.borrow() && book.recorded.lock().unwrap().is_empty());
    }

    #[test]
    fn a_call_dropped_while_it_waits_is_abandoned() {
        let book = open();
        {
            let mut waiting = pin!(call(&book, pending::<Result<(), ()>>(), Outcome::of));
            assert!(poll(waiting.as_mut()).is_pending());
        }
        assert_eq!(*book.recorded.lock().unwrap(), [Outcome::Abandoned]);
    }

    #[test]
    fn a_dropped_call_is_recorded_once_its_future_is_gone() {
        struct Last<'a>(&'a Notebook);

        impl Drop for Last<'_> {
            fn drop(&mut self) {
                assert!(self.0.recorded.lock().unwrap().is_empty(), "the call still runs");
            }
        }

        let book = open();
        let last = Last(&book);
        let mut waiting = Box::pin(call(
            &book,
            async move {
                let _last = last;
                pending::<Result<(), ()>>().await
            },
            Outcome::of,
        ));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(waiting);
        assert_eq!(*book.recorded.lock().unwrap(), [Outcome::Abandoned]);
    }

    #[test]
    fn a_call_dropped_before_its_first_poll_was_never_admitted() {
        let book = open();
        drop(call(&book, pending::<Result<(), ()>>(), Outcome::of));
        assert!(book.recorded.lock().unwrap().is_empty());
    }

    #[test]
    fn a_panic_in_the_call_is_a_failure_and_goes_on() {
        let book = open();
        let mut future = Box::pin(call(
            &book,
            poll_fn(|_| -> Poll<Result<(), ()>> { panic!("boom") }),
            Outcome::of,
        ));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(future.as_mut()))).is_err());
        drop(future);
        assert_eq!(*book.recorded.lock().unwrap(), [Outcome::FAILURE]);
    }

    #[test]
    fn somebody_elses_panic_makes_a_waiting_call_abandoned_and_not_failed() {
        let book = open();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let mut waiting = pin!(call(&book, pending::<Result<(), ()>>(), Outcome::of));
            assert!(poll(waiting.as_mut()).is_pending());
            panic!("not the call's fault");
        }));
        assert!(caught.is_err());
        assert_eq!(*book.recorded.lock().unwrap(), [Outcome::Abandoned]);
    }
}
