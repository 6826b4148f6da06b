//! Fallbacks in virtual time.

use super::*;
use crate::time::Executor;
use std::error::Error;
use std::future::{Future, pending, ready};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn call<T, E>(fallback: &Fallback<T, E>, result: Result<T, E>) -> Result<T, FallbackError<E>> {
    let mut call = pin!(fallback.call(ready(result)));
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the call is ready at once"),
    }
}

#[test]
fn a_failed_call_is_answered_with_the_value() {
    let fallback = Fallback::<u32, &str>::value(7);
    assert_eq!(call(&fallback, Ok(1)), Ok(1));
    assert_eq!(call(&fallback, Err("down")), Ok(7));
    assert_eq!(fallback.snapshot().values, 1);
}

#[test]
fn a_function_sees_the_error() {
    let fallback = Fallback::<usize, &str>::function(|error| Ok(error.len()));
    assert_eq!(call(&fallback, Err("four")), Ok(4));
    assert_eq!(fallback.snapshot().functions, 1);
}

// CO-05.
#[test]
fn a_fallback_that_fails_gives_its_own_error_with_the_first_as_cause() {
    let fallback = Fallback::<(), std::io::Error>::function(|_| Err(std::io::Error::other("replica down")));
    let error = call(&fallback, Err(std::io::Error::other("primary down"))).unwrap_err();
    assert_eq!(error.to_string(), "the fallback failed as well: replica down");
    assert_eq!(error.source().map(ToString::to_string), Some("primary down".to_owned()));
    assert_eq!(error.into_call_error().to_string(), "primary down");
    assert_eq!(fallback.snapshot().fallback_failures, 1);
}

#[test]
fn an_error_that_is_not_handled_comes_back_as_it_is() {
    let fallback = Fallback::value(7).handles(|error: &&str| *error != "bad request");
    assert_eq!(
        call(&fallback, Err("bad request")),
        Err(FallbackError::CallFailed("bad request"))
    );
    assert_eq!(call(&fallback, Err("down")), Ok(7));
    assert_eq!(fallback.snapshot().call_failures, 1);
}

#[test]
fn the_last_good_value_answers_until_it_is_too_old() {
    let executor = Executor::new();
    let fallback = Fallback::<u32, &str>::last_good(60 * SECOND).with_env(executor.clock());
    assert_eq!(call(&fallback, Err("down")), Err(FallbackError::CallFailed("down")));
    assert_eq!(call(&fallback, Ok(1)), Ok(1));
    assert_eq!(call(&fallback, Ok(2)), Ok(2));
    executor.run_for(60 * SECOND);
    assert_eq!(call(&fallback, Err("down")), Ok(2), "not older than allowed");
    executor.run_for(Duration::from_nanos(1));
    assert_eq!(call(&fallback, Err("down")), Err(FallbackError::CallFailed("down")));
    let counts = fallback.snapshot();
    assert_eq!((counts.last_good, counts.call_failures), (1, 2));
}

#[test]
fn where_there_is_no_last_good_value_the_next_best_answers() {
    let executor = Executor::new();
    let fallback = Fallback::<u32, &str>::last_good(Duration::MAX)
        .with_env(executor.clock())
        .or_function(|_| Ok(9));
    assert_eq!(call(&fallback, Err("down")), Ok(9));
    assert_eq!(call(&fallback, Ok(1)), Ok(1));
    executor.run_for(1_000_000 * SECOND);
    assert_eq!(
        call(&fallback, Err("down")),
        Ok(1),
        "without a limit no value is too old"
    );
}

#[test]
fn clones_share_the_last_good_value() {
    let fallback = Fallback::<u32, &str>::last_good(60 * SECOND);
    let other = fallback.clone();
    assert_eq!(call(&fallback, Ok(5)), Ok(5));
    assert_eq!(call(&other, Err("down")), Ok(5));
    let changed = other.or_value(1);
    assert_eq!(call(&changed, Err("down")), Ok(1), "a setter makes another fallback");
    assert_eq!(call(&fallback, Err("down")), Ok(5));
}

#[test]
fn a_second_future_answers_only_where_nothing_else_does() {
    let executor = Executor::new();
    let fallback = Fallback::<u32, &str>::last_good(60 * SECOND)
        .with_env(executor.clock())
        .handles(|error| *error != "bad");
    let run = |result: Result<u32, &'static str>, second: Result<u32, &'static str>| {
        let clock = executor.clock();
        executor.block_on(fallback.call_or_else(ready(result), |_| async move {
            clock.sleep(SECOND).await;
            second
        }))
    };
    assert_eq!(run(Err("bad"), Ok(1)), Err(FallbackError::CallFailed("bad")));
    assert_eq!(run(Err("down"), Ok(2)), Ok(2));
    let both = FallbackError::FallbackFailed {
        error: "replica down",
        cause: "down",
    };
    assert_eq!(run(Err("down"), Err("replica down")), Err(both));
    assert_eq!(run(Ok(3), Ok(4)), Ok(3));
    assert_eq!(run(Err("down"), Ok(4)), Ok(3), "the last good value comes first");
}

#[test]
fn values_of_the_caller_are_cloned_and_dropped_outside_the_lock() {
    struct Nosy(Arc<AtomicU64>, Option<Fallback<Self, ()>>);
    impl Clone for Nosy {
        fn clone(&self) -> Self {
            Self(self.0.clone(), self.1.clone())
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            // A value that asks the fallback while it is dropped would wait for itself under the lock.
            if let Some(fallback) = self.1.take() {
                let answered = call(&fallback, Err(()));
                self.0.fetch_add(u64::from(answered.is_ok()), Ordering::Relaxed);
                std::mem::drop(answered.map(|mut value| value.1.take()));
            }
        }
    }
    let fallback = Fallback::<Nosy, ()>::last_good(60 * SECOND);
    let asked = Arc::new(AtomicU64::new(0));
    for _ in 0..2 {
        let value = Nosy(asked.clone(), Some(fallback.clone()));
        drop(call(&fallback, Ok(value)).map(|mut value| value.1.take()));
    }
    assert!(asked.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_call_that_is_dropped_keeps_and_counts_nothing() {
    let fallback = Fallback::<Rc<u32>, &str>::last_good(60 * SECOND);
    {
        let mut waiting = pin!(fallback.call(pending()));
        assert!(
            waiting
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        let mut second = pin!(fallback.call_or_else(ready(Err("down")), |_| pending()));
        assert!(
            second
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    assert_eq!(fallback.snapshot(), FallbackSnapshot::default());
}
