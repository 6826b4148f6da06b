//! The peers' retries around a call that succeeds.

use super::seat;
use super::tower_call::call;
use crate::case::Cases;
use crate::cases::drive::{Failed, drive, succeed};
use backon::{ExponentialBuilder, Retryable as _};
use layered::{Execute, Service as _, Stack as _};
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_retry::strategy::{ExponentialBackoff, jitter};
use tower::Layer as _;
use tower_resilience_retry::RetryLayer;

pub(in crate::cases) fn add(cases: &mut Cases) {
    let bytes = size_of_val(&(|| succeed(1)).retry(ExponentialBuilder::default()).into_future());
    let backon = |(): &(), _| {
        || {
            let call = || succeed(1);
            assert!(drive(call.retry(ExponentialBuilder::default()).into_future()).is_ok());
        }
    };
    cases.other("retry/backon", || (), backon).future(bytes);

    let start = || tokio_retry::Retry::start(ExponentialBackoff::from_millis(10).map(jitter).take(3), || succeed(1));
    let bytes = size_of_val(&start());
    let tokio_retry = move |(): &(), _| move || assert!(drive(start()).is_ok());
    cases.other("retry/tokio-retry", || (), tokio_retry).future(bytes);

    let service = || {
        let layer = RetryLayer::<u64, u64, Failed>::builder().max_attempts(3);
        layer
            .exponential_backoff(Duration::from_millis(10))
            .build()
            .layer(tower::service_fn(succeed))
    };
    cases.other("retry/tower-resilience", service, |service, _| {
        let mut service = service.clone();
        move || assert!(call(&mut service, 1_u64).is_ok())
    });

    let service = || {
        let context = seat::context(false);
        Arc::new((seat::retry!(context), Execute::new(succeed)).into_service())
    };
    let bytes = size_of_val(&service().execute(1_u64));
    let case = cases.other("retry/seatbelt", service, |service, _| {
        let service = service.clone();
        move || assert!(drive(service.execute(1_u64)).is_ok())
    });
    case.future(bytes);
}
