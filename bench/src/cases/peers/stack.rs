//! Several patterns of the peers around one call, and what users glue together by hand.

use super::seat;
use super::tower_call::call;
use crate::case::Cases;
use crate::cases::drive::{Failed, HOUR, drive, succeed};
use backon::Retryable as _;
use layered::{Execute, Service as _, Stack as _};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceBuilder;
use tower_resilience_bulkhead::{BulkheadLayer, BulkheadServiceError};
use tower_resilience_circuitbreaker::{CircuitBreakerError, CircuitBreakerLayer};
use tower_resilience_ratelimiter::{RateLimiterLayer, RateLimiterServiceError};
use tower_resilience_retry::RetryLayer;
use tower_resilience_timelimiter::{FixedTimeout, TimeLimiterLayer};

const SECOND: Duration = Duration::from_secs(1);

/// What the layers of the stack of five may say.
type FiveError = CircuitBreakerError<RateLimiterServiceError<BulkheadServiceError<Failed>>>;

pub(in crate::cases) fn add(cases: &mut Cases) {
    let five = || {
        let retry = RetryLayer::<u64, u64, FiveError>::builder().max_attempts(3);
        let breaker = CircuitBreakerLayer::builder().sliding_window_size(100).build();
        let limiter = RateLimiterLayer::builder()
            .limit_for_period(1 << 50)
            .refresh_period(HOUR)
            .build();
        let bulkhead = BulkheadLayer::builder().max_concurrent_calls(1000).build();
        ServiceBuilder::new()
            .layer(
                TimeLimiterLayer::<FixedTimeout>::builder()
                    .timeout_duration(SECOND)
                    .build(),
            )
            .layer(retry.exponential_backoff(Duration::from_millis(10)).build())
            .layer(breaker.expect("the settings are good"))
            .layer(limiter.expect("the settings are good"))
            .layer(bulkhead.expect("the settings are good"))
            .service(tower::service_fn(succeed))
    };
    cases.other("policy/tower-resilience, five", five, |service, _| {
        let mut service = service.clone();
        move || assert!(call(&mut service, 1_u64).is_ok())
    });

    let three = || {
        let context = seat::context(true);
        let layers = (
            seat::retry!(context),
            seat::breaker!(context),
            seat::timeout!(context),
            Execute::new(succeed),
        );
        Arc::new(layers.into_service())
    };
    let bytes = size_of_val(&three().execute(1_u64));
    let case = cases.other(
        "policy/seatbelt, retry, breaker and timeout only",
        three,
        |service, _| {
            let service = service.clone();
            move || assert!(drive(service.execute(1_u64)).is_ok())
        },
    );
    case.future(bytes);

    let bytes = size_of_val(&Glue::new().call());
    let case = cases.other(
        "policy/tokio, backon, recloser and governor by hand",
        Glue::new,
        |glue, _| {
            let glue = glue.clone();
            move || assert!(drive(glue.call()).is_ok())
        },
    );
    case.future(bytes);
}

/// The best crates for one thing each, put together by hand.
struct Glue {
    limiter: governor::DefaultDirectRateLimiter,
    places: tokio::sync::Semaphore,
    breaker: recloser::AsyncRecloser,
}

impl Glue {
    fn new() -> Arc<Self> {
        let quota = governor::Quota::per_second(NonZeroU32::new(1_000_000_000).expect("not zero"));
        Arc::new(Self {
            limiter: governor::RateLimiter::direct(quota),
            places: tokio::sync::Semaphore::new(1000),
            breaker: recloser::Recloser::custom()
                .error_rate(0.5)
                .closed_len(100)
                .build()
                .into(),
        })
    }

    async fn call(&self) -> Result<u64, Failed> {
        let attempt = || async {
            self.limiter.check().map_err(|_| Failed(2))?;
            let _place = self.places.try_acquire().map_err(|_| Failed(3))?;
            self.breaker.call(succeed(1)).await.map_err(|_| Failed(4))
        };
        let retried = attempt.retry(backon::ExponentialBuilder::default());
        tokio::time::timeout(SECOND, retried).await.unwrap_or(Err(Failed(5)))
    }
}
