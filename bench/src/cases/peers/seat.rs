//! The layers of `seatbelt` that several cases share.

use crate::cases::drive::Failed;
use seatbelt::{RecoveryInfo, ResilienceContext};

pub(super) type Context = ResilienceContext<u64, Result<u64, Failed>>;

/// The surroundings of a pipeline, with the precise clock or the faster one.
pub(super) fn context(fast: bool) -> Context {
    let clock = tick::Clock::new_tokio();
    let clock = if fast { clock.with_fast_instant(true) } else { clock };
    ResilienceContext::new(&clock).name("bench")
}

/// An error is worth another try, and counts as a failure.
pub(super) fn recovery(result: &Result<u64, Failed>) -> RecoveryInfo {
    match result {
        Ok(_) => RecoveryInfo::never(),
        Err(_) => RecoveryInfo::retry(),
    }
}

macro_rules! breaker {
    ($context:expr) => {
        seatbelt::breaker::Breaker::layer("breaker", &$context)
            .recovery_with(|result: &Result<u64, Failed>, _| seat::recovery(result))
            .rejected_input_error(|_, _| Failed(9))
            .break_duration(HOUR)
    };
}

macro_rules! retry {
    ($context:expr) => {
        seatbelt::retry::Retry::layer("retry", &$context)
            .clone_input()
            .recovery_with(|result: &Result<u64, Failed>, _| seat::recovery(result))
            .max_retry_attempts(3)
    };
}

macro_rules! timeout {
    ($context:expr) => {
        seatbelt::timeout::Timeout::layer("timeout", &$context)
            .timeout_error(|_| Failed(7))
            .timeout(std::time::Duration::from_secs(1))
    };
}

pub(super) use {breaker, retry, timeout};
