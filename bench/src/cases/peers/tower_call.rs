//! How a tower service is called: polled until it is ready, then called, then driven.

use crate::cases::drive::drive;
use std::task::{Context, Poll, Waker};
use tower::Service;

#[inline(always)]
pub(super) fn call<R, S: Service<R>>(service: &mut S, request: R) -> Result<S::Response, S::Error> {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match service.poll_ready(&mut context) {
            Poll::Ready(Ok(())) => return drive(service.call(request)),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => std::hint::spin_loop(),
        }
    }
}
