//! The spans of a call and of its attempts: of level DEBUG and the target `c13::call`, where a subscriber wants them.

use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
#[cfg(feature = "tracing")]
use tracing::field::Empty;

pin_project! {
    /// A future that runs in a span, from its first poll on. `end` says how it ended.
    #[must_use = "futures do nothing unless awaited"]
    pub(super) struct InSpan<F, M, O> {
        #[pin]
        future: F,
        // Makes the span; none once it was asked.
        make: Option<M>,
        span: Slot,
        end: O,
    }
}

impl<F, M, O> InSpan<F, M, O>
where
    F: Future,
    M: FnOnce() -> Slot,
    O: Fn(&F::Output) -> &'static str,
{
    #[inline]
    pub(super) fn new(future: F, make: M, end: O) -> Self {
        Self {
            future,
            make: Some(make),
            span: Slot::default(),
            end,
        }
    }
}

impl<F, M, O> Future for InSpan<F, M, O>
where
    F: Future,
    M: FnOnce() -> Slot,
    O: Fn(&F::Output) -> &'static str,
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if let Some(make) = this.make.take() {
            *this.span = make();
        }
        let output = ready!(this.span.enter(|| this.future.poll(cx)));
        this.span.end((this.end)(&output));
        Poll::Ready(output)
    }
}

/// A span, if one is wanted. Dropped before its end is said, it says that it was abandoned, or failed by a panic.
#[derive(Default)]
pub(super) struct Slot {
    #[cfg(feature = "tracing")]
    span: Option<Box<tracing::Span>>,
}

#[cfg(feature = "tracing")]
impl Slot {
    /// The span of a call through a policy of this name.
    #[inline]
    pub(super) fn call(name: impl FnOnce() -> Option<Arc<str>>) -> Self {
        Self::wanted(|| tracing::debug_span!(target: "c13::call", "call", policy = name().as_deref(), outcome = Empty))
    }

    /// The span of an attempt; 1 is the first of its call.
    #[inline]
    pub(super) fn attempt(number: u32) -> Self {
        Self::wanted(|| tracing::debug_span!(target: "c13::call", "attempt", attempt = number, outcome = Empty))
    }

    #[inline]
    fn wanted(make: impl FnOnce() -> tracing::Span) -> Self {
        #[cold]
        fn boxed(span: tracing::Span) -> Option<Box<tracing::Span>> {
            (!span.is_disabled()).then(|| Box::new(span))
        }
        let is_wanted = tracing::level_filters::LevelFilter::current() >= tracing::Level::DEBUG;
        let span = if is_wanted { boxed(make()) } else { None };
        Self { span }
    }

    #[inline]
    pub(super) fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        let _entered = self.span.as_ref().map(|span| span.enter());
        run()
    }

    #[inline]
    pub(super) fn end(&mut self, outcome: &'static str) {
        if let Some(span) = self.span.take() {
            span.record("outcome", outcome);
        }
    }
}

#[cfg(feature = "tracing")]
impl Drop for Slot {
    #[inline]
    fn drop(&mut self) {
        #[cold]
        fn left(slot: &mut Slot) {
            slot.end(if std::thread::panicking() {
                "failure"
            } else {
                "abandoned"
            });
        }
        if self.span.is_some() {
            left(self);
        }
    }
}

#[cfg(not(feature = "tracing"))]
impl Slot {
    #[inline]
    pub(super) fn call(_name: impl FnOnce() -> Option<Arc<str>>) -> Self {
        Self::default()
    }

    #[inline]
    pub(super) fn attempt(_number: u32) -> Self {
        Self::default()
    }

    #[inline]
    pub(super) fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        run()
    }

    #[inline]
    pub(super) fn end(&mut self, _outcome: &'static str) {}
}
