//! Runs futures concurrently in one task, and catches a panic of one of them.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Runs all futures concurrently in this task. The outputs have the order of the futures.
///
/// Complexity: each wake-up polls all that are not done, so it is meant for dozens, not thousands.
///
/// # Cancel safety
///
/// Dropping it drops them all.
pub(super) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut waiting = false;
        for (future, output) in running.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Runs a future and returns the payload of its panic, if it panics.
///
/// # Cancel safety
///
/// Dropping it drops the future.
pub(super) async fn catch_panic<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    // A future that panicked is dropped and not polled again.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Which of two came first.
#[cfg(feature = "axum")]
pub(super) enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Runs two futures until one is ready; the first one, if both are.
///
/// # Cancel safety
///
/// Dropping it drops both.
#[cfg(feature = "axum")]
pub(super) async fn first<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(Either::Left(output));
        }
        b.as_mut().poll(cx).map(Either::Right)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Executor;
    use std::time::Duration;

    #[test]
    fn futures_run_side_by_side_and_keep_their_order() {
        let executor = Executor::new();
        let clock = executor.clock();
        let outputs = executor.block_on(join_all([3_u64, 1, 2].map(|seconds| {
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                seconds
            }
        })));
        assert_eq!(outputs, [3, 1, 2]);
        assert_eq!(executor.clock().now().as_nanos(), 3_000_000_000);
    }

    #[test]
    fn a_panic_comes_back_as_a_value() {
        let executor = Executor::new();
        let caught: Result<(), _> = executor.block_on(catch_panic(async { std::panic::panic_any(7_u8) }));
        assert_eq!(caught.unwrap_err().downcast_ref::<u8>(), Some(&7));
    }
}
