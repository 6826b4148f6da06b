//! What a retry costs around a call that succeeds, and what a decision to retry costs.
//!
//! `cargo bench -p c13-reliability --bench retry`

mod measure;

use c13_reliability::budget::{RetryBudget, RetryBudgetConfig};
use c13_reliability::patterns::retry::{RetryConfig, RetryExecutor, RetryState};
use c13_reliability::time::{Clock, Deadline};
use measure::{head, ready, row};
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let with = |config| RetryExecutor::with_config(config, Clock::system()).expect("the settings are good");
    let call = |retry: &RetryExecutor| {
        let result = ready(retry.execute(|| async { Ok::<u64, u64>(black_box(1)) }));
        assert_eq!(result, Ok(1));
    };
    head();
    row("the call itself, through a future", || {
        assert_eq!(ready(async { Ok::<u64, u64>(black_box(1)) }), Ok(1));
    });
    let bare = with(RetryConfig::default().without_budget());
    row("a call that succeeds, without a budget", || call(&bare));
    let budget = with(RetryConfig::default());
    row("a call that succeeds, with a budget", || call(&budget));
    let limited = with(RetryConfig::default().total_limit(Duration::from_secs(1)));
    row("a call that succeeds, with a total limit", || call(&limited));
    row("a call that succeeds, made as a task of its own (dyn)", || {
        let attempt =
            || -> std::pin::Pin<Box<dyn Future<Output = Result<u64, u64>> + Send>> { Box::pin(async { Ok(1) }) };
        assert_eq!(ready(budget.execute(attempt)), Ok(1));
    });
    row("a decision to retry, without a budget", || {
        let mut state = RetryState::new();
        let _decision = black_box(bare.after_failure(&mut state, None));
    });
    row("a decision to retry, with a budget that is exhausted", || {
        let mut state = RetryState::new();
        let _decision = black_box(budget.after_failure(&mut state, None));
    });
    let shared = RetryBudget::with_config(RetryBudgetConfig::new(), Clock::system()).expect("the defaults are good");
    row("a deposit", || shared.deposit());
    let clock = Clock::system();
    row("asking for a deadline where there is none", || {
        assert_eq!(black_box(Deadline::current(&clock)), None);
    });
}
