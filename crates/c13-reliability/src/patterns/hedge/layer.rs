//! Hedge as a tower layer.

use super::error::HedgeError;
use super::execute::{Execute, Make};
use super::handle::Hedge;
use crate::time::Deadline;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// Starts another call of a service while one takes too long.
///
/// The first attempt goes to the very service that was polled ready; each hedge goes to a clone, polled ready first.
/// Requests are cloned.
#[derive(Clone)]
pub struct HedgeLayer<A> {
    hedge: Hedge,
    accept: A,
}

impl<T, E> HedgeLayer<fn(&Result<T, E>) -> bool> {
    /// The first `Ok` is the response.
    #[must_use]
    pub fn new(hedge: Hedge) -> Self {
        Self::accepting(hedge, Result::is_ok)
    }
}

impl<A> HedgeLayer<A> {
    /// The first result that `accept` takes is the response.
    #[must_use]
    pub fn accepting<T, E>(hedge: Hedge, accept: A) -> Self
    where
        A: Fn(&Result<T, E>) -> bool + Clone,
    {
        Self { hedge, accept }
    }
}

impl<S, A: Clone> Layer<S> for HedgeLayer<A> {
    type Service = HedgeService<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        HedgeService {
            inner,
            hedge: self.hedge.clone(),
            accept: self.accept.clone(),
        }
    }
}

impl<A> fmt::Debug for HedgeLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeLayer")
            .field("hedge", &self.hedge)
            .finish_non_exhaustive()
    }
}

/// A service whose calls are hedged; made by [`HedgeLayer`].
#[derive(Clone)]
pub struct HedgeService<S, A> {
    inner: S,
    hedge: Hedge,
    accept: A,
}

impl<S, A, R> Service<R> for HedgeService<S, A>
where
    S: Service<R> + Clone,
    R: Clone,
    A: Fn(&Result<S::Response, S::Error>) -> bool + Clone,
{
    type Response = S::Response;
    type Error = HedgeError<S::Error>;
    type Future = ResponseFuture<S, A, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(HedgeError::CallFailed)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        let requests = Requests {
            // After the deadline the response refuses the call when it is polled.
            first: (!Deadline::is_over(self.hedge.clock())).then(|| ready.call(request.clone())),
            service: ready,
            request,
        };
        ResponseFuture {
            execute: Execute::new(self.hedge.clone(), requests, self.accept.clone()),
        }
    }
}

impl<S: fmt::Debug, A> fmt::Debug for HedgeService<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeService")
            .field("inner", &self.inner)
            .field("hedge", &self.hedge)
            .finish_non_exhaustive()
    }
}

/// Makes the first attempt of a call out of the response that is under way, and all others out of clones.
struct Requests<S: Service<R>, R> {
    first: Option<S::Future>,
    service: S,
    request: R,
}

impl<S: Service<R> + Clone, R: Clone> Make for Requests<S, R> {
    type Attempt = Attempt<S, R>;

    fn make(&mut self) -> Attempt<S, R> {
        match self.first.take() {
            Some(response) => Attempt::Called { response },
            None => Attempt::Getting {
                service: self.service.clone(),
                request: Some(self.request.clone()),
            },
        }
    }
}

pin_project! {
    /// One attempt: a service that is polled ready and then called.
    #[project = AttemptProjection]
    enum Attempt<S, R>
    where
        S: Service<R>,
    {
        Getting { service: S, request: Option<R> },
        Called { #[pin] response: S::Future },
    }
}

impl<S: Service<R>, R> Future for Attempt<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let response = match self.as_mut().project() {
                AttemptProjection::Called { response } => return response.poll(cx),
                AttemptProjection::Getting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request = request.take().expect("an attempt calls its service once");
                    service.call(request)
                }
            };
            self.set(Self::Called { response });
        }
    }
}

pin_project! {
    /// The response of a service whose calls are hedged.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops all attempts that run.
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<S, A, R>
    where
        S: Service<R>,
        S: Clone,
        R: Clone,
    {
        #[pin]
        execute: Execute<Hedge, Requests<S, R>, A>,
    }
}

impl<S, A, R> Future for ResponseFuture<S, A, R>
where
    S: Service<R> + Clone,
    R: Clone,
    A: Fn(&Result<S::Response, S::Error>) -> bool,
{
    type Output = Result<S::Response, HedgeError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().execute.poll(cx)
    }
}

impl<S: Service<R> + Clone, A, R: Clone> fmt::Debug for ResponseFuture<S, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
