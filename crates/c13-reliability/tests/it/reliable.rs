//! Functions under `#[reliable]`: attempts, arguments, generics, and the three ways to tell results apart.

#![cfg(feature = "macros")]

use c13_reliability::patterns::retry::{RetryConfig, RetryStrategy};
use c13_reliability::policy::{Policy, PolicyConfig, PolicyError, install};
use c13_reliability::reliable;
use c13_reliability::time::Executor;
use c13_reliability::verdict::{Meaning, Retryable};
use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[derive(Debug, PartialEq)]
enum Failed {
    Itself(Meaning),
    ByPolicy(u32),
}

impl Retryable for Failed {
    fn meaning(&self) -> Meaning {
        match self {
            Self::Itself(meaning) => *meaning,
            Self::ByPolicy(_) => Meaning::NOT_SENT,
        }
    }
}

impl From<PolicyError<Self>> for Failed {
    fn from(error: PolicyError<Self>) -> Self {
        match error {
            PolicyError::Failed { error, .. } => error,
            other => Self::ByPolicy(other.attempts()),
        }
    }
}

/// Installs a policy of three attempts under this name.
fn three_attempts(name: &str, executor: &Executor) {
    let retry = RetryConfig::new(2, RetryStrategy::FixedDelay(Duration::from_millis(1)));
    let config = PolicyConfig::NONE.retry(retry).attempt_timeout(Duration::from_secs(1));
    install(
        name,
        Policy::with_config(config, executor.clock()).expect("the settings make sense"),
    );
}

/// Counts an attempt, and fails as `meaning` says until the third.
fn attempt(attempts: &AtomicU32, meaning: Meaning) -> Result<u32, Failed> {
    // Relaxed: nothing but the number is shared.
    let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
    if attempt < 3 {
        Err(Failed::Itself(meaning))
    } else {
        Ok(attempt)
    }
}

#[reliable("plain")]
async fn plain<T>(attempts: &AtomicU32, name: T, bound: impl Fn() -> u32) -> Result<String, Failed>
where
    T: Display,
{
    if bound() == 0 {
        return Err(Failed::Itself(Meaning::DEFECT));
    }
    let attempt = attempt(attempts, Meaning::ANSWER)?;
    Ok(format!("{name}: {attempt}"))
}

#[reliable("classified", classified)]
async fn classified(attempts: &AtomicU32, meaning: Meaning) -> Result<u32, Failed> {
    attempt(attempts, meaning)
}

struct Client {
    attempts: AtomicU32,
}

impl Client {
    #[reliable("idempotent", idempotent)]
    async fn read(&self, meaning: Meaning) -> Result<u32, Failed> {
        attempt(&self.attempts, meaning)
    }

    #[reliable("slow")]
    async fn hang(&self) -> Result<(), Failed> {
        std::future::pending().await
    }
}

#[test]
fn the_body_is_an_attempt_and_the_policys_word_becomes_the_functions_own_error() {
    let executor = Executor::new();
    for name in ["plain", "classified", "idempotent", "slow"] {
        three_attempts(name, &executor);
    }
    let none = || AtomicU32::new(0);
    assert_eq!(
        executor.block_on(plain(&none(), "a pen", || 1)),
        Ok("a pen: 3".to_owned())
    );
    let failed = executor.block_on(plain(&none(), 7, || 0));
    assert_eq!(failed, Err(Failed::Itself(Meaning::DEFECT)));

    for (meaning, once, twice) in [
        (Meaning::REFUSED, Ok(3), Ok(3)),
        (Meaning::FAILURE, Err(Meaning::FAILURE), Ok(3)),
        (Meaning::ANSWER, Err(Meaning::ANSWER), Err(Meaning::ANSWER)),
    ] {
        let client = Client { attempts: none() };
        let result = executor.block_on(classified(&none(), meaning));
        assert_eq!(result, once.map_err(Failed::Itself), "{meaning:?}");
        let result = executor.block_on(client.read(meaning));
        assert_eq!(result, twice.map_err(Failed::Itself), "{meaning:?}, idempotent");
    }
    let client = Client { attempts: none() };
    assert_eq!(executor.block_on(client.hang()), Err(Failed::ByPolicy(3)));
}

#[test]
#[should_panic(expected = "no policy is called `nobody`")]
fn a_name_that_nobody_installed_is_said() {
    #[reliable("nobody")]
    async fn nothing() -> Result<(), Failed> {
        Ok(())
    }
    let _ = Executor::new().block_on(nothing());
}
