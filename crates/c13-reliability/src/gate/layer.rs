//! A tower layer for every gate whose permits can be held apart from it.

use super::{ByResult, Classify, Outcome, OwnedGate, Refusal, Run};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a gate around a service: a bulkhead, an adaptive limit or one of its partitions.
///
/// All services that it makes share the one gate it was given. The call goes to the very service that was polled ready,
/// once the gate has admitted it; a wait in line is part of the response.
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
        }
    }
}

/// A service behind a gate; made by [`GateLayer`].
#[derive(Clone, Debug)]
pub struct GateService<S, G, C = ByResult> {
    inner: S,
    gate: G,
    classify: C,
}

impl<S, G, C, R> Service<R> for GateService<S, G, C>
where
    S: Service<R> + Clone,
    G: OwnedGate,
    C: Classify<Result<S::Response, S::Error>> + Clone,
{
    type Response = S::Response;
    type Error = Refusal<G::Rejection, S::Error>;
    type Future = ResponseFuture<S, G, C, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Refusal::Failed)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        ResponseFuture {
            stage: Stage::ComingIn {
                admission: self.gate.admit_owned(),
                call: Some((ready, request, self.classify.clone())),
            },
        }
    }
}

pin_project! {
    /// The response of a service behind a gate.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the response inside and takes the call for abandoned; a place in line is given back.
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
        ComingIn { #[pin] admission: G::Admission, call: Option<(S, R, C)> },
        Running { #[pin] run: Run<G::OwnedPermit, S::Future, C> },
    }
}

impl<S, G, C, R> Future for ResponseFuture<S, G, C, R>
where
    S: Service<R>,
    G: OwnedGate,
    C: Classify<Result<S::Response, S::Error>>,
{
    type Output = Result<S::Response, Refusal<G::Rejection, S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            let run = match stage.as_mut().project() {
                StageProjection::ComingIn { admission, call } => {
                    let admitted = ready!(admission.poll(cx));
                    let Some((mut service, request, classify)) = call.take() else {
                        panic!("a response was polled after it was over");
                    };
                    let permit = admitted.map_err(Refusal::Rejected)?;
                    Run::new(permit, service.call(request), classify)
                }
                StageProjection::Running { run } => {
                    return run.poll(cx).map(|result| result.map_err(Refusal::Failed));
                }
            };
            stage.set(Stage::Running { run });
        }
    }
}

impl<S: Service<R>, G: OwnedGate, C, R> fmt::Debug for ResponseFuture<S, G, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
