//! What cases are made of: an error, a call that is ready at once, and how futures and services are driven.

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Longer than any run, so that what is open stays open and what is refused stays refused.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The error of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Failed(pub(super) u32);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed with {}", self.0)
    }
}

impl std::error::Error for Failed {}

/// A call that succeeds at once.
pub(super) async fn succeed(value: u64) -> Result<u64, Failed> {
    Ok(black_box(value))
}

/// Makes the compiler believe that `value` is used.
#[inline(always)]
pub(super) fn keep<T>(value: T) {
    let _kept = black_box(value);
}

/// Polls a future until it is ready, with a waker that does nothing.
#[inline(always)]
pub(super) fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::hint::spin_loop();
    }
}

/// Random keys below `count`, by xorshift: the same for each `seed`.
pub(super) fn keys(count: u64, seed: u64) -> Arc<Vec<u32>> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) % count) as u32
    };
    Arc::new((0..1 << 18).map(|_| draw()).collect())
}
