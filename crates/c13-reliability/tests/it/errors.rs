//! What errors tell as a chain: each cause once, whoever shows it.

use c13_reliability::distributed::lock::{AcquireError, BackendError, BackendErrorKind};
use c13_reliability::gate::Refusal;
use c13_reliability::patterns::bulkhead::BulkheadError;
use c13_reliability::patterns::cache::LoadError;
use c13_reliability::patterns::circuit_breaker::CircuitBreakerError;
use c13_reliability::patterns::fallback::FallbackError;
use c13_reliability::patterns::hedge::HedgeError;
use c13_reliability::patterns::retry::{GiveUp, RetryError};
use c13_reliability::patterns::timeout::TimeoutError;
use c13_reliability::policy::{Policy, PolicyConfig, PolicyError, ReloadError};
use c13_reliability::realtime::scheduler::StartError;
use c13_reliability::time::{Clock, Env, Executor};
use c13_reliability::{Layer, Rejected};
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The caller's own error, with a cause of its own.
#[derive(Clone, Copy, Debug)]
struct Own(Root);

#[derive(Clone, Copy, Debug)]
struct Root;

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer from the database")
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection reset")
    }
}

impl Error for Root {}

impl Error for Own {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// What each error of a chain says, from the outside in.
fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let (mut told, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next {
        told.push(error.to_string());
        next = error.source();
    }
    told
}

/// Checks that nothing in a chain is told twice; gives the chain as tools print it.
fn told_once(error: &(dyn Error + 'static)) -> String {
    let told = chain(error);
    for (at, words) in told.iter().enumerate() {
        let before = told[..at].iter().find(|before| before.contains(words.as_str()));
        assert_eq!(before, None, "{words:?} is told again in {told:?}");
    }
    told.join(": ")
}

fn own() -> Own {
    Own(Root)
}

#[test]
fn an_error_tells_the_callers_own_and_each_of_its_causes_once() {
    let retry = |reason| Box::new(RetryError::new(reason, 4, own())) as Box<dyn Error>;
    let last_error = Some(own());
    let errors: Vec<Box<dyn Error>> = vec![
        Box::new(TimeoutError::CallFailed(own())),
        retry(GiveUp::MaxRetries),
        retry(GiveUp::NotRetryable),
        retry(GiveUp::Budget),
        retry(GiveUp::Deadline),
        Box::new(HedgeError::CallFailed(own())),
        Box::new(BulkheadError::CallFailed(own())),
        Box::new(CircuitBreakerError::CallFailed(own())),
        Box::new(LoadError::Failed(Arc::new(own()))),
        Box::new(Refusal::<Rejected, Own>::Failed(own())),
        Box::new(FallbackError::CallFailed(own())),
        Box::new(PolicyError::Rejected {
            policy: None,
            opening: None,
            layer: Layer::CircuitBreaker,
            retry_after: Some(Duration::from_secs(1)),
            attempts: 2,
            last_error,
        }),
        Box::new(PolicyError::TimedOut {
            policy: None,
            layer: Layer::TotalTimeout,
            limit: Duration::from_secs(1),
            attempts: 2,
            last_error,
        }),
        Box::new(PolicyError::Failed {
            policy: None,
            error: own(),
            attempts: 2,
            gave_up: Some(GiveUp::MaxRetries),
        }),
        // Within one another, as patterns are.
        Box::new(RetryError::new(
            GiveUp::Budget,
            2,
            TimeoutError::CallFailed(CircuitBreakerError::CallFailed(own())),
        )),
        Box::new(PolicyError::Failed {
            policy: None,
            error: RetryError::new(GiveUp::MaxRetries, 3, own()),
            attempts: 1,
            gave_up: None,
        }),
        Box::new(ReloadError::File("/etc/policies.toml".into(), io::Error::other(own()))),
        Box::new(StartError::Thread(io::Error::other(own()))),
    ];
    for error in errors {
        let told = told_once(&*error);
        for words in [own().to_string(), Root.to_string()] {
            assert_eq!(told.matches(&words).count(), 1, "{words:?} in {told:?}");
        }
    }
}

#[test]
fn an_error_without_the_callers_own_tells_its_causes_once_too() {
    let backend = BackendError::new(BackendErrorKind::Unanswered, "no answer within 1s");
    let errors: Vec<Box<dyn Error>> = vec![
        Box::new(AcquireError::Backend(backend)),
        Box::new(RetryError::<Own>::DeadlinePassed { attempts: 0 }),
        Box::new(HedgeError::<Own>::DeadlinePassed),
    ];
    assert_eq!(told_once(&*errors[0]).matches("no answer within 1s").count(), 1);
    for error in &errors[1..] {
        assert_eq!(chain(&**error).len(), 1);
    }
}

#[test]
fn the_callers_own_error_stays_there_with_its_type() {
    let retry = RetryError::new(GiveUp::Budget, 1, own());
    assert!(retry.last_error().is_some_and(|error| matches!(error, Own(Root))));
    let failed = PolicyError::Failed {
        policy: None,
        error: retry,
        attempts: 1,
        gave_up: None,
    };
    assert!(failed.into_error().and_then(RetryError::into_last_error).is_some());
    assert!(TimeoutError::CallFailed(own()).into_call_error().is_some());
}

/// A policy by this name whose calls have one attempt.
fn policy(name: &str) -> Policy {
    Policy::with_config(PolicyConfig::NONE, Env::from(Clock::system()).name(name)).expect("no setting is wrong")
}

#[test]
fn the_question_mark_works_around_calls_that_fail_with_any_error() {
    async fn typed() -> anyhow::Result<()> {
        Ok(policy("typed").call(async || Err(own())).await?)
    }
    async fn by_anyhow() -> anyhow::Result<()> {
        let call = async || Err::<(), _>(anyhow::Error::new(own()));
        Ok(policy("anyhow").call(call).await.map_err(PolicyError::boxed)?)
    }
    async fn in_a_box() -> Result<(), Box<dyn Error + Send + Sync>> {
        let call = async || Err::<(), Box<dyn Error + Send + Sync>>(own().into());
        Ok(policy("box").call(call).await.map_err(PolicyError::boxed)?)
    }
    async fn in_a_local_box() -> Result<(), Box<dyn Error>> {
        let call = async || Err::<(), Box<dyn Error>>(own().into());
        Ok(policy("local").call(call).await.map_err(PolicyError::boxed_local)?)
    }
    let executor = Executor::new();
    let failed: [(&str, Box<dyn Error>); 4] = [
        (
            "typed",
            executor
                .block_on(typed())
                .expect_err("it failed")
                .into_boxed_dyn_error(),
        ),
        (
            "anyhow",
            executor
                .block_on(by_anyhow())
                .expect_err("it failed")
                .into_boxed_dyn_error(),
        ),
        ("box", executor.block_on(in_a_box()).expect_err("it failed")),
        ("local", executor.block_on(in_a_local_box()).expect_err("it failed")),
    ];
    for (name, error) in failed {
        let told = told_once(&*error);
        assert_eq!(told, format!("{name}: failed: {}: {Root}", own()));
    }
}

#[test]
fn a_boxed_error_keeps_its_type() {
    let call = async || Err::<(), Box<dyn Error + Send + Sync>>(own().into());
    let failed = Executor::new().block_on(policy("box").call(call));
    let boxed = failed.map_err(PolicyError::boxed).expect_err("it failed");
    assert!(boxed.error().is_some_and(|error| error.get().is::<Own>()));
}

/// What the text of a policy's error says, and when.
#[test]
fn the_error_of_a_policy_names_policy_layer_and_reason() {
    let policy = Some(Arc::from("payments"));
    let rejected = |layer, retry_after, attempts| PolicyError::Rejected {
        policy: policy.clone(),
        layer,
        retry_after,
        opening: None,
        attempts,
        last_error: (attempts > 0).then(own),
    };
    let timed_out = |layer, attempts| PolicyError::TimedOut {
        policy: policy.clone(),
        layer,
        limit: Duration::from_nanos(399_999_700),
        attempts,
        last_error: (attempts > 1).then(own),
    };
    let failed = |gave_up, attempts| PolicyError::Failed {
        policy: policy.clone(),
        error: own(),
        attempts,
        gave_up,
    };
    let soon = Some(Duration::from_nanos(12_345_678));
    for (error, text) in [
        (
            rejected(Layer::RateLimit, soon, 0),
            "rate limit reached, retry in 12.3 ms",
        ),
        (rejected(Layer::Bulkhead, None, 0), "bulkhead full"),
        (rejected(Layer::Cache, None, 0), "no value in the cache"),
        (
            rejected(Layer::CircuitBreaker, soon, 2),
            "circuit open, retry in 12.3 ms, after 2 attempts: no answer from the database",
        ),
        (
            timed_out(Layer::TotalTimeout, 0),
            "total timeout of 400 ms passed, before any attempt",
        ),
        (
            timed_out(Layer::AttemptTimeout, 1),
            "attempt timeout of 400 ms passed, after 1 attempt",
        ),
        (
            timed_out(Layer::AttemptTimeout, 3),
            "attempt timeout of 400 ms passed, after 3 attempts: no answer from the database",
        ),
        (failed(None, 1), "failed: no answer from the database"),
        (
            failed(Some(GiveUp::MaxRetries), 4),
            "failed with no retries left, after 4 attempts: no answer from the database",
        ),
        (
            failed(Some(GiveUp::NotRetryable), 1),
            "failed with an error that is not retried, after 1 attempt: no answer from the database",
        ),
    ] {
        assert_eq!(error.to_string(), format!("payments: {text}"));
    }
}
