//! The peers' circuit breakers, closed and open.

use super::seat;
use super::tower_call::call;
use crate::case::Cases;
use crate::cases::drive::{Failed, HOUR, drive, succeed};
use failsafe::CircuitBreaker as _;
use layered::{Execute, Service as _, Stack as _};
use std::hint::black_box;
use std::sync::Arc;
use tower::Layer as _;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};

fn ok() -> Result<u64, Failed> {
    Ok(black_box(1))
}

fn fail() -> Result<u64, Failed> {
    Err(Failed(1))
}

pub(in crate::cases) fn add(cases: &mut Cases) {
    recloser(cases);
    failsafe(cases);
    tower_resilience(cases);
    seatbelt(cases);
}

fn recloser(cases: &mut Cases) {
    let closed = || recloser::Recloser::custom().error_rate(0.5).closed_len(100).build();
    cases.other(
        "breaker/recloser, sync",
        move || Arc::new(closed()),
        |breaker, _| {
            let breaker = breaker.clone();
            move || assert!(breaker.call(ok).is_ok())
        },
    );
    let asynchronous = move || recloser::AsyncRecloser::from(closed());
    let bytes = size_of_val(&asynchronous().call(succeed(1)));
    let case = cases.other("breaker/recloser, async", asynchronous, |breaker, _| {
        let breaker = breaker.clone();
        move || assert!(drive(breaker.call(succeed(1))).is_ok())
    });
    case.future(bytes);
    let open = || {
        let breaker = recloser::Recloser::custom()
            .error_rate(0.5)
            .closed_len(2)
            .open_wait(HOUR)
            .build();
        for _ in 0..4 {
            assert!(breaker.call(fail).is_err());
        }
        assert!(matches!(breaker.call(ok), Err(recloser::Error::Rejected)));
        Arc::new(breaker)
    };
    cases.other("breaker/recloser, open", open, |breaker, _| {
        let breaker = breaker.clone();
        move || assert!(breaker.call(ok).is_err())
    });
}

fn failsafe(cases: &mut Cases) {
    use failsafe::{Config, backoff, failure_policy};
    let consecutive = |failures| {
        let policy = failure_policy::consecutive_failures(failures, backoff::constant(HOUR));
        Config::new().failure_policy(policy).build()
    };
    cases.other(
        "breaker/failsafe, consecutive failures",
        move || consecutive(5),
        |breaker, _| {
            let breaker = breaker.clone();
            move || assert!(breaker.call(ok).is_ok())
        },
    );
    cases.other(
        "breaker/failsafe, success rate",
        || Config::new().build(),
        |breaker, _| {
            let breaker = breaker.clone();
            move || assert!(breaker.call(ok).is_ok())
        },
    );
    let bytes = size_of_val(&failsafe::futures::CircuitBreaker::call(
        &Config::new().build(),
        succeed(1),
    ));
    let case = cases.other(
        "breaker/failsafe, success rate, async",
        || Config::new().build(),
        |breaker, _| {
            use failsafe::futures::CircuitBreaker as Asynchronous;
            let breaker = breaker.clone();
            move || assert!(drive(Asynchronous::call(&breaker, succeed(1))).is_ok())
        },
    );
    case.future(bytes);
    let open = move || {
        let breaker = consecutive(1);
        assert!(breaker.call(fail).is_err());
        assert!(matches!(breaker.call(ok), Err(failsafe::Error::Rejected)));
        breaker
    };
    cases.other("breaker/failsafe, open", open, |breaker, _| {
        let breaker = breaker.clone();
        move || assert!(breaker.call(ok).is_err())
    });
}

fn tower_resilience(cases: &mut Cases) {
    macro_rules! closed {
        ($name:expr, $layer:expr) => {{
            let setup = || {
                $layer
                    .build()
                    .expect("the settings are good")
                    .layer(tower::service_fn(succeed))
            };
            cases.other($name, setup, |service, _| {
                let mut service = service.clone();
                move || assert!(call(&mut service, 1_u64).is_ok())
            })
        }};
    }
    closed!(
        "breaker/tower-resilience, consecutive failures",
        CircuitBreakerLayer::builder().consecutive_failures(5)
    );
    closed!(
        "breaker/tower-resilience, failure rate over 100 calls",
        CircuitBreakerLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_size(100)
    );
    // Its cost grows with the number of calls in the window, so the row says how many there are: as many as are made.
    let timed = || {
        let layer = CircuitBreakerLayer::builder()
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(std::time::Duration::from_millis(10))
            .build();
        layer.expect("the settings are good").layer(tower::service_fn(succeed))
    };
    cases
        .other(
            "breaker/tower-resilience, failure rate over 10 ms",
            timed,
            |service, _| {
                let mut service = service.clone();
                move || assert!(call(&mut service, 1_u64).is_ok())
            },
        )
        .single();
    let open = || {
        let layer = CircuitBreakerLayer::builder().wait_duration_in_open(HOUR).build();
        let service = layer.expect("the settings are good").layer(tower::service_fn(succeed));
        drive(service.force_open());
        service
    };
    // Two threads that poll it without a timer's runtime hang: while another holds its lock it sleeps for 1 ms.
    cases
        .other("breaker/tower-resilience, open", open, |service, _| {
            let mut service = service.clone();
            move || assert!(call(&mut service, 1_u64).is_err())
        })
        .single();
}

fn seatbelt(cases: &mut Cases) {
    let closed = |fast| {
        let context = seat::context(fast);
        Arc::new((seat::breaker!(context), Execute::new(succeed)).into_service())
    };
    let bytes = size_of_val(&closed(true).execute(1_u64));
    for (name, fast) in [("breaker/seatbelt", true), ("breaker/seatbelt, precise clock", false)] {
        let case = cases.other(
            name,
            move || closed(fast),
            |service, _| {
                let service = service.clone();
                move || assert!(drive(service.execute(1_u64)).is_ok())
            },
        );
        case.future(bytes);
    }
    let open = || {
        async fn fail_on_zero(value: u64) -> Result<u64, Failed> {
            if black_box(value) == 0 {
                Err(Failed(1))
            } else {
                Ok(value)
            }
        }
        let context = seat::context(true);
        let service = (seat::breaker!(context).min_throughput(1), Execute::new(fail_on_zero)).into_service();
        for _ in 0..10 {
            let _failed = drive(service.execute(0));
        }
        assert_eq!(drive(service.execute(1)), Err(Failed(9)));
        Arc::new(service)
    };
    cases.other("breaker/seatbelt, open", open, |service, _| {
        let service = service.clone();
        move || assert!(drive(service.execute(1_u64)).is_err())
    });
}
