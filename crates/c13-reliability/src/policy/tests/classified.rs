//! Calls whose errors know what they mean: what the breaker counts, and what is made again.

use super::*;
use crate::patterns::hedge::{HedgeConfig, HedgeDelay};
use crate::verdict::{Meaning, Retryable};
use std::future::ready;

impl Retryable for Meaning {
    fn meaning(&self) -> Meaning {
        *self
    }
}

/// How many attempts a call that fails in this way makes, and what the breaker counts: successes, failures, ignored calls.
fn counts(error: Meaning, idempotent: bool) -> (u32, [u64; 3]) {
    let executor = Executor::new();
    let config = PolicyConfig::NONE.retry(retry(2, MS)).circuit_breaker(breaker(100));
    let policy = policy(config, &executor.clock());
    let view = policy.classify_errors();
    let view = if idempotent { view.idempotent() } else { view };
    let failed = executor.block_on(view.call(|| ready(Err::<(), _>(error))));
    let counts = policy.circuit_breaker().expect("the settings have one").metrics();
    let counts = [counts.success_count, counts.failure_count, counts.ignored_count];
    (failed.expect_err("it always fails").attempts(), counts)
}

#[test]
fn what_may_have_had_an_effect_is_not_made_again_unless_it_is_idempotent() {
    for (error, once, idempotent) in [
        (Meaning::ANSWER, (1, [1, 0, 0]), (1, [1, 0, 0])),
        (Meaning::CONFLICT, (3, [3, 0, 0]), (3, [3, 0, 0])),
        (Meaning::REFUSED, (3, [0, 3, 0]), (3, [0, 3, 0])),
        (Meaning::FAILURE, (1, [0, 1, 0]), (3, [0, 3, 0])),
        (Meaning::DEFECT, (1, [0, 1, 0]), (1, [0, 1, 0])),
        (Meaning::NOT_ADMITTED, (3, [0, 0, 3]), (3, [0, 0, 3])),
        (Meaning::NOT_SENT, (1, [0, 0, 1]), (1, [0, 0, 1])),
    ] {
        assert_eq!(counts(error, false), once, "{error:?}");
        assert_eq!(counts(error, true), idempotent, "{error:?}, idempotent");
    }
}

#[test]
fn an_attempt_that_is_late_is_the_last_and_has_no_hedge_unless_it_is_idempotent() {
    let executor = Executor::new();
    let config = PolicyConfig::NONE
        .attempt_timeout(50 * MS)
        .retry(retry(1, MS))
        .hedge(HedgeConfig::new(HedgeDelay::Fixed(10 * MS)));
    let policy = policy(config, &executor.clock());
    let begun = Cell::new(0);
    let hangs = || {
        begun.set(begun.get() + 1);
        pending::<Result<(), Meaning>>()
    };
    let view = policy.classify_errors();
    let late = executor.block_on(view.call(hangs)).expect_err("it hangs");
    assert!(
        late.is_timeout() && late.attempts() == 1 && begun.get() == 1,
        "{late:?}"
    );
    begun.set(0);
    let late = executor.block_on(view.idempotent().call(hangs)).expect_err("it hangs");
    assert!(late.is_timeout() && begun.get() > 2, "{late:?}");
}

#[test]
fn one_view_serves_calls_of_many_types() {
    let executor = Executor::new();
    let view = policy(PolicyConfig::NONE, &executor.clock()).classify_errors::<std::io::Error>();
    let number = executor.block_on(view.call(|| ready(Ok(1))));
    let text = executor.block_on(view.call_once(ready(Ok("one"))));
    let bytes = view.call_sync(|| Ok([1_u8]));
    assert_eq!((number.ok(), text.ok(), bytes.ok()), (Some(1), Some("one"), Some([1])));
}
