//! Interleavings of deposits, of putting them into the window, and of withdrawals.

use super::config::RetryBudgetConfig;
use super::handle::{CallCount, CallCounts, RetryBudget, is_due};
use crate::time::VirtualTime;
use loom::thread;

#[test]
fn deposits_and_withdrawals_that_race_lose_nothing_and_grant_nothing_twice() {
    loom::model(|| {
        let config = RetryBudgetConfig::new().ratio(0.5).min_per_second(0.0);
        let calls = CallCounts::compact();
        let budget = RetryBudget::over(config, VirtualTime::new().clock(), calls.clone());
        let budget = budget.expect("the settings are good");
        let other = budget.clone();
        let handle = thread::spawn(move || {
            other.deposit();
            other.deposit();
            u64::from(other.try_withdraw())
        });
        for _ in 0..2 {
            let (_, value) = calls.add_and_read(CallCount::AtOnce, 1);
            if is_due(value) {
                budget.settle();
            }
        }
        let mut granted = u64::from(budget.try_withdraw());
        granted += handle.join().unwrap();
        while budget.try_withdraw() {
            granted += 1;
        }
        assert_eq!(granted, 2);
        assert_eq!(budget.snapshot().calls, 4);
    });
}
