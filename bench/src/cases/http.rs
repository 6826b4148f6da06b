//! HTTP requests through a policy, around a client that answers at once: what the layer itself costs.

use super::drive::drive;
use super::policy::FIVE;
use crate::case::Cases;
use c13_reliability::policy::{HttpLayer, HttpService, Policy};
use http::{Request, Response};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use tower_layer::Layer as _;
use tower_service::Service;

/// A client that answers at once.
#[derive(Clone)]
struct AtOnce;

impl Service<Request<String>> for AtOnce {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

fn request() -> Request<String> {
    Request::new(String::new())
}

pub(crate) fn add(cases: &mut Cases) {
    cases.other(
        "http/a client that answers at once",
        || AtOnce,
        |client, _| {
            let mut client = client.clone();
            move || assert!(drive(client.call(request())).is_ok())
        },
    );
    let service = || -> HttpService<AtOnce> {
        let policy = Policy::new(FIVE).expect("the settings are good");
        HttpLayer::new(policy).layer(AtOnce)
    };
    cases.timed("http/the same behind a policy of five", service, |service, _| {
        let mut service = service.clone();
        move || assert!(drive(service.call(request())).is_ok())
    });
}
