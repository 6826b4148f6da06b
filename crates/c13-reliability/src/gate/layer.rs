//! The tower layer of every gate: breaker, rate limit, bulkhead and adaptive limit.

use super::{Admittance, ByResult, Classify, MayWait, NeverWaits, Outcome, OwnedGate, Refusal, Run};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a gate around a service.
///
/// All services that it makes share the one gate that it was given. The gate is asked when the service is called. A call
/// that it refuses ends there, and the service inside stays ready for the next one; a call that has to wait takes the very
/// service with it that was polled ready, and leaves a clone.
///
/// While a gate refuses everything, as an open circuit does, the service is ready at once and refuses, whether the service
/// inside is ready or not.
///
/// ```
/// use c13_reliability::gate::GateLayer;
/// use c13_reliability::patterns::bulkhead::Bulkhead;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(GateLayer::new(Bulkhead::new(10)))
///     .service(service_fn(|n: u32| async move { Ok::<_, &str>(n + 1) }));
/// assert_eq!(service.oneshot(1).await, Ok(2));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct GateLayer<G, C = ByResult> {
    gate: G,
    classify: C,
}

impl<G> GateLayer<G> {
    /// `Ok` is a success, `Err` a failure.
    #[must_use]
    pub fn new(gate: G) -> Self {
        Self {
            gate,
            classify: ByResult,
        }
    }
}

impl<G, C> GateLayer<G, C> {
    /// `classify` says what a result means to the gate.
    #[must_use]
    pub fn classified<T, E>(gate: G, classify: C) -> Self
    where
        C: Fn(&Result<T, E>) -> Outcome + Clone,
    {
        Self { gate, classify }
    }
}

impl<S, G: Clone, C: Clone> Layer<S> for GateLayer<G, C> {
    type Service = GateService<S, G, C>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService {
            inner,
            gate: self.gate.clone(),
            classify: self.classify.clone(),
            inner_is_ready: false,
        }
    }
}

/// A service behind a gate; made by [`GateLayer`].
#[derive(Debug)]
pub struct GateService<S, G, C = ByResult> {
    inner: S,
    gate: G,
    classify: C,
    inner_is_ready: bool,
}

impl<S: Clone, G: Clone, C: Clone> Clone for GateService<S, G, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            gate: self.gate.clone(),
            classify: self.classify.clone(),
            // A clone of a ready service need not be ready.
            inner_is_ready: false,
        }
    }
}

/// Takes the service that was polled ready, for a call that waits. Only a gate that lets calls wait needs services that can
/// be cloned.
pub trait TakeReady<S> {
    /// Takes the ready service and leaves another in its place.
    fn take_ready(inner: &mut S) -> S;
}

impl<S: Clone> TakeReady<S> for MayWait {
    fn take_ready(inner: &mut S) -> S {
        let clone = inner.clone();
        std::mem::replace(inner, clone)
    }
}

impl<S> TakeReady<S> for NeverWaits {
    fn take_ready(_inner: &mut S) -> S {
        unreachable!("a gate that never lets calls wait has let one wait")
    }
}

impl<S, G, C, R> Service<R> for GateService<S, G, C>
where
    S: Service<R>,
    G: OwnedGate,
    G::Waiting: TakeReady<S>,
    C: Classify<Result<S::Response, S::Error>> + Clone,
{
    type Response = S::Response;
    type Error = G::Error<S::Error>;
    type Future = ResponseFuture<S, G, C, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if !self.inner_is_ready && self.gate.refuses_all() {
            return Poll::Ready(Ok(()));
        }
        let result = ready!(self.inner.poll_ready(cx));
        match &result {
            Ok(()) => self.inner_is_ready = true,
            Err(_) => self.gate.record_unready(),
        }
        Poll::Ready(result.map_err(|error| Refusal::Failed(error).into()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        if !self.inner_is_ready
            && let Some(rejection) = self.gate.refuse_unready()
        {
            return ResponseFuture::refused(rejection);
        }
        let classify = self.classify.clone();
        match self.gate.ask() {
            // The service inside stays ready for the next call.
            Admittance::Refused(rejection) => ResponseFuture::refused(rejection),
            Admittance::Admitted(permit) => {
                self.inner_is_ready = false;
                ResponseFuture {
                    stage: Stage::Running {
                        run: Run::new(permit, self.inner.call(request), classify),
                    },
                }
            }
            Admittance::Waits(admission) => {
                self.inner_is_ready = false;
                let ready = G::Waiting::take_ready(&mut self.inner);
                ResponseFuture {
                    stage: Stage::Waiting {
                        admission,
                        call: Some((ready, request, classify)),
                    },
                }
            }
        }
    }
}

pin_project! {
    /// The response of a service behind a gate.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the response inside, and the gate counts the call as abandoned; a call that waits leaves the queue.
    #[must_use = "futures do nothing unless awaited"]
    pub struct ResponseFuture<S, G, C, R>
    where
        S: Service<R>,
        G: OwnedGate,
    {
        #[pin]
        stage: Stage<S, G, C, R>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, G, C, R>
    where
        S: Service<R>,
        G: OwnedGate,
    {
        Waiting { #[pin] admission: G::Admission, call: Option<(S, R, C)> },
        Running { #[pin] run: Run<G::OwnedPermit, S::Future, C> },
        Refused { rejection: Option<G::Rejection> },
    }
}

impl<S, G, C, R> ResponseFuture<S, G, C, R>
where
    S: Service<R>,
    G: OwnedGate,
{
    fn refused(rejection: G::Rejection) -> Self {
        Self {
            stage: Stage::Refused {
                rejection: Some(rejection),
            },
        }
    }
}

impl<S, G, C, R> Future for ResponseFuture<S, G, C, R>
where
    S: Service<R>,
    G: OwnedGate,
    C: Classify<Result<S::Response, S::Error>>,
{
    type Output = Result<S::Response, G::Error<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let run = match stage.as_mut().project() {
                StageProjection::Waiting { admission, call } => {
                    let admitted = ready!(admission.poll(cx));
                    let (mut service, request, classify) = call.take().expect(POLLED_ON);
                    match admitted {
                        Ok(permit) => Run::new(permit, service.call(request), classify),
                        Err(rejection) => return Poll::Ready(Err(Refusal::Rejected(rejection).into())),
                    }
                }
                StageProjection::Running { run } => {
                    return run
                        .poll(cx)
                        .map(|result| result.map_err(|error| Refusal::Failed(error).into()));
                }
                StageProjection::Refused { rejection } => {
                    let rejection = rejection.take().expect(POLLED_ON);
                    return Poll::Ready(Err(Refusal::Rejected(rejection).into()));
                }
            };
            stage.set(Stage::Running { run });
        }
    }
}

const POLLED_ON: &str = "no caller polls a response after it was ready";

impl<S: Service<R>, G: OwnedGate, C, R> fmt::Debug for ResponseFuture<S, G, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
