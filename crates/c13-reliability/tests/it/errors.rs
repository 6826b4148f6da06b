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
use c13_reliability::policy::{PolicyError, ReloadError};
use c13_reliability::realtime::scheduler::StartError;
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
            layer: Layer::CircuitBreaker,
            retry_after: Some(Duration::from_secs(1)),
            attempts: 2,
            last_error,
        }),
        Box::new(PolicyError::TimedOut {
            layer: Layer::TotalTimeout,
            limit: Duration::from_secs(1),
            attempts: 2,
            last_error,
        }),
        Box::new(PolicyError::Failed {
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
        error: retry,
        attempts: 1,
        gave_up: None,
    };
    assert!(failed.into_error().and_then(RetryError::into_last_error).is_some());
    assert!(TimeoutError::CallFailed(own()).into_call_error().is_some());
}
